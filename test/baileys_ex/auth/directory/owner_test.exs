defmodule BaileysEx.Auth.Directory.OwnerTest do
  use ExUnit.Case, async: true

  import BaileysEx.Auth.TempDir

  alias BaileysEx.Auth.{Fixtures, Lock, NativeFilePersistence, PersistenceMigration}
  alias BaileysEx.Auth.Directory.Owner

  setup :setup_temp_dir

  setup %{tmp: tmp}, do: {:ok, resource: {__MODULE__, tmp}}

  test "work that has begun ends before the locks are given back, though its caller is killed",
       %{resource: resource} do
    test = self()

    caller =
      spawn(fn ->
        Owner.run([resource], fn call ->
          call.(fn ->
            send(test, {:began, self()})
            receive do: (:go_on -> send(test, :ended))
          end)
        end)
      end)

    assert_receive {:began, owner}
    kill(caller)
    next = Task.async(fn -> Owner.run([resource], & &1.(fn -> send(test, :next) end)) end)
    refute_receive :next, 100
    send(owner, :go_on)
    assert Task.await(next) == :next
    assert_received :ended
    assert {:messages, [:next]} = Process.info(self(), :messages)
  end

  test "work that has not begun when its caller is killed never does", %{resource: resource} do
    test = self()

    caller =
      Lock.run(resource, fn ->
        caller =
          spawn(fn ->
            send(test, :asks)
            Owner.run([resource], & &1.(fn -> send(test, :began) end))
          end)

        assert_receive :asks
        Process.sleep(20)
        kill(caller)
        caller
      end)

    refute Process.alive?(caller)
    assert Owner.run([resource], & &1.(fn -> :free end)) == :free
    refute_received :began
  end

  test "anything raised, thrown or exited with reaches the caller", %{resource: resource} do
    assert_raise RuntimeError, "no", fn -> Owner.run([resource], & &1.(fn -> raise "no" end)) end
    assert catch_throw(Owner.run([resource], & &1.(fn -> throw(:no) end))) == :no
    assert catch_exit(Owner.run([resource], & &1.(fn -> exit(:no) end))) == :no
    assert catch_throw(Owner.run([resource], fn _call -> throw(:no) end)) == :no
    assert Owner.run([resource], & &1.(fn -> :free end)) == :free
  end

  test "whoever holds the lock already owns the directory", %{resource: resource} do
    test = self()
    assert Lock.run(resource, fn -> Owner.run([resource], & &1.(fn -> self() end)) end) == test
    assert Owner.run([resource], & &1.(fn -> self() end)) != test
  end

  test "a migration that is killed during its publication ends before the next commit", %{
    tmp: tmp
  } do
    source = Fixtures.path(:baileys)
    target = Path.join(tmp, "target")
    value = ["0", "7"]

    for _ <- 1..10 do
      test = self()

      migration =
        spawn(fn ->
          PersistenceMigration.migrate_compat_json_to_native(source, target,
            overwrite?: true,
            on_progress: fn %{done: done, total: total} ->
              if done == total, do: send(test, :publishes)
            end
          )
        end)

      assert_receive :publishes, 10_000
      kill(migration)
      :ok = NativeFilePersistence.save_keys(target, :"device-list", "acknowledged", value)
      Process.sleep(20)
      loaded = NativeFilePersistence.load_keys(target, :"device-list", "acknowledged")
      assert loaded == {:ok, value}
    end
  end

  defp kill(pid) do
    monitor = Process.monitor(pid)
    Process.exit(pid, :kill)
    assert_receive {:DOWN, ^monitor, :process, _pid, _reason}
  end
end
