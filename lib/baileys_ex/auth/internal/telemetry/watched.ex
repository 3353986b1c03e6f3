defmodule BaileysEx.Auth.Telemetry.Watched do
  @moduledoc false
  # The events of what a backend reads and writes, the same for all of them. `place` gives the `path` of the
  # metadata, and is asked only where somebody listens.

  alias BaileysEx.Auth.Telemetry

  @type place() :: (() -> String.t())

  @spec load(module(), place(), type :: String.t(), (() -> result)) :: result when result: term()
  def load(backend, place, type, fun) do
    Telemetry.span([:load], &{%{}, metadata(backend, place, &1, %{type: type})}, fun)
  end

  @doc "Of each change the type is the first element."
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
