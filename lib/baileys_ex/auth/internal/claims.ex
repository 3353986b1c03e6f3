defmodule BaileysEx.Auth.Claims do
  @moduledoc false
  # Which store of this VM occupies which place. `c:BaileysEx.Auth.Persistence.place/1` returns the place. The
  # lock server owns the table, because it outlives all stores.

  alias BaileysEx.Auth.Lock.Server
  alias BaileysEx.Auth.NotOwnerError

  @table BaileysEx.Auth.Lock.Server.Places

  @doc "Returns `{:error, {:already_started, pid}}` if a living store has the place."
  @spec vacant(place :: term()) :: :ok | {:error, {:already_started, pid()}}
  def vacant(nil), do: :ok

  def vacant(place) do
    case :ets.lookup(table(), place) do
      [{_place, pid, _lost}] ->
        if Process.alive?(pid), do: {:error, {:already_started, pid}}, else: :ok

      [] ->
        :ok
    end
  end

  @doc "Returns the stores of this VM."
  @spec stores() :: [pid()]
  def stores do
    for {_place, pid, _lost} <- :ets.tab2list(table()), Process.alive?(pid), do: pid
  end

  @doc "Gives the calling process the place. `lost` is called when a write finds that the place is lost."
  @spec occupy(place :: term(), (NotOwnerError.t() -> term())) :: :ok
  def occupy(nil, _lost), do: :ok

  def occupy(place, lost) do
    :ets.insert(table(), {place, self(), lost})
    :ok
  end

  @doc "Gives the place up, if the calling process has it."
  @spec vacate(place :: term()) :: :ok
  def vacate(place) do
    :ets.match_delete(table(), {place, self(), :_})
    :ok
  end

  @doc "Tells the store that has the place in this VM, if any, which error another write there has got."
  @spec lost(place :: term(), NotOwnerError.t()) :: :ok
  def lost(place, error) do
    for {_place, _pid, lost} <- :ets.lookup(table(), place), do: lost.(error)
    :ok
  end

  @doc "Keeps what a backend without its own memory must know about this VM's claim of a place."
  @spec remember(place :: term(), what :: atom(), value :: term()) :: :ok
  def remember(place, what, value) do
    :ets.insert(table(), {{what, place}, value})
    :ok
  end

  @doc "Returns what was kept last, or `nil`."
  @spec remembered(place :: term(), what :: atom()) :: term()
  def remembered(place, what) do
    case :ets.lookup(table(), {what, place}) do
      [{_place, value}] -> value
      [] -> nil
    end
  end

  @spec forget(place :: term(), what :: atom()) :: :ok
  def forget(place, what) do
    :ets.delete(table(), {what, place})
    :ok
  end

  defp table do
    if :ets.whereis(@table) == :undefined, do: Server.ensure_started()
    @table
  end
end
