defmodule BaileysEx.Auth.Directory.Checkpointer do
  @moduledoc false
  # Makes checkpoints of native directories: of those that have been idle for a while, of the longest idle if
  # memory holds much, and of all when the application stops. This only saves the next start some work:
  # commits make checkpoints themselves if they must.

  use GenServer

  alias BaileysEx.Auth.{Directory, Native, NativeFilePersistence}

  @backend {NativeFilePersistence, :etf}
  @every_ms 2_000
  @idle_ms 30_000
  # Less than the five seconds after which the supervisor kills.
  @last_ms 4_000

  @spec start_link(keyword()) :: GenServer.on_start()
  def start_link(_opts), do: GenServer.start_link(__MODULE__, [], name: __MODULE__)

  @impl true
  def init([]) do
    Process.flag(:trap_exit, true)
    {:ok, wait()}
  end

  @impl true
  def handle_info(:look, _timer) do
    Enum.each(Native.stores_due(@idle_ms), &tidy/1)
    {:noreply, wait()}
  end

  def handle_info(_message, timer), do: {:noreply, timer}

  @impl true
  def terminate(_reason, _timer) do
    until = System.monotonic_time(:millisecond) + @last_ms

    Enum.each(Native.stores_due(0), fn path ->
      if System.monotonic_time(:millisecond) < until, do: tidy(path)
    end)
  end

  # If somebody is writing there now, a later round does it. The next writer is told of an error.
  defp tidy(path), do: Directory.tidy(@backend, path)

  defp wait, do: Process.send_after(self(), :look, @every_ms)
end
