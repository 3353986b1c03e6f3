defmodule BaileysEx.Auth.KeyStore.RestartTest do
  # Everything acknowledged before `kill -9` of the VM is served after it.
  use ExUnit.Case, async: true

  alias BaileysEx.Auth.KeyStore
  alias BaileysEx.Test.{KillWorkload, Stores}

  @moduletag timeout: 300_000
  @kills 8

  for backend <- Stores.file_backends() do
    test "#{inspect(backend)}: nothing acknowledged is lost in #{@kills} kills, and nothing is torn" do
      backend = unquote(backend)
      path = Stores.new_place(backend)
      on_exit(fn -> Stores.delete_place(path) end)

      acknowledged =
        Enum.reduce(1..@kills, %{}, fn _, before ->
          acknowledged = Map.merge(before, run_and_kill(backend, path))
          check(backend, path, acknowledged)
          acknowledged
        end)

      IO.puts(
        "\n#{inspect(backend)}: #{acknowledged |> Map.values() |> Enum.sum()} transactions survived #{@kills} kills"
      )

      assert map_size(acknowledged) == KillWorkload.callers()
    end
  end

  # Returns the last number that was acknowledged to each caller.
  defp run_and_kill(backend, path) do
    call = "BaileysEx.Test.KillWorkload.run(#{inspect(backend)}, #{inspect(path)})"
    paths = Enum.flat_map(:code.get_path(), &["-pa", List.to_string(&1)])

    port =
      Port.open({:spawn_executable, System.find_executable("elixir")}, [
        :binary,
        :exit_status,
        {:line, 100},
        args: paths ++ ["-e", call]
      ])

    first = await_line(port)
    {:os_pid, os_pid} = Port.info(port, :os_pid)
    Process.sleep(:rand.uniform(150))
    {_output, 0} = System.cmd("kill", ["-9", to_string(os_pid)])
    numbers(port, [first])
  end

  defp await_line(port) do
    assert_receive {^port, {:data, {:eol, line}}}, 30_000
    line
  end

  defp numbers(port, lines) do
    receive do
      {^port, {:data, {:eol, line}}} -> numbers(port, [line | lines])
      # The VM was killed while it printed, so this line is not an acknowledgement.
      {^port, {:data, {:noeol, _part}}} -> numbers(port, lines)
      {^port, {:exit_status, _status}} -> last_numbers(lines)
    end
  end

  defp last_numbers(lines) do
    for line <- Enum.reverse(lines), into: %{} do
      [caller, number] = line |> String.split() |> Enum.map(&String.to_integer/1)
      {caller, number}
    end
  end

  defp check(backend, path, acknowledged) do
    {:ok, pid} = KeyStore.start_link(persistence_module: backend, persistence_context: path)
    ref = KeyStore.wrap(pid)

    for {caller, number} <- acknowledged do
      # Later commits may be there too, whose acknowledgement died with the VM.
      assert KillWorkload.read(ref, caller) >= number
    end

    GenServer.stop(pid)
  end
end
