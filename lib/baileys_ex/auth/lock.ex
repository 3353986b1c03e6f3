defmodule BaileysEx.Auth.Lock do
  @moduledoc """
  Mutual exclusion on a resource, which is any term, among the processes of a cluster or of one node.

  `run/2` excludes all other callers of `run/2` for the same resource on all connected nodes. Callers on one
  node are served in order of arrival; the first of each node then competes with those of the other nodes
  through `:global.trans/4`. `run_local/2` is only the first half.

      BaileysEx.Auth.Lock.run({MyBackend, path}, fn -> replace_file(path) end)

  A lock is released when the function returns, raises, throws or exits, and when its process or node dies. If
  the calling process already holds the resource, the function runs at once, and the lock is held until the
  outermost call ends. The two kinds of lock are separate: holding one does not hold the other.

  If a process is killed inside a NIF, its lock is released at once, although the NIF continues. The backends
  of this library therefore work in a process that nobody kills, and this process holds the lock. If the
  caller already holds the lock, they work in the caller.

  A lock does not:

    * order callers of *different* nodes
    * exclude nodes that are not connected: each side of a partition continues. The file backends prevent that
      with an operating system lock
    * detect a deadlock between two processes that each wait for what the other holds
    * stop the function if the lock server is killed; `:global` then still excludes callers of `run/2`
  """

  alias BaileysEx.Auth.Lock.Server
  alias BaileysEx.Auth.Telemetry

  # `:global` itself sleeps up to a quarter of a second after the first refusal and eight seconds after the
  # sixth. That is too long for a lock that is held for about a millisecond.
  @first_pause_ms 1
  @longest_pause_ms 32

  @doc """
  Runs `fun` while no other process of the connected nodes runs one for `resource`, and returns its result.
  Waits as long as necessary.

      iex> BaileysEx.Auth.Lock.run({:my_backend, "auth"}, fn -> :done end)
      :done
  """
  @spec run(resource :: term(), (() -> result)) :: result when result: var
  def run(resource, fun) when is_function(fun, 0) do
    started = System.monotonic_time()

    held = fn ->
      report(:cluster, resource, started)
      {:done, fun.()}
    end

    queued({:cluster, resource}, fn -> trans({resource, self()}, held, @first_pause_ms) end, fun)
  end

  @doc false
  # As `run/2`, for work that itself excludes other nodes: if no node is connected, `:global` is not asked to
  # order them.
  @spec run_in_order(resource :: term(), (() -> result)) :: result when result: var
  def run_in_order(resource, fun) when is_function(fun, 0) do
    if Node.list() == [], do: in_line(:cluster, resource, fun), else: run(resource, fun)
  end

  @doc false
  # Whether the calling process is inside a `run/2` for the resource.
  @spec holds?(term()) :: boolean()
  def holds?(resource), do: Process.get({__MODULE__, {:cluster, resource}}, false)

  @doc """
  As `run/2`, but only among the processes of this node.

      iex> BaileysEx.Auth.Lock.run_local({:my_backend, "auth"}, fn -> :done end)
      :done
  """
  @spec run_local(resource :: term(), (() -> result)) :: result when result: var
  def run_local(resource, fun) when is_function(fun, 0), do: in_line(:node, resource, fun)

  defp in_line(scope, resource, fun) do
    started = System.monotonic_time()

    held = fn ->
      report(scope, resource, started)
      fun.()
    end

    queued({scope, resource}, held, fun)
  end

  defp report(scope, resource, started) do
    duration = System.monotonic_time() - started
    Telemetry.execute([:lock, :wait], %{duration: duration}, watched(scope, resource))
  end

  # Other resources may contain ids, or the context of a custom backend, and must not be shown.
  defp watched(:cluster, {backend, path}) when is_atom(backend) and is_binary(path) do
    %{scope: :cluster, backend: backend, path: path}
  end

  defp watched(scope, _resource), do: %{scope: scope}

  defp queued(resource, fun, nested_fun) do
    case acquire(resource) do
      {:ok, token} ->
        Process.put({__MODULE__, resource}, true)

        try do
          fun.()
        after
          Process.delete({__MODULE__, resource})
          Server.release(token)
        end

      :already_held ->
        nested_fun.()
    end
  end

  # A script or a release command may not have started the application.
  defp acquire(resource) do
    Server.acquire(resource)
  catch
    :exit, {:noproc, _call} ->
      :ok = Server.ensure_started()
      Server.acquire(resource)
  end

  # The requester in the id must be the process. If two callers shared a requester, `:global` would take them
  # for the same one and let both in.
  defp trans(id, fun, pause) do
    case :global.trans(id, fun, [node() | Node.list()], 0) do
      {:done, result} ->
        result

      :aborted ->
        Process.sleep(:rand.uniform(pause))
        trans(id, fun, min(pause * 2, @longest_pause_ms))
    end
  end
end
