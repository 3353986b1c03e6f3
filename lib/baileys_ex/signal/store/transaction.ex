defmodule BaileysEx.Signal.Store.Transaction do
  @moduledoc false
  # Runs a function in its caller, under the lock for a key of a store, with a view of its own.

  alias BaileysEx.Auth.Lock.{Queue, Server}
  alias BaileysEx.Auth.Telemetry
  alias BaileysEx.Signal.Store.View

  @doc "Waits for the lock; exits if `store`, the process that keeps the locks, is not there."
  @spec lock!(store :: pid(), key :: term()) :: Queue.token()
  def lock!(store, key) do
    # The key itself may be an id.
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

    try do
      fun.(view)
    after
      View.close(view)
      Server.release(store, token)
    end
  end
end
