defmodule Mix.Tasks.Baileys.Auth.Adopt do
  @shortdoc "Makes a checkout of baileys_ex stand on this library"

  @moduledoc BaileysEx.Auth.CLI.usage("adopt")

  use Mix.Task

  @impl true
  def run(argv), do: BaileysEx.Auth.CLI.MixTask.run("adopt", argv)
end
