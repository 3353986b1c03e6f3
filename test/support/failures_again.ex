defmodule BaileysEx.Test.FailuresAgain do
  @moduledoc false
  # Prints what `mix test` prints, and at the end the names of the tests that failed, because one looks there
  # first in a long log.

  use GenServer

  alias ExUnit.CLIFormatter

  @impl GenServer
  def init(opts) do
    with {:ok, cli} <- CLIFormatter.init(opts), do: {:ok, {cli, []}}
  end

  @impl GenServer
  def handle_cast(event, {cli, failed}) do
    {:noreply, cli} = CLIFormatter.handle_cast(event, cli)
    failed = failed ++ failed_by(event)
    if match?({:suite_finished, _times}, event), do: name(failed)
    {:noreply, {cli, failed}}
  end

  defp failed_by({:test_finished, %ExUnit.Test{state: {:failed, _}} = test}), do: [test]
  defp failed_by(_event), do: []

  defp name([]), do: :ok

  defp name(failed) do
    IO.puts("\nFailed:")

    for %{tags: tags} = test <- failed do
      IO.puts("  #{Path.relative_to_cwd(tags.file)}:#{tags.line} #{test.name}")
    end
  end
end
