defmodule BaileysEx.Auth.Ownership.RollingDeploymentTest do
  # The sentences of the section "Rolling deployment" of guides/operating.md that no other test covers. The
  # new deployment is a separate VM.
  use ExUnit.Case, async: true

  import BaileysEx.Auth.TempDir
  import ExUnit.CaptureLog

  alias BaileysEx.Auth.{FilePersistence, KeyStore, NativeFilePersistence, NotOwnerError, Owner}
  alias BaileysEx.Auth.KeyStore.OperationError
  alias BaileysEx.Test.{OwnerWorkload, Vm, Wait}

  setup :setup_temp_dir

  for backend <- [NativeFilePersistence, FilePersistence] do
    describe inspect(backend) do
      @describetag backend: backend

      setup %{backend: backend, tmp: tmp} do
        path = Path.join(tmp, "auth")
        options = [persistence_module: backend, persistence_context: path]
        {:ok, path: path, options: options}
      end

      test "a store that only reads what it remembers learns of its loss by itself", context do
        {pid, keys} = start(context)
        :ok = KeyStore.set(keys, %{"lid-mapping": %{"cached" => "1"}})
        assert %{"cached" => "1"} = KeyStore.get(keys, :"lid-mapping", ["cached"])

        log =
          capture_log(fn ->
            new = take_over(context)
            send(committer(pid), :look)
            error = Wait.until(fn -> lost(keys) end)
            assert %NotOwnerError{owner: %Owner{}, place: place} = error
            assert place == context.path
            assert Exception.message(error) =~ error.owner.os_process
            Vm.kill(new)
          end)

        # The log also contains messages about stores of other tests.
        told = "the key store has lost its claim: #{context.path} "
        assert [_, _] = String.split(log, told)
        # Nobody really owns the directory, and the store still does not come back by itself.
        assert lost(keys)
      end

      test "started again, the old deployment takes the directory back", context do
        {pid, keys} = start(context)
        capture_log(fn -> Vm.kill(take_over(context)) end)
        capture_log(fn -> assert_raise OperationError, fn -> write(keys, "stale") end end)
        GenServer.stop(pid)

        {_pid, keys} = start(context)
        :ok = write(keys, "mine again")
        assert {:ok, "mine again"} = context.backend.load_keys(context.path, :"lid-mapping", "a")
        assert {:ok, %Owner{counter: 3} = owner} = context.backend.owner(context.path)
        assert owner.os_process == System.pid()
      end

      test "a refused commit is not tried again, and nothing of it is written", context do
        {_pid, keys} = start(context)
        :ok = write(keys, "before")

        capture_log(fn ->
          Vm.kill(take_over(context))
          # Ten attempts, three seconds apart, would take half a minute.
          task = Task.async(fn -> assert_raise OperationError, fn -> write(keys, "stale") end end)
          assert {:ok, %OperationError{reason: %NotOwnerError{}}} = Task.yield(task, 2_500)
        end)

        # Files may have changed: the next user completes what the killed process had begun.
        assert {:ok, _value} = context.backend.load_keys(context.path, :"lid-mapping", "a")

        for name <- File.ls!(context.path),
            do: refute(File.read!(Path.join(context.path, name)) =~ "stale")
      end

      test "a store that is stopped releases its claim, one that is killed leaves it",
           context do
        {pid, _keys} = start(context)
        assert {:ok, %Owner{counter: 1}} = context.backend.owner(context.path)
        GenServer.stop(pid)
        assert {:ok, nil} = context.backend.owner(context.path)

        Process.flag(:trap_exit, true)
        {pid, _keys} = start(context)
        Process.exit(pid, :kill)
        assert_receive {:EXIT, ^pid, :killed}
        assert {:ok, %Owner{counter: 2}} = context.backend.owner(context.path)
        {_pid, _keys} = start(context)
        assert {:ok, %Owner{counter: 3}} = context.backend.owner(context.path)
      end

      test "what a plain function changed is never overwritten unseen", context do
        {_pid, keys} = start(context)
        :ok = write(keys, "1")
        assert %{"a" => "1"} = KeyStore.get(keys, :"lid-mapping", ["a"])
        :ok = context.backend.save_keys(context.path, :"lid-mapping", "a", "2")

        # A transaction checks for changes before it reads.
        assert "2" ==
                 KeyStore.transaction(keys, "a", fn tx ->
                   KeyStore.get(tx, :"lid-mapping", ["a"])["a"]
                 end)

        # A change between its read and its end makes it fail.
        error =
          assert_raise OperationError, fn ->
            KeyStore.transaction(keys, "a", fn tx ->
              %{"a" => "2"} = KeyStore.get(tx, :"lid-mapping", ["a"])
              :ok = context.backend.save_keys(context.path, :"lid-mapping", "a", "3")
              KeyStore.set(tx, %{"lid-mapping": %{"a" => "2 and more"}})
            end)
          end

        assert {:changed_meanwhile, _module, _path} = error.reason
        assert {:ok, "3"} = context.backend.load_keys(context.path, :"lid-mapping", "a")

        # A change of other keys does not.
        KeyStore.transaction(keys, "a", fn tx ->
          %{"a" => "3"} = KeyStore.get(tx, :"lid-mapping", ["a"])
          :ok = context.backend.save_keys(context.path, :"lid-mapping", "other", "1")
          KeyStore.set(tx, %{"lid-mapping": %{"a" => "4"}})
        end)

        assert {:ok, "4"} = context.backend.load_keys(context.path, :"lid-mapping", "a")
      end

      test "a set of a cached key is refused if somebody else has changed it", context do
        {_pid, keys} = start(context)
        :ok = write(keys, "1")
        :ok = context.backend.save_keys(context.path, :"lid-mapping", "a", "2")
        error = assert_raise OperationError, fn -> write(keys, "from 1") end
        assert {:changed_meanwhile, _module, _path} = error.reason
        assert %{"a" => "2"} = KeyStore.get(keys, :"lid-mapping", ["a"])
        :ok = write(keys, "from 2")
      end
    end
  end

  test "a second store of this VM is refused under every name of the directory", %{tmp: tmp} do
    path = Path.join(tmp, "auth")
    {:ok, pid} = KeyStore.start_link(persistence_context: path)
    link = Path.join(tmp, "link")
    File.ln_s!(path, link)

    for name <- [path, link, path <> "/", Path.join(tmp, "x/../auth")] do
      assert {:error, {:already_started, ^pid}} = KeyStore.start_link(persistence_context: name)
    end

    # According to its files, this VM owns the copy, but it is another directory.
    copy = Path.join(tmp, "copy")
    File.cp_r!(path, copy)
    {:ok, second} = KeyStore.start_link(persistence_context: copy)
    :ok = KeyStore.set(KeyStore.wrap(second), %{"lid-mapping": %{"a" => "1"}})
    :ok = KeyStore.set(KeyStore.wrap(pid), %{"lid-mapping": %{"a" => "2"}})

    GenServer.stop(pid)
    {:ok, _pid} = KeyStore.start_link(persistence_context: link)
  end

  defp start(context) do
    {:ok, pid} = KeyStore.start_link(context.options)
    {pid, KeyStore.wrap(pid)}
  end

  defp write(keys, value), do: KeyStore.set(keys, %{"lid-mapping": %{"a" => value}})

  # Starts the new deployment, and returns once it has claimed.
  defp take_over(%{backend: backend, path: path}) do
    new = Vm.start(Vm.call(OwnerWorkload, :own, [backend, path, "new"]))

    receive do
      {^new, {:data, {:eol, "claimed " <> _}}} -> new
    after
      30_000 -> flunk("no new deployment")
    end
  end

  defp committer(pid), do: :sys.get_state(pid).committer

  defp lost(keys) do
    KeyStore.get(keys, :"lid-mapping", ["cached"])
    nil
  rescue
    error in OperationError -> error.reason
  end
end
