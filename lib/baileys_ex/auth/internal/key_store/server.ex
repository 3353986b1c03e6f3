defmodule BaileysEx.Auth.KeyStore.Server do
  @moduledoc false
  # The process of a key store. It owns the table and the locks of the transactions. It neither reads nor
  # writes the backend, so that it can always answer.

  use GenServer

  alias BaileysEx.Auth.KeyStore.{Backend, Cache, Callers, Committer, Tenure}
  alias BaileysEx.Auth.Lock.Queue
  alias BaileysEx.Signal.Store.Running

  # Less than the five seconds after which a supervisor kills.
  @last_commit_ms 4_000

  @type config() :: %{
          store: module(),
          backend: Backend.t(),
          tenure: Tenure.t(),
          callers: [pid()],
          lock: term(),
          tries: pos_integer(),
          pause_ms: non_neg_integer(),
          max_entries: pos_integer() | :infinity
        }

  @spec start_link(config(), GenServer.options()) :: GenServer.on_start()
  def start_link(config, opts), do: GenServer.start_link(__MODULE__, config, opts)

  @impl true
  def init(config) do
    Process.flag(:trap_exit, true)
    Callers.inherit(config.callers)
    cache = Cache.new(config.max_entries)
    {:ok, committer} = Committer.start_link(self(), cache, config.backend, config.lock)

    Cache.put_config(cache, %{
      backend: config.backend,
      owner: config.tenure.owner,
      committer: committer,
      tries: config.tries,
      pause_ms: config.pause_ms
    })

    :ok = Tenure.occupy(config.tenure, cache)
    # Everything cached from here on is compared with the current state.
    Tenure.look(cache, config.backend)
    Tenure.started(config.backend)

    {:ok,
     %{
       store: config.store,
       # Lets a crash report show which account it concerns.
       place: config.backend.place_name,
       table: cache,
       committer: committer,
       tenure: config.tenure,
       started_at: System.monotonic_time(),
       locks: Queue.new()
     }}
  end

  @impl true
  def handle_call({Running, :describe}, _from, state) do
    {:reply, Running.answer(state.store, state.table), state}
  end

  def handle_call({:acquire, key}, from, state) do
    {:noreply, %{state | locks: Queue.acquire(state.locks, key, from)}}
  end

  def handle_call(_request, _from, state), do: {:reply, {:error, :unknown_call}, state}

  @impl true
  def handle_cast({:release, token}, state) do
    {:noreply, %{state | locks: Queue.release(state.locks, token)}}
  end

  @impl true
  def handle_info({:pin, tokens, committer, tag}, state) do
    {pinned, locks} =
      Enum.reduce(tokens, {[], state.locks}, fn token, {pinned, locks} ->
        case Queue.pin(locks, token) do
          {:ok, locks} -> {[token | pinned], locks}
          :error -> {pinned, locks}
        end
      end)

    send(committer, {tag, {:ok, pinned}})
    {:noreply, %{state | locks: locks}}
  end

  def handle_info({:unpin, tokens}, state) do
    {:noreply, %{state | locks: Enum.reduce(tokens, state.locks, &Queue.unpin(&2, &1))}}
  end

  def handle_info({:DOWN, token, :process, _pid, _reason}, state) do
    {:noreply, %{state | locks: Queue.down(state.locks, token)}}
  end

  # The reason could contain the values that were being written. Stopping here would log it with this message,
  # the last one.
  def handle_info({:EXIT, committer, _reason}, %{committer: committer} = state) do
    {:noreply, state, {:continue, :committer_stopped}}
  end

  def handle_info(_message, state), do: {:noreply, state}

  @impl true
  def handle_continue(:committer_stopped, state),
    do: {:stop, {:committer_stopped, state.place}, state}

  # Lets the current commit finish, and starts no other.
  @impl true
  def terminate(reason, %{committer: committer, tenure: tenure} = state) do
    monitor = Process.monitor(committer)
    Process.exit(committer, :shutdown)
    await_end(monitor)
    Tenure.finish(tenure)
    Tenure.stopped(tenure.backend, state.started_at, reason)
  end

  defp await_end(monitor) do
    receive do
      {:DOWN, ^monitor, :process, _pid, _reason} ->
        :ok

      {:pin, _tokens, committer, tag} ->
        send(committer, {tag, :store_stopped})
        await_end(monitor)
    after
      @last_commit_ms -> :ok
    end
  end
end
