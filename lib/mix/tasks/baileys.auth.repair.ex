defmodule Mix.Tasks.Baileys.Auth.Repair do
  @shortdoc "Says what can be done about a damaged auth directory, and does it"

  @moduledoc BaileysEx.Auth.CLI.usage("repair")

  use Mix.Task

  @impl true
  def run(argv), do: BaileysEx.Auth.CLI.MixTask.run("repair", argv)
end
