defmodule BaileysEx.Auth.Telemetry.Watched do
  @moduledoc false
  # The events for reads and writes of a backend, the same for all backends. `place` returns the `path` of the
  # metadata, and is called only if somebody listens.

  alias BaileysEx.Auth.Telemetry

  @type place() :: (() -> String.t())

  @spec load(module(), place(), type :: String.t(), (() -> result)) :: result when result: term()
  def load(backend, place, type, fun) do
    Telemetry.span([:load], &{%{}, metadata(backend, place, &1, %{type: type})}, fun)
  end

  @doc "The type is the first element of each change."
  @spec commit(module(), place(), [tuple()], (() -> result)) :: result when result: term()
  def commit(backend, place, changes, fun) do
    describe = fn result ->
      types = changes |> Enum.map(&elem(&1, 0)) |> Enum.uniq()
      {%{changes: length(changes)}, metadata(backend, place, result, %{types: types})}
    end

    Telemetry.span([:commit], describe, fun)
  end

  defp metadata(backend, place, result, more) do
    result
    |> Telemetry.outcome()
    |> Map.merge(more)
    |> Map.merge(%{backend: backend, path: place.()})
  end
end
