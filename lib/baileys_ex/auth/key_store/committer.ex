defmodule BaileysEx.Auth.KeyStore.Committer do
  @moduledoc false
  # Writes the commits of one store, one after the other, in a process of its own: the store goes on
  # answering, and a caller that is killed leaves no commit half done.
  #
  # Commits that have arrived while the previous one was written are written together, which costs
  # the backend one flush. Each caller gets its own result: when such a batch fails, its members are
  # tried alone.

  use GenServer

  alias BaileysEx.Auth.KeyStore.{Backend, Cache, Stepwise}
  alias BaileysEx.Auth.Lock
  alias BaileysEx.Auth.Lock.Queue
  alias BaileysEx.Signal.Store.Changes

  @typep request() :: {GenServer.from(), Queue.token() | nil, (() -> Changes.t())}

  @doc "`lock` is held during each commit."
  @spec start_link(store :: pid(), Cache.table(), Backend.t(), lock :: term()) ::
          GenServer.on_start()
  def start_link(store, cache, backend, lock) do
    GenServer.start_link(__MODULE__, {store, cache, backend, lock})
  end

  @doc """
  Commits once, without retrying. With the token of the transaction's lock, which stays locked until
  the commit is over even if the caller dies; a caller that died before is not committed.
  """
  @spec commit(pid(), Queue.token() | nil, Changes.t()) :: :ok | {:error, term()}
  def commit(committer, token, changes) do
    GenServer.call(committer, {:commit, token, Changes.hide(changes)}, :infinity)
  catch
    :exit, _reason -> {:error, :store_stopped}
  end

  @impl true
  def init({store, cache, backend, lock}) do
    # Not stopped by the store's end in the middle of a commit, but after it.
    Process.flag(:trap_exit, true)
    # Messages hold keys: they stay out of crash dumps and process information.
    Process.flag(:sensitive, true)
    {:ok, %{store: store, cache: cache, backend: backend, lock: lock, requests: []}}
  end

  @impl true
  def handle_call({:commit, token, changes}, from, state) do
    continue(%{state | requests: [{from, token, changes} | state.requests]})
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

  def handle_info(_message, state), do: continue(state)

  # The timeout comes when the mailbox is empty: whoever is there by then takes part.
  defp continue(%{requests: []} = state), do: {:noreply, state}
  defp continue(state), do: {:noreply, state, 0}

  defp write(requests, state) do
    tokens = for {_from, token, _changes} when token != nil <- requests, do: token

    with {:ok, pinned} <- pin(state.store, tokens) do
      held = MapSet.new(pinned)
      live = Enum.filter(requests, fn {_from, token, _} -> token == nil or token in held end)
      results = commit_all(Enum.map(live, fn {_from, _token, changes} -> changes.() end), state)
      send(state.store, {:unpin, pinned})
      answer(live, results)
    end
  rescue
    error in ArgumentError ->
      # Killed while this was being written, which has no reader any more.
      if Cache.gone?(state.cache), do: :store_stopped, else: reraise(error, __STACKTRACE__)
  end

  # Which of the transactions still hold their locks; they keep them until `:unpin`. Not a call,
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
    |> Enum.each(fn {{from, _token, _changes}, result} -> GenServer.reply(from, result) end)
  end

  defp commit_all([_, _ | _] = batch, %{backend: backend} = state) do
    alone = fn -> Enum.map(batch, &commit(&1, state)) end

    if Backend.batch?(backend) do
      case commit(Enum.reduce(batch, &Changes.merge(&2, &1)), state) do
        :ok -> Enum.map(batch, fn _ -> :ok end)
        {:error, _reason} -> alone.()
      end
    else
      alone.()
    end
  end

  defp commit_all(one_or_none, state), do: Enum.map(one_or_none, &commit(&1, state))

  defp commit(%Changes{clear?: false, entries: entries}, state), do: save(entries, state)

  defp commit(%Changes{clear?: true, entries: entries}, %{cache: cache} = state) do
    with {:ok, keys} <- Backend.list(state.backend),
         :ok <- save(Map.merge(Map.new(keys, &{&1, nil}), entries), state) do
      Cache.clear(cache)
      Cache.put(cache, entries)
    end
  end

  defp save(entries, _state) when entries == %{}, do: :ok

  defp save(entries, %{cache: cache, backend: backend}) do
    if Backend.batch?(backend) do
      case Backend.commit(backend, entries) do
        :ok -> Cache.put(cache, entries)
        {:error, reason} -> forget(cache, entries, reason)
      end
    else
      Stepwise.commit(backend, cache, entries)
    end
  end

  # After a failed flush it is unknown what will be there once the backend has recovered.
  defp forget(cache, entries, reason) do
    Cache.delete(cache, Map.keys(entries))
    {:error, reason}
  end
end
