defmodule Mix.Tasks.Baileys.Auth.Migrate do
  @shortdoc "Moves an auth directory between JSON and the native form"

  @moduledoc BaileysEx.Auth.CLI.usage("migrate")

  use Mix.Task

  @impl true
  def run(argv), do: BaileysEx.Auth.CLI.MixTask.run("migrate", argv)
end
