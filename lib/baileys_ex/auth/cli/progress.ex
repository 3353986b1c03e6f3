defmodule BaileysEx.Auth.CLI.Progress do
  @moduledoc false
  # A bar with rate and remaining time, on a terminal; nothing elsewhere.

  alias BaileysEx.Auth.CLI.{Layout, Terminal}

  @bar 24
  @pause_ms 100

  @doc """
  Runs `work` with a function for its `:on_progress`, and takes the bar away when it is over.
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

  @doc "The text of a bar, no longer than `columns`."
  @spec line(String.t(), map(), elapsed_ms :: non_neg_integer(), pos_integer()) :: String.t()
  def line(label, %{done: done, total: total}, elapsed_ms, columns) do
    filled = div(done * @bar, max(total, 1))
    bar = String.duplicate("#", filled) <> String.duplicate(".", @bar - filled)
    percent = String.pad_leading("#{div(done * 100, max(total, 1))}%", 4)
    files = "#{Layout.number(done)}/#{Layout.number(total)} files"
    text = "#{label} [#{bar}] #{percent}  #{files}#{speed(done, total, elapsed_ms)}"
    # The last column stays free: some terminals wrap once it is written.
    String.slice(text, 0, columns - 1)
  end

  defp speed(done, total, elapsed_ms) when done > 0 and elapsed_ms > 0 do
    remaining = ceil((total - done) * elapsed_ms / done / 1000)
    "  #{Layout.number(div(done * 1000, elapsed_ms))}/s  #{Layout.duration(remaining)} left"
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
