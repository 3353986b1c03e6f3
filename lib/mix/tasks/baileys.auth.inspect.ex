defmodule Mix.Tasks.Baileys.Auth.Inspect do
  @shortdoc "Shows what an auth directory holds"

  @moduledoc BaileysEx.Auth.CLI.usage("inspect")

  use Mix.Task

  @impl true
  def run(argv), do: BaileysEx.Auth.CLI.MixTask.run("inspect", argv)
end
