defmodule BaileysEx.Auth.KeyStore.Reads do
  @moduledoc false
  # The reads of a caller: from the store's cache, and otherwise from the backend.

  import BaileysEx.Auth.KeyStore.Failure, only: [fail!: 3, while_running!: 3]

  alias BaileysEx.Auth.KeyStore.{Backend, Cache, OperationError, Tenure}
  alias BaileysEx.Signal.Store
  alias BaileysEx.Signal.Store.{Changes, Id}

  @typedoc "The basis of a commit: the number of changes seen, and what was read under it."
  @type basis() ::
          {seen :: non_neg_integer() | nil, %{optional(Changes.key()) => {:ok, term()} | :absent}}

  @doc "Returns the values that exist. Reading cached values does not access the disk."
  @spec get(Cache.table(), Store.data_type(), [term()]) :: Store.data_entries()
  def get(table, type, ids) do
    while_running!(table, :get, fn ->
      if Enum.any?(ids, &(Cache.fetch(table, {type, Id.text!(&1)}) == :unknown)),
        do: look!(table, :get)
    end)

    read(table, type, ids)
  end

  @doc "As `get/3`, inside a transaction, which has looked for changes when it began."
  @spec read(Cache.table(), Store.data_type(), [term()]) :: Store.data_entries()
  def read(table, type, ids) do
    while_running!(table, :get, fn ->
      ids = Enum.map(ids, &Id.text!/1)
      read(table, type, ids, %{}, read_together(table, type, ids))
    end)
  end

  @doc """
  Checks whether somebody else has changed anything. If so, empties the cache. Returns the number of changes
  seen.
  """
  @spec look!(Cache.table(), OperationError.action()) :: non_neg_integer() | nil
  def look!(table, action) do
    while_running!(table, action, fn ->
      case Tenure.look(table, Cache.config(table).backend) do
        {:ok, seen} -> seen
        {:error, reason} -> fail!(table, action, reason)
      end
    end)
  end

  @doc "Returns what the caller may have read before it saves these changes."
  @spec remembered(Cache.table(), Changes.t()) :: basis()
  def remembered(table, %Changes{entries: entries}) do
    while_running!(table, :set, fn ->
      known =
        for {key, _value} <- entries,
            entry = Cache.fetch(table, key),
            entry != :unknown,
            into: %{},
            do: {key, entry}

      {if(known != %{}, do: Cache.last_seen(table)), known}
    end)
  end

  @doc "Loads one key, cached or not."
  @spec load(Cache.table(), Changes.key()) :: {:ok, term()} | :absent | {:error, term()}
  def load(table, key) do
    with :ok <- Cache.held(table) do
      backend = Cache.config(table).backend
      Cache.load(table, key, fn -> Backend.load(backend, key) end)
    end
  end

  # Loads missing ids with one call if the backend supports that; for a single id it is not worth it.
  defp read_together(table, type, [_one, _two | _more] = ids) do
    config = Cache.config(table)

    with true <- Backend.loads_many?(config.backend),
         [_, _ | _] = keys <- unknown(table, type, ids),
         :ok <- Cache.held(table),
         {:ok, loaded} <- Cache.load_many(table, keys, &load_all(config.backend, type, &1)) do
      loaded
    else
      {:error, reason} -> fail!(table, :get, reason)
      _not_worth_it -> %{}
    end
  end

  defp read_together(_table, _type, _ids), do: %{}

  defp unknown(table, type, ids) do
    for id <- Enum.uniq(ids), Cache.fetch(table, {type, id}) == :unknown, do: {type, id}
  end

  defp load_all(backend, type, keys) do
    Backend.load_many(backend, type, Enum.map(keys, &elem(&1, 1)))
  end

  defp read(_table, _type, [], entries, _loaded), do: entries

  defp read(table, type, [id | ids], entries, loaded) do
    case loaded[{type, id}] || entry!(table, {type, id}) do
      {:ok, value} -> read(table, type, ids, Map.put(entries, id, value), loaded)
      :absent -> read(table, type, ids, entries, loaded)
    end
  end

  defp entry!(table, key) do
    with :unknown <- Cache.fetch(table, key),
         {:error, reason} <- load(table, key) do
      fail!(table, :get, reason)
    end
  end
end
