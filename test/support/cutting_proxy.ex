defmodule BaileysEx.Test.CuttingProxy do
  @moduledoc """
  Stands between a client and a server, and cuts every n-th connection at a request of the client:

    * `:request`: the server receives nothing of it
    * `:answer`: the server has executed it, and the client gets no answer
    * `:late`: the server receives it after the client has lost the connection
  """

  @cuts [:request, :answer, :late]
  @one_in 15
  @late_ms 1_000
  # An incomplete request is not answered, and must not hold locks for ever.
  @patience_ms 2_000

  @doc "Listens on a port of 127.0.0.1 until the calling process ends."
  @spec start!(:inet.port_number()) :: %{port: :inet.port_number(), counts: :counters.t()}
  def start!(server_port) do
    counts = :counters.new(length(@cuts), [])
    caller = self()

    spawn_link(fn ->
      {:ok, listener} = :gen_tcp.listen(0, [:binary, ip: {127, 0, 0, 1}, active: false])
      send(caller, {self(), :inet.port(listener)})
      accept(listener, server_port, counts)
    end)
    |> then(fn proxy -> receive do: ({^proxy, {:ok, port}} -> %{port: port, counts: counts}) end)
  end

  @doc "Returns how many connections were cut in each way."
  @spec cuts(%{counts: :counters.t()}) :: %{atom() => non_neg_integer()}
  def cuts(%{counts: counts}) do
    for {cut, index} <- Enum.with_index(@cuts, 1),
        into: %{},
        do: {cut, :counters.get(counts, index)}
  end

  defp accept(listener, server_port, counts) do
    {:ok, client} = :gen_tcp.accept(listener)

    pid =
      spawn(fn ->
        receive do: (:yours -> serve(client, server_port, counts))
      end)

    :ok = :gen_tcp.controlling_process(client, pid)
    send(pid, :yours)
    accept(listener, server_port, counts)
  end

  defp serve(client, server_port, counts) do
    {:ok, server} = :gen_tcp.connect({127, 0, 0, 1}, server_port, [:binary, active: true])
    :inet.setopts(client, active: true)
    carry(%{client: client, server: server, counts: counts, asked?: false})
  end

  # A request may arrive in several pieces; a connection is cut only at the first of them.
  defp carry(%{client: client, server: server} = ends) do
    receive do
      {:tcp, ^client, bytes} ->
        if ends.asked? or :rand.uniform(@one_in) > 1 do
          :gen_tcp.send(server, bytes)
          carry(%{ends | asked?: true})
        else
          ends.counts |> next_cut() |> cut(ends, bytes)
        end

      {:tcp, ^server, bytes} ->
        :gen_tcp.send(client, bytes)
        carry(%{ends | asked?: false})

      {:tcp_closed, _either} ->
        close(ends)
    end
  end

  # The ways of cutting take turns.
  defp next_cut(counts) do
    {cut, index} = @cuts |> Enum.with_index(1) |> Enum.min_by(&:counters.get(counts, elem(&1, 1)))
    :counters.add(counts, index, 1)
    cut
  end

  defp cut(:request, ends, _bytes), do: close(ends)

  defp cut(:answer, %{server: server} = ends, bytes) do
    :gen_tcp.send(server, rest(ends, bytes))

    receive do
      {:tcp, ^server, _answer} -> close(ends)
      {:tcp_closed, ^server} -> close(ends)
    after
      @patience_ms -> close(ends)
    end
  end

  defp cut(:late, %{client: client, server: server} = ends, bytes) do
    request = rest(ends, bytes)
    :gen_tcp.close(client)
    Process.sleep(:rand.uniform(@late_ms))
    :gen_tcp.send(server, request)

    # If the connection were closed at once, the server would ignore the request.
    receive do
      {:tcp, ^server, _answer} -> :ok
      {:tcp_closed, ^server} -> :ok
    after
      @patience_ms -> :ok
    end

    close(ends)
  end

  defp rest(%{client: client} = ends, bytes) do
    receive do
      {:tcp, ^client, more} -> rest(ends, bytes <> more)
    after
      5 -> bytes
    end
  end

  defp close(ends) do
    :gen_tcp.close(ends.client)
    :gen_tcp.close(ends.server)
  end
end
