defmodule BaileysEx.Test.Cluster do
  @moduledoc false
  # Real nodes on this machine, connected to each other over the loopback interface. They are driven through
  # their standard input and output, so that the VM of the tests stays unconnected.

  @start_timeout 30_000

  @doc "Starts `count` connected nodes with this project's code and the application running."
  @spec start(pos_integer()) :: {:ok, [{:peer.server_ref(), node()}]} | {:error, String.t()}
  def start(count) do
    cookie = ~c"c#{System.unique_integer([:positive])}x#{System.os_time()}"

    with :ok <- start_epmd(),
         {:ok, peers} <- start_peers(count, cookie) do
      connect(Enum.map(peers, fn {_peer, node} -> node end), peers)
    end
  end

  @spec call({:peer.server_ref(), node()}, module(), atom(), [term()]) :: term()
  def call({peer, _node}, module, function, args) do
    :peer.call(peer, module, function, args, 60_000)
  end

  @doc "As `kill -9` of the node's operating system process."
  @spec kill({:peer.server_ref(), node()}) :: :ok
  def kill({_peer, _node} = member) do
    os_pid = call(member, :os, :getpid, [])
    {_output, 0} = System.cmd("kill", ["-9", List.to_string(os_pid)])
    :ok
  end

  @spec stop([{:peer.server_ref(), node()}]) :: :ok
  def stop(peers) do
    Enum.each(peers, fn {peer, _node} ->
      try do
        :peer.stop(peer)
      catch
        :exit, _already_gone -> :ok
      end
    end)
  end

  defp start_epmd do
    case System.find_executable("epmd") do
      nil -> {:error, "epmd is not installed"}
      epmd -> with {_output, 0} <- System.cmd(epmd, ["-daemon"]), do: :ok
    end
  end

  defp start_peers(count, cookie) do
    Enum.reduce_while(1..count, {:ok, []}, fn _, {:ok, peers} ->
      case start_peer(cookie) do
        {:ok, peer, node} ->
          {:cont, {:ok, [{peer, node} | peers]}}

        {:error, reason} ->
          stop(peers)
          {:halt, {:error, "no node could be started: #{inspect(reason)}"}}
      end
    end)
  end

  defp start_peer(cookie) do
    :peer.start(%{
      name: :peer.random_name(),
      host: ~c"127.0.0.1",
      longnames: true,
      connection: :standard_io,
      wait_boot: @start_timeout,
      args: [~c"-setcookie", cookie, ~c"-pa" | :code.get_path()],
      env: [{~c"ERL_EPMD_ADDRESS", ~c"127.0.0.1"}]
    })
  catch
    # `peer` exits if a node cannot boot at all.
    :exit, reason -> {:error, reason}
  end

  defp connect([first | others], peers) do
    Enum.each(
      peers,
      &({:ok, _} = call(&1, :application, :ensure_all_started, [:baileys_ex_auth]))
    )

    [leader | _] = peers
    connected = Enum.map(others, &call(leader, :net_kernel, :connect_node, [&1]))

    if Enum.all?(connected, &(&1 == true)) do
      Enum.each(peers, &call(&1, :global, :sync, []))
      {:ok, peers}
    else
      stop(peers)
      {:error, "node #{first} cannot reach the others over 127.0.0.1"}
    end
  end
end
