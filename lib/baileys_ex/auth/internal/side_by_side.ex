defmodule BaileysEx.Auth.SideBySide do
  @moduledoc false
  # Work on many accounts, a few at a time: each of them reads or writes a disk and needs its own scheduler.

  @doc "Returns the results, in order. Calls `on_progress` in the calling process after each of them."
  @spec map([item], (item -> result), (map() -> term())) :: [result] when item: var, result: var
  def map(items, fun, on_progress) do
    total = length(items)

    items
    |> Task.async_stream(fun, max_concurrency: at_once(), timeout: :infinity)
    |> Stream.with_index(1)
    |> Enum.map(fn {{:ok, result}, done} ->
      on_progress.(%{done: done, total: total})
      result
    end)
  end

  defp at_once, do: System.schedulers_online()
end
