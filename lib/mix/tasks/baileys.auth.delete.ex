defmodule Mix.Tasks.Baileys.Auth.Delete do
  @shortdoc "Deletes an account that has been logged out"

  @moduledoc BaileysEx.Auth.CLI.usage("delete")

  use Mix.Task

  @impl true
  def run(argv), do: BaileysEx.Auth.CLI.MixTask.run("delete", argv)
end
