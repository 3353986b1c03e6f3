defmodule Mix.Tasks.Baileys.Auth.Adopt do
  @shortdoc "Changes a checkout of baileys_ex to use this library"

  @moduledoc BaileysEx.Auth.CLI.usage("adopt")

  use Mix.Task

  @impl true
  def run(argv), do: BaileysEx.Auth.CLI.MixTask.run("adopt", argv)
end
