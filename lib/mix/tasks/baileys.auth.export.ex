defmodule Mix.Tasks.Baileys.Auth.Export do
  @shortdoc "Writes an account as lines of JSON"

  @moduledoc BaileysEx.Auth.CLI.usage("export")

  use Mix.Task

  @impl true
  def run(argv), do: BaileysEx.Auth.CLI.MixTask.run("export", argv)
end
