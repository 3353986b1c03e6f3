defmodule Mix.Tasks.Baileys.Auth.Restore do
  @shortdoc "Puts a snapshot back in the place of an auth directory"

  @moduledoc BaileysEx.Auth.CLI.usage("restore")

  use Mix.Task

  @impl true
  def run(argv), do: BaileysEx.Auth.CLI.MixTask.run("restore", argv)
end
