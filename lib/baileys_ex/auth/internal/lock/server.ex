defmodule BaileysEx.Auth.Lock.Server do
  @moduledoc false
  # The node's lock queue. It runs no code of its callers, so nothing can crash it. `acquire/2` and
  # `release/2` also work on the stores, which keep a queue for their transactions.

  use GenServer

  alias BaileysEx.Auth.Lock.Queue

  @doc "Starts a server, or takes over a running one of the same name."
  @spec start_link(keyword()) :: GenServer.on_start()
  def start_link(opts \\ []) do
    with {:error, {:already_started, pid}} <-
           GenServer.start_link(__MODULE__, [], Keyword.take(opts, [:name])) do
      Process.link(pid)
      {:ok, pid}
    end
  end

  @doc """
  Starts the node's server if the application is not started. Nobody supervises it until the application
  starts and takes it over, together with the locks that are held.
  """
  @spec ensure_started() :: :ok
  def ensure_started do
    case GenServer.start(__MODULE__, [], name: __MODULE__) do
      {:ok, _pid} -> :ok
      {:error, {:already_started, _pid}} -> :ok
    end
  end

  @doc "Waits for the caller's turn. Returns `:already_held` if the caller holds the resource."
  @spec acquire(GenServer.server(), Queue.resource()) :: {:ok, Queue.token()} | :already_held
  def acquire(server \\ __MODULE__, resource) do
    GenServer.call(server, {:acquire, resource}, :infinity)
  end

  @spec release(GenServer.server(), Queue.token()) :: :ok
  def release(server \\ __MODULE__, token), do: GenServer.cast(server, {:release, token})

  @doc "Whether nothing is held and nobody is waiting."
  @spec idle?(GenServer.server()) :: boolean()
  def idle?(server \\ __MODULE__), do: GenServer.call(server, :idle?)

  @impl true
  def init([]) do
    # Only for the named server of the node.
    if Process.info(self(), :registered_name) == {:registered_name, __MODULE__},
      do: :ets.new(__MODULE__.Places, [:named_table, :public, read_concurrency: true])

    {:ok, Queue.new()}
  end

  @impl true
  def handle_call({:acquire, resource}, from, queue) do
    {:noreply, Queue.acquire(queue, resource, from)}
  end

  def handle_call(:idle?, _from, queue), do: {:reply, Queue.empty?(queue), queue}
  def handle_call(_request, _from, queue), do: {:reply, {:error, :unknown_call}, queue}

  @impl true
  def handle_cast({:release, token}, queue), do: {:noreply, Queue.release(queue, token)}

  @impl true
  def handle_info({:DOWN, token, :process, _pid, _reason}, queue) do
    {:noreply, Queue.down(queue, token)}
  end

  def handle_info(_message, queue), do: {:noreply, queue}
end
