defmodule Mix.Tasks.Baileys.Auth.Migrate do
  @shortdoc "Moves an account between JSON, the native form and PostgreSQL"

  @moduledoc BaileysEx.Auth.CLI.usage("migrate")

  use Mix.Task

  @impl true
  def run(argv), do: BaileysEx.Auth.CLI.MixTask.run("migrate", argv)
end
