defmodule BaileysEx.Auth.Claims do
  @moduledoc false
  # Which store of this VM has which place: a place is what `c:BaileysEx.Auth.Persistence.place/1`
  # gives. The table is the lock server's, which outlives all stores.

  alias BaileysEx.Auth.Lock.Server
  alias BaileysEx.Auth.NotOwnerError

  @table BaileysEx.Auth.Lock.Server.Places

  @doc "`{:error, {:already_started, pid}}` where a living store has the place."
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

  @doc "The stores of this VM."
  @spec stores() :: [pid()]
  def stores do
    for {_place, pid, _lost} <- :ets.tab2list(table()), Process.alive?(pid), do: pid
  end

  @doc "From here on the calling process has the place. `lost` is called when a write finds that it has not."
  @spec occupy(place :: term(), (NotOwnerError.t() -> term())) :: :ok
  def occupy(nil, _lost), do: :ok

  def occupy(place, lost) do
    :ets.insert(table(), {place, self(), lost})
    :ok
  end

  @doc "Ends it, if the calling process has the place."
  @spec vacate(place :: term()) :: :ok
  def vacate(place) do
    :ets.match_delete(table(), {place, self(), :_})
    :ok
  end

  @doc "Tells the store that has the place of this VM, if one has, what another write there was told."
  @spec lost(place :: term(), NotOwnerError.t()) :: :ok
  def lost(place, error) do
    for {_place, _pid, lost} <- :ets.lookup(table(), place), do: lost.(error)
    :ok
  end

  @doc "Keeps what a backend without another memory has to know of this VM's claim of a place."
  @spec remember(place :: term(), what :: atom(), value :: term()) :: :ok
  def remember(place, what, value) do
    :ets.insert(table(), {{what, place}, value})
    :ok
  end

  @doc "What was kept last, or `nil`."
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
