defmodule Mix.Tasks.Baileys.Auth.Verify do
  @shortdoc "Reads every file of an auth directory"

  @moduledoc BaileysEx.Auth.CLI.usage("verify")

  use Mix.Task

  @impl true
  def run(argv), do: BaileysEx.Auth.CLI.MixTask.run("verify", argv)
end
