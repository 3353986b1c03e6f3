defmodule BaileysEx.Auth.Lock.Server do
  @moduledoc false
  # The node's lock queue. It runs no code of its callers, so that it has nothing to crash on.

  use GenServer

  alias BaileysEx.Auth.Lock.Queue

  @spec start_link(keyword()) :: GenServer.on_start()
  def start_link(opts \\ []) do
    GenServer.start_link(__MODULE__, [], Keyword.take(opts, [:name]))
  end

  @doc "Waits for the caller's turn. `:already_held` when the caller holds the resource."
  @spec acquire(GenServer.server(), Queue.resource()) :: {:ok, Queue.token()} | :already_held
  def acquire(server \\ __MODULE__, resource) do
    GenServer.call(server, {:acquire, resource}, :infinity)
  end

  @spec release(GenServer.server(), Queue.token()) :: :ok
  def release(server \\ __MODULE__, token), do: GenServer.cast(server, {:release, token})

  @doc "Whether nothing is held and nobody waits."
  @spec idle?(GenServer.server()) :: boolean()
  def idle?(server \\ __MODULE__), do: GenServer.call(server, :idle?)

  @impl true
  def init([]), do: {:ok, Queue.new()}

  @impl true
  def handle_call({:acquire, resource}, {pid, _tag} = from, queue) do
    case Queue.claim(queue, resource, pid, from) do
      {:granted, token, queue} -> {:reply, {:ok, token}, queue}
      {:waiting, queue} -> {:noreply, queue}
      :already_held -> {:reply, :already_held, queue}
    end
  end

  def handle_call(:idle?, _from, queue), do: {:reply, Queue.empty?(queue), queue}

  @impl true
  def handle_cast({:release, token}, queue), do: {:noreply, grant(Queue.release(queue, token))}

  @impl true
  def handle_info({:DOWN, token, :process, _pid, _reason}, queue) do
    {:noreply, grant(Queue.down(queue, token))}
  end

  def handle_info(_message, queue), do: {:noreply, queue}

  defp grant({nil, queue}), do: queue

  defp grant({{token, from}, queue}) do
    GenServer.reply(from, {:ok, token})
    queue
  end
end
