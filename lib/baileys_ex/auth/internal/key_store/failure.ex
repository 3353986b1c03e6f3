defmodule BaileysEx.Auth.KeyStore.Failure do
  @moduledoc false
  # Failures of a store's operations in the caller: an `OperationError` that names the place.

  alias BaileysEx.Auth.KeyStore.{Cache, OperationError}

  @spec fail!(Cache.table(), OperationError.action(), term()) :: no_return()
  def fail!(table, action, reason) do
    error = %OperationError{action: action, reason: reason, place: place_name(table)}
    note(table, error)
    raise error
  end

  @doc "Keeps the message of the failure, which contains no value, for `BaileysEx.Auth.KeyStore.info/1`."
  @spec note(Cache.table(), OperationError.t()) :: :ok
  def note(table, error) do
    Cache.failed(table, %{message: Exception.message(error), at: DateTime.utc_now()})
  rescue
    # The store has ended.
    ArgumentError -> :ok
  end

  @doc "Runs `fun`, which uses the store's table. The table is gone once the store has ended."
  @spec while_running!(Cache.table(), OperationError.action(), (() -> result)) :: result
        when result: var
  def while_running!(table, action, fun) do
    fun.()
  rescue
    error in ArgumentError ->
      if Cache.gone?(table),
        do: fail!(table, action, :store_stopped),
        else: reraise(error, __STACKTRACE__)
  end

  defp place_name(table) do
    Cache.config(table).backend.place_name
  rescue
    # The store has ended, so its place is no longer known.
    ArgumentError -> nil
  end
end
