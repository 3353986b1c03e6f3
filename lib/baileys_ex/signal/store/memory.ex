defmodule BaileysEx.Signal.Store.Memory do
  @moduledoc """
  A `BaileysEx.Signal.Store` that keeps everything in memory, for tests and for runtimes that save keys
  elsewhere. Its content is lost when its process ends.

      iex> {:ok, store} = BaileysEx.Signal.Store.start_link()
      iex> BaileysEx.Signal.Store.set(store, %{"lid-mapping": %{"15550000000" => "800000000"}})
      :ok

  Use it through the functions of `BaileysEx.Signal.Store`. Reads go to an ETS table and send no message; the
  store's process makes the changes.
  """

  use GenServer

  alias BaileysEx.Auth.Lock.Queue
  alias BaileysEx.Auth.Options
  alias BaileysEx.Signal.Store
  alias BaileysEx.Signal.Store.{Changes, Id, Running, Transaction, View}

  defmodule Ref do
    @moduledoc false
    @enforce_keys [:pid, :table]
    defstruct [:pid, :table]
    @type t() :: %__MODULE__{pid: pid(), table: :ets.tid()}
  end

  defmodule TxRef do
    @moduledoc false
    @enforce_keys [:pid, :table, :tx_table]
    defstruct [:pid, :table, :tx_table]
    @type t() :: %__MODULE__{pid: pid(), table: :ets.tid(), tx_table: :ets.tid()}
  end

  @behaviour Store

  @impl Store
  @spec start_link(keyword()) :: GenServer.on_start()
  def start_link(opts \\ []) do
    GenServer.start_link(__MODULE__, [], Options.check!(opts, [:name]))
  end

  # Raises for anything but the pid or name of a memory store.
  @impl Store
  @spec wrap(GenServer.server()) :: Ref.t()
  def wrap(server) do
    {pid, table} = Running.fetch!(__MODULE__, server)
    %Ref{pid: pid, table: table}
  end

  @impl Store
  @spec get(Ref.t() | TxRef.t(), Store.data_type(), [String.t()]) :: Store.data_entries()
  def get(%Ref{table: table}, type, ids) when is_atom(type) and is_list(ids) do
    read(table, type, ids, %{})
  end

  def get(%TxRef{} = tx, type, ids) when is_atom(type) and is_list(ids) do
    View.get(tx.tx_table, type, ids, &read(tx.table, type, &1, %{}))
  end

  def get(_other, _type, _ids) do
    Running.no_reference!(__MODULE__, ", the type as an atom and a list of ids")
  end

  @impl Store
  @spec set(Ref.t() | TxRef.t(), Store.data_set()) :: :ok
  def set(%Ref{} = ref, data) do
    Transaction.refuse_inside!(ref.pid)
    commit(ref, Changes.from_data_set!(data))
  end

  def set(%TxRef{} = tx, data), do: View.put(tx.tx_table, Changes.from_data_set!(data))
  def set(_other, _data), do: Running.no_reference!(__MODULE__)

  @impl Store
  @spec clear(Ref.t() | TxRef.t()) :: :ok
  def clear(%Ref{} = ref) do
    Transaction.refuse_inside!(ref.pid)
    commit(ref, Changes.new(true, %{}))
  end

  def clear(%TxRef{} = tx), do: View.put(tx.tx_table, Changes.new(true, %{}))
  def clear(_other), do: Running.no_reference!(__MODULE__)

  @impl Store
  @spec transaction(Ref.t() | TxRef.t(), String.t(), (TxRef.t() -> result)) :: result
        when result: var
  def transaction(%TxRef{} = tx, _key, fun), do: fun.(tx)

  def transaction(%Ref{pid: pid, table: table} = ref, key, fun) do
    Transaction.run(pid, Transaction.lock!(pid, key), fn view ->
      result = fun.(%TxRef{pid: pid, table: table, tx_table: view})
      commit(ref, View.changes(view))
      result
    end)
  end

  def transaction(_other, _key, _fun), do: Running.no_reference!(__MODULE__)

  @impl Store
  @spec in_transaction?(Ref.t() | TxRef.t()) :: boolean()
  def in_transaction?(%Ref{}), do: false
  def in_transaction?(%TxRef{tx_table: view}), do: View.open?(view)
  def in_transaction?(_other), do: Running.no_reference!(__MODULE__)

  defp read(_table, _type, [], entries), do: entries

  defp read(table, type, [id | ids], entries) do
    id = Id.text!(id)

    case :ets.lookup(table, {type, id}) do
      [{_key, value}] -> read(table, type, ids, Map.put(entries, id, value))
      [] -> read(table, type, ids, entries)
    end
  end

  defp commit(ref, changes) do
    if Changes.empty?(changes) do
      :ok
    else
      GenServer.call(ref.pid, {:commit, Changes.hide(changes)}, :infinity)
    end
  end

  @impl GenServer
  def init([]) do
    # Messages contain keys: this flag keeps them out of crash dumps and process information.
    Process.flag(:sensitive, true)
    table = :ets.new(__MODULE__, [:set, :protected, read_concurrency: true])
    {:ok, %{table: table, locks: Queue.new()}}
  end

  @impl GenServer
  def handle_call({Running, :describe}, _from, state) do
    {:reply, Running.answer(__MODULE__, state.table), state}
  end

  def handle_call({:acquire, key}, from, state) do
    {:noreply, %{state | locks: Queue.acquire(state.locks, key, from)}}
  end

  def handle_call({:commit, changes}, _from, state) do
    apply_changes(state.table, changes.())
    {:reply, :ok, state}
  end

  def handle_call(_request, _from, state), do: {:reply, {:error, :unknown_call}, state}

  @impl GenServer
  def handle_cast({:release, token}, state) do
    {:noreply, %{state | locks: Queue.release(state.locks, token)}}
  end

  @impl GenServer
  def handle_info({:DOWN, token, :process, _pid, _reason}, state) do
    {:noreply, %{state | locks: Queue.down(state.locks, token)}}
  end

  def handle_info(_message, state), do: {:noreply, state}

  defp apply_changes(table, %Changes{clear?: clear?, entries: entries}) do
    if clear?, do: :ets.delete_all_objects(table)
    {deleted, saved} = Enum.split_with(entries, fn {_key, value} -> is_nil(value) end)
    :ets.insert(table, saved)
    Enum.each(deleted, fn {key, nil} -> :ets.delete(table, key) end)
  end
end
