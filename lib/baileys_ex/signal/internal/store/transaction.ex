defmodule BaileysEx.Signal.Store.Transaction do
  @moduledoc false
  # Runs a function in its caller, under the lock for a key of a store, with its own view of the store.

  alias BaileysEx.Auth.Lock.{Queue, Server}
  alias BaileysEx.Auth.Telemetry
  alias BaileysEx.Signal.Store.View

  @doc "Waits for the lock. Exits if `store`, the process that keeps the locks, is not running."
  @spec lock!(store :: pid(), key :: term()) :: Queue.token()
  def lock!(store, key) do
    # The key is left out, because it may be an id.
    describe = fn _result -> {%{}, %{scope: :transaction}} end

    case Telemetry.span([:lock, :wait], describe, fn -> Server.acquire(store, key) end) do
      {:ok, token} ->
        token

      :already_held ->
        raise ArgumentError,
              "this process is in a transaction with the key #{inspect(key)} already: " <>
                "use the handle that its callback was given"
    end
  end

  @spec run(store :: pid(), Queue.token(), (View.t() -> result)) :: result when result: var
  def run(store, token, fun) do
    view = View.new()
    outer = Process.put({__MODULE__, store}, true)

    try do
      fun.(view)
    after
      if outer == nil, do: Process.delete({__MODULE__, store})
      View.close(view)
      Server.release(store, token)
    end
  end

  @doc """
  Refuses a commit outside of a transaction of `store` that this process is in. Such a commit would stay if
  the transaction fails, and be lost if the transaction writes the same entry.
  """
  @spec refuse_inside!(store :: pid()) :: :ok
  def refuse_inside!(store) do
    if Process.get({__MODULE__, store}) do
      raise ArgumentError,
            "this process is in a transaction of the store: use the handle that its callback was given"
    end

    :ok
  end
end
