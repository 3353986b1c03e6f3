defmodule BaileysEx.Auth.KeyStore.Committer do
  @moduledoc false
  # Writes the commits of one store, one after the other, in its own process. The store can thus keep
  # answering, and killing a caller does not interrupt its commit.
  #
  # Commits that arrive while the previous one is being written are written together, which costs the backend
  # one flush. Each caller gets its own result: if such a batch fails, its members are retried alone.

  use GenServer

  alias BaileysEx.Auth.KeyStore.{Backend, Cache, Callers, Stepwise, Tenure}
  alias BaileysEx.Auth.Lock
  alias BaileysEx.Auth.Lock.Queue
  alias BaileysEx.Signal.Store.Changes

  # At this interval, ten thousand stores look twice per millisecond.
  @look_ms 5_000

  # The last element is the number of `Cache.seen/2` under which the changes were made, or `nil`.
  @typep request() ::
           {GenServer.from(), Queue.token() | nil, (() -> Changes.t()), non_neg_integer() | nil}

  @doc "Starts a committer, which holds `lock` during each commit."
  @spec start_link(store :: pid(), Cache.table(), Backend.t(), lock :: term()) ::
          GenServer.on_start()
  def start_link(store, cache, backend, lock) do
    GenServer.start_link(__MODULE__, {{store, cache, backend, lock}, Callers.chain()})
  end

  @doc """
  Commits once, without retrying. With the token of a transaction's lock, that lock stays held until the
  commit is over, even if the caller dies. If the caller has already died, nothing is committed.
  """
  @spec commit(pid(), Queue.token() | nil, Changes.t(), non_neg_integer() | nil) ::
          :ok | {:error, term()}
  def commit(committer, token, changes, seen) do
    GenServer.call(committer, {:commit, token, Changes.hide(changes), seen}, :infinity)
  catch
    :exit, _reason -> {:error, :store_stopped}
  end

  @impl true
  def init({{store, cache, backend, lock}, callers}) do
    Callers.inherit(callers)
    # The end of the store stops this process only after the current commit.
    Process.flag(:trap_exit, true)
    # Messages contain keys: this flag keeps them out of crash dumps and process information.
    Process.flag(:sensitive, true)
    if backend.changes_seen, do: Process.send_after(self(), :look, @look_ms)

    {:ok,
     %{
       store: store,
       place: backend.place_name,
       cache: cache,
       backend: backend,
       lock: lock,
       requests: []
     }}
  end

  @impl true
  def handle_call({:commit, token, changes, seen}, from, state) do
    continue(%{state | requests: [{from, token, changes, seen} | state.requests]})
  end

  def handle_call(_request, from, state) do
    GenServer.reply(from, {:error, :unknown_call})
    continue(state)
  end

  @impl true
  def handle_info(:timeout, state) do
    requests = Enum.reverse(state.requests)
    state = %{state | requests: []}

    case Lock.run_local(state.lock, fn -> write(requests, state) end) do
      :ok -> {:noreply, state}
      :store_stopped -> {:stop, :normal, state}
    end
  end

  # Without this, a store that only reads from its cache would never learn of another owner.
  def handle_info(:look, state) do
    Tenure.look(state.cache, state.backend)
    Process.send_after(self(), :look, @look_ms)
    continue(state)
  rescue
    # The store has ended.
    ArgumentError -> continue(state)
  end

  def handle_info(_message, state), do: continue(state)

  # The timeout fires when the mailbox is empty: every request that has arrived by then takes part.
  defp continue(%{requests: []} = state), do: {:noreply, state}
  defp continue(state), do: {:noreply, state, 0}

  defp write(requests, state) do
    tokens = for {_from, token, _changes, _seen} when token != nil <- requests, do: token

    with {:ok, pinned} <- pin(state.store, tokens) do
      held = MapSet.new(pinned)
      live = Enum.filter(requests, fn {_from, token, _, _} -> token == nil or token in held end)
      batch = Enum.map(live, fn {_from, _token, changes, seen} -> {changes.(), seen} end)
      results = commit_all(batch, state)
      send(state.store, {:unpin, pinned})
      answer(live, results)
    end
  rescue
    error in ArgumentError ->
      # The store was killed during the write, and has no readers any more.
      if Cache.gone?(state.cache), do: :store_stopped, else: reraise(error, __STACKTRACE__)
  end

  # Returns the transactions that still hold their locks; they keep them until `:unpin`. This is not a call,
  # because the store also answers while it is stopping.
  defp pin(store, tokens) do
    monitor = Process.monitor(store)
    send(store, {:pin, tokens, self(), monitor})

    receive do
      {^monitor, answer} ->
        Process.demonitor(monitor, [:flush])
        answer

      {:DOWN, ^monitor, :process, _pid, _reason} ->
        :store_stopped
    end
  end

  @spec answer([request()], [:ok | {:error, term()}]) :: :ok
  defp answer(requests, results) do
    requests
    |> Enum.zip(results)
    |> Enum.each(fn {{from, _token, _changes, _seen}, result} -> GenServer.reply(from, result) end)
  end

  defp commit_all([_, _ | _] = batch, %{backend: backend} = state) do
    alone = fn -> Enum.map(batch, fn {changes, seen} -> commit(changes, seen, state) end) end

    # Changes made under different numbers must not be mixed.
    case batch
         |> Enum.map(fn {_changes, seen} -> seen end)
         |> Enum.reject(&is_nil/1)
         |> Enum.uniq() do
      [_, _ | _] ->
        alone.()

      seen ->
        if Backend.batch?(backend),
          do: together(batch, List.first(seen), alone, state),
          else: alone.()
    end
  end

  defp commit_all(one_or_none, state) do
    Enum.map(one_or_none, fn {changes, seen} -> commit(changes, seen, state) end)
  end

  defp together(batch, seen, alone, state) do
    merged =
      batch |> Enum.map(fn {changes, _seen} -> changes end) |> Enum.reduce(&Changes.merge(&2, &1))

    case commit(merged, seen, state) do
      :ok -> Enum.map(batch, fn _ -> :ok end)
      {:error, _reason} -> alone.()
    end
  end

  defp commit(%Changes{clear?: false, entries: entries}, seen, state),
    do: save(entries, seen, state)

  defp commit(%Changes{clear?: true, entries: entries}, _seen, %{cache: cache} = state) do
    with {:ok, keys} <- Backend.list(state.backend),
         :ok <- save(Map.merge(Map.new(keys, &{&1, nil}), entries), nil, state) do
      Cache.clear(cache)
      Cache.put(cache, entries)
    end
  end

  defp save(entries, _seen, _state) when entries == %{}, do: :ok

  defp save(entries, seen, %{cache: cache, backend: backend}) do
    if Backend.batch?(backend) do
      case Backend.commit(backend, entries, seen) do
        :ok -> Cache.put(cache, entries)
        {:error, reason} -> forget(cache, entries, reason)
      end
    else
      Stepwise.commit(backend, cache, entries)
    end
  end

  # After a failed flush, only the backend's recovery decides what is on disk.
  defp forget(cache, entries, reason) do
    Cache.delete(cache, Map.keys(entries))
    {:error, reason}
  end
end
