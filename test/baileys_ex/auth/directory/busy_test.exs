defmodule BaileysEx.Auth.Directory.BusyTest do
  # Another process of the operating system holds the lock: here `flock` of util-linux.
  use ExUnit.Case, async: true

  import BaileysEx.Auth.TempDir

  alias BaileysEx.Auth.{FilePersistence, LockedError, Native, NativeError, NativeFilePersistence}
  alias BaileysEx.Auth.Directory.Busy

  setup :setup_temp_dir

  if System.find_executable("flock") == nil do
    @moduletag skip: "flock was not found: install util-linux"
  end

  for {backend, format} <- [{NativeFilePersistence, :etf}, {FilePersistence, :json}] do
    describe inspect(backend) do
      setup %{tmp: tmp} do
        path = Path.join(tmp, "auth")
        :ok = unquote(backend).save_keys(path, :"lid-mapping", "1", "2")
        {:ok, path: path}
      end

      test "a write waits in Elixir until the lock is free, and reads do not", %{path: path} do
        holder = hold(path)
        writer = Task.async(fn -> unquote(backend).save_keys(path, :"lid-mapping", "1", "3") end)
        assert Task.yield(writer, 200) == nil
        assert unquote(backend).load_keys(path, :"lid-mapping", "1") == {:ok, "2"}
        release(holder)
        assert Task.await(writer, 10_000) == :ok
        assert unquote(backend).load_keys(path, :"lid-mapping", "1") == {:ok, "3"}
      end

      test "past the limit it says which directory, and who was there", %{path: path} do
        holder = hold(path)
        commit = fn -> Native.store_checkpoint(path, unquote(format)) end
        assert {:error, {:busy, ^path, _} = reason} = Busy.wait(commit, 60)
        release(holder)
        error = NativeError.to_public(reason, unquote(backend))
        assert %LockedError{path: ^path, holder: "process " <> _} = error
        # The last writer, which is this process.
        assert Exception.message(error) =~ "#{path} is locked by process #{System.pid()} on "
        refute Exception.message(error) =~ "backup"
      end
    end
  end

  defp hold(path) do
    lock = Path.join(path, ".baileys_ex.lock")

    port =
      Port.open({:spawn_executable, System.find_executable("flock")}, [
        :binary,
        args: [lock, "sh", "-c", "echo held; read line"]
      ])

    assert_receive {^port, {:data, "held\n"}}, 10_000
    port
  end

  defp release(port), do: Port.command(port, "\n")
end
