defmodule BaileysEx.Auth.LockClusterTest do
  use ExUnit.Case, async: true

  alias BaileysEx.Test.{Cluster, LockWorkload}

  @moduletag :tmp_dir

  setup context do
    case Cluster.start(Map.get(context, :nodes, 2)) do
      {:ok, peers} ->
        on_exit(fn -> Cluster.stop(peers) end)
        %{peers: peers}

      {:error, reason} ->
        IO.puts(:stderr, "NOT RUN, no cluster on this machine: #{context.test}: #{reason}")
        %{peers: nil}
    end
  end

  @tag nodes: 3
  test "writers on different nodes lose nothing", %{peers: peers, tmp_dir: dir} do
    if peers do
      path = Path.join(dir, "number")
      File.write!(path, "0")

      longest =
        peers
        |> Enum.map(fn peer ->
          Task.async(fn -> Cluster.call(peer, LockWorkload, :count_up, [path, 4, 50]) end)
        end)
        |> Task.await_many(90_000)
        |> Enum.max()

      assert File.read!(path) == "600"
      IO.puts("\n3 nodes x 4 writers x 50: longest wait for the lock #{div(longest, 1000)} ms")
    end
  end

  test "a node that is killed while holding a lock frees it", %{peers: peers} do
    if peers do
      [holder, other] = peers
      resource = {__MODULE__, :killed}
      Cluster.call(holder, LockWorkload, :hold, [resource])
      refute Cluster.call(other, LockWorkload, :free?, [resource])

      waiter = Task.async(fn -> Cluster.call(other, LockWorkload, :get, [resource]) end)
      refute Task.yield(waiter, 100)
      Cluster.kill(holder)
      assert Task.await(waiter, 60_000) == :had_it
    end
  end

  test "a process that is killed while holding a lock frees it on the other node", context do
    if peers = context.peers do
      [holder, other] = peers
      resource = {__MODULE__, :killed_process}
      pid = Cluster.call(holder, LockWorkload, :hold, [resource])
      waiter = Task.async(fn -> Cluster.call(other, LockWorkload, :get, [resource]) end)
      refute Task.yield(waiter, 100)
      Cluster.call(holder, :erlang, :exit, [pid, :kill])
      assert Task.await(waiter, 60_000) == :had_it
    end
  end
end
