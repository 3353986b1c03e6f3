defmodule BaileysEx.Auth.Postgres.Watched do
  @moduledoc false
  # Events of `BaileysEx.Auth.Telemetry` for what is read and written of an account.

  alias BaileysEx.Auth.Postgres.Account
  alias BaileysEx.Auth.Telemetry

  @spec load(module(), Account.t(), type :: String.t(), (() -> result)) :: result
        when result: term()
  def load(backend, account, type, fun) do
    Telemetry.span([:load], &{%{}, metadata(backend, account, &1, %{type: type})}, fun)
  end

  @doc "`types` are those of the changes, in their order."
  @spec commit(module(), Account.t(), types :: [String.t()], (() -> result)) :: result
        when result: term()
  def commit(backend, account, types, fun) do
    describe = fn result ->
      {%{changes: length(types)}, metadata(backend, account, result, %{types: Enum.uniq(types)})}
    end

    Telemetry.span([:commit], describe, fun)
  end

  defp metadata(backend, account, result, more) do
    result
    |> Telemetry.outcome()
    |> Map.merge(more)
    |> Map.merge(%{backend: backend, path: Account.place(account)})
  end
end
