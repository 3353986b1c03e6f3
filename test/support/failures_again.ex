defmodule BaileysEx.Test.FailuresAgain do
  @moduledoc false
  # Names the tests that failed once more at the end, where one looks first in a long log.

  use GenServer

  @impl GenServer
  def init(_opts), do: {:ok, []}

  @impl GenServer
  def handle_cast({:test_finished, %ExUnit.Test{state: {:failed, _}} = test}, failed),
    do: {:noreply, [test | failed]}

  def handle_cast({:suite_finished, _times}, [_ | _] = failed) do
    IO.puts("\nFailed:")

    for test <- Enum.reverse(failed) do
      IO.puts("  #{Path.relative_to_cwd(test.tags.file)}:#{test.tags.line} #{test.name}")
    end

    {:noreply, failed}
  end

  def handle_cast(_event, failed), do: {:noreply, failed}
end
