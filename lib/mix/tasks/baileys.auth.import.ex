defmodule Mix.Tasks.Baileys.Auth.Import do
  @shortdoc "Imports an account from rows or a document"

  @moduledoc BaileysEx.Auth.CLI.usage("import")

  use Mix.Task

  @impl true
  def run(argv), do: BaileysEx.Auth.CLI.MixTask.run("import", argv)
end
