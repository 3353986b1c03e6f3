defmodule BaileysEx.Auth.KeyStore.ClusterTest do
  # One directory, several nodes.
  use ExUnit.Case, async: true

  alias BaileysEx.Test.{Cluster, ClusterWorkload, Stores}

  @moduletag timeout: 180_000
  @backends [BaileysEx.Auth.NativeFilePersistence, BaileysEx.Auth.FilePersistence]

  setup context do
    case Cluster.start(2) do
      {:ok, peers} ->
        on_exit(fn -> Cluster.stop(peers) end)
        %{peers: peers}

      {:error, reason} ->
        IO.puts(:stderr, "NOT RUN, no cluster on this machine: #{context.test}: #{reason}")
        %{peers: nil}
    end
  end

  for backend <- @backends do
    test "#{inspect(backend)}: commits of several nodes all arrive", %{peers: peers} do
      if peers do
        backend = unquote(backend)
        path = Stores.new_place(backend)
        on_exit(fn -> Stores.delete_place(path) end)

        peers
        |> Enum.with_index()
        |> Enum.map(fn {peer, n} ->
          args = [backend, path, "node#{n}", 4, 25]
          Task.async(fn -> Cluster.call(peer, ClusterWorkload, :write, args) end)
        end)
        |> Task.await_many(120_000)

        expected = for n <- [0, 1], id <- ClusterWorkload.ids("node#{n}", 4, 25), do: id
        {:ok, %{"lid-mapping": ids}} = backend.list_keys(path)
        assert Enum.sort(ids) == Enum.sort(expected)
      end
    end

    test "#{inspect(backend)}: a node takes over from one that is killed", %{peers: peers} do
      if peers do
        backend = unquote(backend)
        [first, second] = peers
        path = Stores.new_place(backend)
        on_exit(fn -> Stores.delete_place(path) end)
        # Both have the directory open: the second one must notice what the first one has left.
        assert Cluster.call(second, ClusterWorkload, :take_over, [backend, path]) == {0, 0}
        report = Cluster.call(second, ClusterWorkload, :start_report, [])
        Cluster.call(first, ClusterWorkload, :count_up, [backend, path, report])
        await_acknowledged(second)
        Process.sleep(:rand.uniform(100))
        Cluster.kill(first)

        {a, b} = Cluster.call(second, ClusterWorkload, :take_over, [backend, path])
        assert a == b
        assert a >= Cluster.call(second, ClusterWorkload, :last_acknowledged, [])
      end
    end
  end

  # The acknowledgements go to the node that survives.
  defp await_acknowledged(peer) do
    if Cluster.call(peer, ClusterWorkload, :last_acknowledged, []) == 0 do
      Process.sleep(10)
      await_acknowledged(peer)
    end
  end
end
