defmodule Mix.Tasks.Baileys.Auth.Snapshot do
  @shortdoc "Copies an auth directory, consistently"

  @moduledoc BaileysEx.Auth.CLI.usage("snapshot")

  use Mix.Task

  @impl true
  def run(argv), do: BaileysEx.Auth.CLI.MixTask.run("snapshot", argv)
end
