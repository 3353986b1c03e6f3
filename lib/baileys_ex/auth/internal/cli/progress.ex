defmodule BaileysEx.Auth.CLI.Progress do
  @moduledoc false
  # A bar with rate and remaining time on a terminal; nothing elsewhere.

  alias BaileysEx.Auth.CLI.{Layout, Terminal}
  alias BaileysEx.Auth.Numbers

  @bar 24
  @shortest_bar 4
  @pause_ms 100

  @doc """
  Runs `work` with a function for its `:on_progress`, and removes the bar afterwards.
  """
  @spec run(Terminal.t(), String.t(), ((map() -> :ok) -> result)) :: result when result: var
  def run(%Terminal{interactive?: false}, _label, work), do: work.(fn _progress -> :ok end)

  def run(terminal, label, work) do
    started = System.monotonic_time(:millisecond)
    drawn = :atomics.new(1, signed: true)
    :atomics.put(drawn, 1, started - @pause_ms)

    try do
      work.(fn progress -> draw(terminal, label, progress, started, drawn) end)
    after
      Terminal.print("\r\e[K")
    end
  end

  @doc "Returns the text of a bar, at most `columns` long."
  @spec line(String.t(), map(), elapsed_ms :: non_neg_integer(), pos_integer()) :: String.t()
  def line(label, %{done: done, total: total} = progress, elapsed_ms, columns) do
    percent = String.pad_leading("#{div(done * 100, max(total, 1))}%", 4)
    unit = Map.get(progress, :unit, "files")
    files = "#{Numbers.number(done)}/#{Numbers.number(total)} #{unit}"
    text = " #{percent}  #{files}#{speed(done, total, elapsed_ms)}"
    # The last column stays free, because some terminals wrap once it is written.
    room = columns - 1 - String.length(label) - String.length(text)
    String.slice(label <> bar(done, total, room) <> text, 0, columns - 1)
  end

  # The bar gets only the remaining space, because it says least.
  defp bar(done, total, room) when room >= @shortest_bar + 3 do
    width = min(room - 3, @bar)
    filled = div(done * width, max(total, 1))
    " [" <> String.duplicate("#", filled) <> String.duplicate(".", width - filled) <> "]"
  end

  defp bar(_done, _total, _room), do: ""

  defp speed(done, total, elapsed_ms) when done > 0 and elapsed_ms > 0 do
    remaining = ceil((total - done) * elapsed_ms / done / 1000)
    "  #{Numbers.number(div(done * 1000, elapsed_ms))}/s  #{Layout.duration(remaining)} left"
  end

  defp speed(_done, _total, _elapsed_ms), do: ""

  defp draw(terminal, label, progress, started, drawn) do
    now = System.monotonic_time(:millisecond)

    if now - :atomics.get(drawn, 1) >= @pause_ms or progress.done == progress.total do
      :atomics.put(drawn, 1, now)
      Terminal.print(["\r", line(label, progress, now - started, terminal.columns), "\e[K"])
    end

    :ok
  end
end
