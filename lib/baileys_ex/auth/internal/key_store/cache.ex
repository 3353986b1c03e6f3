defmodule BaileysEx.Auth.KeyStore.Cache do
  @moduledoc false
  # The ETS table of a key store: what was read and committed, including keys known to be missing.
  #
  # Rows are `{key, state, value, mark}`. The state is `:present`, `:absent`, or `:loading` with the reference
  # of the loader as the value. A loader may turn only its own `:loading` row into an entry, in one atomic
  # step. If a commit ends while the loader reads, the commit replaces that row, so the possibly older value
  # that the loader has read is not cached.
  #
  # A bounded cache evicts by the clock algorithm. A hand goes round the table, takes the mark from rows that
  # were read since it last passed, and deletes the unmarked ones. Everything here is on disk as well, so an
  # eviction only costs a load. `:pinned` rows stay.

  alias BaileysEx.Signal.Store.Changes

  @type table() :: :ets.tid()
  @type entry() :: {:ok, term()} | :absent

  @spec new(max_entries :: pos_integer() | :infinity) :: table()
  def new(max_entries) do
    table = :ets.new(__MODULE__, [:set, :public, read_concurrency: true])
    :ets.insert(table, {:config, %{}, max_entries, :pinned})
    :ets.insert(table, {:history, 0, nil, :pinned})
    table
  end

  @doc "Keeps the configuration that callers of the store need, so that they find it without asking."
  @spec put_config(table(), map()) :: :ok
  def put_config(table, config) do
    :ets.update_element(table, :config, {2, config})
    :ok
  end

  @spec config(table()) :: map()
  def config(table), do: :ets.lookup_element(table, :config, 2)

  @doc "Counts a commit. If the store has ended since, there is nothing to count in, and the commit still stands."
  @spec committed(table()) :: :ok
  def committed(table) do
    :ets.update_counter(table, :history, {2, 1})
    :ok
  rescue
    ArgumentError -> :ok
  end

  @doc "Records the last failure."
  @spec failed(table(), failure :: term()) :: :ok
  def failed(table, failure) do
    :ets.update_element(table, :history, {3, failure})
    :ok
  end

  @doc "Returns the number of commits, and the last failure."
  @spec history(table()) :: {non_neg_integer(), failure :: term() | nil}
  def history(table) do
    [{:history, commits, failure, :pinned}] = :ets.lookup(table, :history)
    {commits, failure}
  end

  @spec fetch(table(), Changes.key()) :: entry() | :unknown
  def fetch(table, key) do
    case :ets.lookup(table, key) do
      [{_key, :present, value, mark}] ->
        mark == false and mark(table, key)
        {:ok, value}

      [{_key, :absent, _value, mark}] ->
        mark == false and mark(table, key)
        :absent

      _loading_or_none ->
        :unknown
    end
  end

  @doc "Returns the entry, or else the result of `load`, which is then cached unless it is an error."
  @spec load(table(), Changes.key(), (() -> entry() | {:error, term()})) ::
          entry() | {:error, term()}
  def load(table, key, load) do
    case fetch(table, key) do
      :unknown -> load_as(claim(table, key), table, key, load)
      entry -> entry
    end
  end

  @doc """
  As `load/3`, for several keys. `load` returns the values of the keys that are not cached, without missing
  ones. Keys that another process settles in the meantime are left out of the answer.
  """
  @spec load_many(
          table(),
          [Changes.key()],
          ([Changes.key()] ->
             {:ok, Changes.entries()} | {:error, term()})
        ) ::
          {:ok, %{optional(Changes.key()) => entry()}} | {:error, term()}
  def load_many(table, keys, load) do
    loaders = for key <- keys, loader = claim(table, key), loader != :settled, do: {key, loader}

    with {:error, reason} <- load_all(loaders, load) do
      for {key, loader} <- loaders, do: give_up(table, key, loader)
      {:error, reason}
    else
      {:ok, values} -> {:ok, Map.new(loaders, &settle_entry(table, &1, values))}
    end
  end

  defp load_all([], _load), do: {:ok, %{}}
  defp load_all(loaders, load), do: load.(Enum.map(loaders, &elem(&1, 0)))

  defp settle_entry(table, {key, loader}, values) do
    case values do
      %{^key => value} ->
        settle(table, key, loader, :present, value)
        {key, {:ok, value}}

      _none ->
        settle(table, key, loader, :absent, nil)
        {key, :absent}
    end
  end

  @doc "Caches what was committed (`nil`: the key is missing). One atomic step for all entries."
  @spec put(table(), Changes.entries()) :: :ok
  def put(table, entries) do
    mark = max_entries(table) == :infinity
    :ets.insert(table, for({key, value} <- entries, do: row(key, value, mark)))
    evict(table)
  end

  @doc "As `put/2`, but protected from eviction until the next `put/2` or `delete/2` of these keys."
  @spec pin(table(), Changes.entries()) :: :ok
  def pin(table, entries) do
    :ets.insert(table, for({key, value} <- entries, do: row(key, value, :pinned)))
    :ok
  end

  @spec delete(table(), [Changes.key()]) :: :ok
  def delete(table, keys), do: Enum.each(keys, &:ets.delete(table, &1))

  @spec clear(table()) :: :ok
  def clear(table) do
    :ets.select_delete(table, [{{{:_, :_}, :_, :_, :_}, [], [true]}])
    :ok
  end

  @doc "Whether the store that owned the table has ended."
  @spec gone?(table()) :: boolean()
  def gone?(table), do: :ets.info(table, :type) == :undefined

  @doc """
  Takes the number by which the backend shows that somebody else has changed keys. A new number empties the cache.
  """
  @spec seen(table(), non_neg_integer() | nil) :: :ok
  def seen(table, number) do
    case :ets.lookup(table, :seen) do
      [{:seen, ^number, nil, :pinned}] ->
        :ok

      before ->
        # A loader that started earlier cannot cache its value, because its row is gone.
        if before != [], do: clear(table)
        :ets.insert(table, {:seen, number, nil, :pinned})
        :ok
    end
  end

  @doc "Returns the last number given to `seen/2`."
  @spec last_seen(table()) :: non_neg_integer() | nil
  def last_seen(table) do
    case :ets.lookup(table, :seen) do
      [{:seen, number, nil, :pinned}] -> number
      [] -> nil
    end
  end

  @doc "Marks the claim of this store as lost, permanently. Returns `false` if that was already known."
  @spec lose(table(), Exception.t()) :: boolean()
  def lose(table, error) do
    new? = :ets.insert_new(table, {:lost, error, nil, :pinned})
    clear(table)
    new?
  end

  @spec held(table()) :: :ok | {:error, Exception.t()}
  def held(table) do
    case :ets.lookup(table, :lost) do
      [] -> :ok
      [{:lost, error, nil, :pinned}] -> {:error, error}
    end
  end

  @doc "Returns the number of entries."
  @spec count(table()) :: non_neg_integer()
  def count(table) do
    :ets.info(table, :size) -
      Enum.count([:config, :history, :hand, :seen, :lost], &:ets.member(table, &1))
  end

  defp max_entries(table), do: :ets.lookup_element(table, :config, 3)

  # In a bounded cache an entry is unmarked until it is read. An unbounded cache needs no marks.
  defp row(key, nil, mark), do: {key, :absent, nil, mark}
  defp row(key, value, mark), do: {key, :present, value, mark}

  defp mark(table, key), do: :ets.update_element(table, key, {4, true})

  # Takes over the row that another loader has left behind: that loader may have died.
  defp claim(table, key) do
    mark = max_entries(table) == :infinity
    loader = make_ref()

    if :ets.insert_new(table, {key, :loading, loader, mark}) do
      evict(table)
      loader
    else
      take_over = {{key, :loading, :_, :"$1"}, [], [{{{:const, key}, :loading, loader, :"$1"}}]}
      if :ets.select_replace(table, [take_over]) == 1, do: loader, else: :settled
    end
  end

  defp load_as(:settled, table, key, load), do: load(table, key, load)

  defp load_as(loader, table, key, load) do
    case load.() do
      {:ok, value} = entry ->
        settle(table, key, loader, :present, value)
        entry

      :absent ->
        settle(table, key, loader, :absent, nil)
        :absent

      {:error, reason} ->
        give_up(table, key, loader)
        {:error, reason}
    end
  end

  defp give_up(table, key, loader) do
    :ets.select_delete(table, [{{key, :loading, loader, :_}, [], [true]}])
  end

  defp settle(table, key, loader, state, value) do
    settled = {{{:const, key}, state, {:const, value}, :"$1"}}
    :ets.select_replace(table, [{{key, :loading, loader, :"$1"}, [], [settled]}])
  end

  defp evict(table) do
    case max_entries(table) do
      :infinity -> :ok
      max -> evict(table, count(table) - max)
    end
  end

  defp evict(_table, excess) when excess <= 0, do: :ok

  # Looks at enough rows to spare some of them, but never at a share of the whole table.
  defp evict(table, excess) do
    hand = sweep(table, hand(table), excess, 2 * excess + 32)
    :ets.insert(table, {:hand, hand, nil, :pinned})
    :ok
  end

  defp sweep(_table, key, excess, looks) when excess == 0 or looks == 0, do: key

  defp sweep(table, key, excess, looks) do
    next = next(table, key)

    case mark_of(table, key) do
      :pinned ->
        sweep(table, next, excess, looks - 1)

      true when looks > excess ->
        :ets.update_element(table, key, {4, false})
        sweep(table, next, excess, looks - 1)

      :gone ->
        sweep(table, next, excess, looks - 1)

      _unmarked ->
        :ets.delete(table, key)
        sweep(table, next, excess - 1, looks - 1)
    end
  end

  defp hand(table) do
    case :ets.lookup(table, :hand) do
      [{:hand, key, _value, _mark}] -> key
      [] -> :ets.first(table)
    end
  end

  # Another process may have deleted the key that the hand points at.
  defp next(table, key) do
    with :"$end_of_table" <- :ets.next(table, key), do: :ets.first(table)
  rescue
    ArgumentError -> :ets.first(table)
  end

  defp mark_of(table, key) do
    :ets.lookup_element(table, key, 4)
  rescue
    ArgumentError -> :gone
  end
end
