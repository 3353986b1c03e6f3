defmodule BaileysEx.Auth.KeyStoreTest do
  use ExUnit.Case, async: true

  alias BaileysEx.Auth.{InvalidTermError, KeyStore}
  alias BaileysEx.Auth.KeyStore.{Cache, OperationError, Ref}
  alias BaileysEx.Auth.Lock.Queue
  alias BaileysEx.Test.Backends.{Batch, BothArities, KeyByKey, Minimal, Recovering, Table}
  alias BaileysEx.Test.{Gate, Wait}

  defp start(backend, table, opts \\ []) do
    opts =
      Keyword.merge(
        [persistence_module: backend, persistence_context: table, delay_between_tries_ms: 0],
        opts
      )

    KeyStore.wrap(start_supervised!({KeyStore, opts}, id: make_ref()))
  end

  # The first calls of `callback` get these answers; later calls succeed.
  defp answers(table, callback, answers) do
    counter = :counters.new(1, [])

    Table.before_calls(table, fn called, _args ->
      if called == callback do
        :counters.add(counter, 1, 1)
        Enum.at(answers, :counters.get(counter, 1) - 1, :ok)
      else
        :ok
      end
    end)
  end

  defp text(value), do: %{"lid-mapping": %{"a" => value}}

  describe "starting" do
    test "a child specification fits several stores under one supervisor" do
      tables = [Table.new(), Table.new()]

      children =
        for table <- tables, do: {KeyStore, persistence_module: Batch, persistence_context: table}

      {:ok, supervisor} = Supervisor.start_link(children, strategy: :one_for_one)

      for {_id, pid, :worker, _modules} <- Supervisor.which_children(supervisor) do
        assert %Ref{pid: ^pid} = KeyStore.wrap(pid)
      end

      Supervisor.stop(supervisor)
    end

    test "a child specification with nothing of its own has the module for an id" do
      assert KeyStore.child_spec([]).id == KeyStore
      assert KeyStore.child_spec(persistence_context: "path").id == {KeyStore, "path"}
      assert KeyStore.child_spec(persistence_context: nil).id == KeyStore
    end

    test "by name" do
      start(Batch, Table.new(), name: __MODULE__.Named)
      assert %Ref{pid: pid} = KeyStore.wrap(__MODULE__.Named)
      assert pid == Process.whereis(__MODULE__.Named)
    end

    test "options that cannot work are refused" do
      for {wrong, message} <- [
            {[persistence_module: NoSuchModule], ~r/NoSuchModule is not available/},
            {[persistence_module: "text"], ~r/to be a module/},
            {[persistence_module: Enum], ~r/Enum has no save_keys/},
            {[persistence_module: Batch], ~r/no :persistence_context was given/},
            {[persistence_module: BothArities, max_commit_retries: 0], ~r/:max_commit_retries/},
            {[persistence_module: BothArities, delay_between_tries_ms: -1], ~r/:delay_between/},
            {[persistence_module: BothArities, max_cached_entries: 0], ~r/:max_cached_entries/}
          ] do
        assert_raise ArgumentError, message, fn -> KeyStore.start_link(wrong) end
      end
    end

    test "lets the backend settle an interrupted commit before anything is read" do
      table = Table.new()
      ref = start(Recovering, table)
      KeyStore.get(ref, :session, ["a"])
      assert Table.calls(table) == [{:recover, []}, {:load_keys, [:session, "a"]}]
    end

    test "fails if the backend cannot, and starts nothing" do
      table = Table.new()
      answers(table, :recover, [{:error, :eio}])
      opts = [persistence_module: Recovering, persistence_context: table, name: __MODULE__.Failed]
      assert {:error, %OperationError{action: :start, reason: :eio}} = KeyStore.start_link(opts)
      assert Process.whereis(__MODULE__.Failed) == nil
      assert {:ok, _pid} = start_supervised({KeyStore, opts})
    end

    test "the defaults are those of Baileys" do
      ref = KeyStore.wrap(start_supervised!({KeyStore, persistence_module: BothArities}))
      assert %{tries: 10, pause_ms: 3_000} = Cache.config(ref.table)
    end

    test "the default backend is the native one" do
      {:ok, tmp: tmp} = BaileysEx.Auth.TempDir.setup_temp_dir(%{})
      ref = KeyStore.wrap(start_supervised!({KeyStore, persistence_context: tmp}))
      assert Cache.config(ref.table).backend.module == BaileysEx.Auth.NativeFilePersistence
    end
  end

  describe "dispatch" do
    test "takes the widest arity when a context is given, also if that is nil" do
      for context <- ["path", nil] do
        ref = start(BothArities, context, max_commit_retries: 1)
        assert KeyStore.get(ref, :session, ["a"]) == %{"a" => :context_aware}
        error = assert_raise OperationError, fn -> KeyStore.set(ref, text("1")) end
        assert error.reason == :context_aware
        error = assert_raise OperationError, fn -> KeyStore.clear(ref) end
        assert error.reason == :context_aware
      end
    end

    test "calls without a context when none is given" do
      pid = start_supervised!({KeyStore, persistence_module: BothArities, max_commit_retries: 1})
      ref = KeyStore.wrap(pid)
      assert KeyStore.get(ref, :session, ["a"]) == %{"a" => :context_free}
      error = assert_raise OperationError, fn -> KeyStore.set(ref, text("1")) end
      assert error.reason == :context_free
    end

    test "falls back to the context-free callbacks of a backend that has no others" do
      Minimal.use_table(Table.new())
      ref = start(Minimal, "ignored")
      assert KeyStore.set(ref, text("1")) == :ok
      assert KeyStore.get(start(Minimal, "ignored"), :"lid-mapping", ["a"]) == %{"a" => "1"}
    end
  end

  describe "reading" do
    test "asks the backend once, also for what is not there" do
      table = Table.new()
      Table.put(table, :"lid-mapping", "a", "1")
      ref = start(Batch, table)

      for _ <- 1..3, do: assert(KeyStore.get(ref, :"lid-mapping", ["a", "b"]) == %{"a" => "1"})

      assert Table.calls(table) == [
               {:load_keys, [:"lid-mapping", "a"]},
               {:load_keys, [:"lid-mapping", "b"]}
             ]
    end

    test "does not ask the backend for what was written or deleted" do
      table = Table.new()
      ref = start(Batch, table)
      KeyStore.set(ref, %{"lid-mapping": %{"a" => "1", "b" => nil}})
      assert KeyStore.get(ref, :"lid-mapping", ["a", "b"]) == %{"a" => "1"}
      assert Table.count(table, :load_keys) == 0
    end

    test "messages no process for what is cached" do
      ref = start(Batch, Table.new())
      KeyStore.set(ref, text("1"))
      KeyStore.get(ref, :"lid-mapping", ["b"])
      :sys.suspend(ref.pid)
      assert KeyStore.get(ref, :"lid-mapping", ["a", "b"]) == %{"a" => "1"}
      :sys.resume(ref.pid)
    end

    test "of a key that cannot be read raises, and reads it again the next time" do
      table = Table.new()
      Table.put(table, :"lid-mapping", "a", "1")
      answers(table, :load_keys, [{:error, :eio}])
      ref = start(Batch, table)

      error = assert_raise OperationError, fn -> KeyStore.get(ref, :"lid-mapping", ["a"]) end
      assert {error.action, error.reason} == {:get, :eio}
      assert Exception.message(error) == "key store could not read: :eio"
      assert KeyStore.get(ref, :"lid-mapping", ["a"]) == %{"a" => "1"}
    end

    test "never caches a value that was loaded before a commit ended" do
      for change <- [
            &KeyStore.set(&1, text("new")),
            &KeyStore.set(&1, text(nil)),
            &KeyStore.clear/1
          ] do
        table = Table.new()
        Table.put(table, :"lid-mapping", "a", "old")
        ref = start(Batch, table)

        # The gate comes after the disk access: a call that passes it later has read earlier.
        Gate.close(table, [:load_keys])
        loader = Task.async(fn -> KeyStore.get(ref, :"lid-mapping", ["a"]) end)
        gate = Gate.arrived(:load_keys)
        change.(ref)
        Gate.open(gate, {:ok, "old"})
        assert Task.await(loader) == %{"a" => "old"}

        Table.before_calls(table, fn _callback, _args -> :ok end)
        on_disk = for {{_type, id}, value} <- Table.contents(table), into: %{}, do: {id, value}
        assert KeyStore.get(ref, :"lid-mapping", ["a"]) == on_disk
      end
    end

    test "is not held up by a reader that was killed while it was loading" do
      table = Table.new()
      Table.put(table, :"lid-mapping", "a", "1")
      ref = start(Batch, table)
      Gate.close(table, [:load_keys])
      reader = spawn(fn -> KeyStore.get(ref, :"lid-mapping", ["a"]) end)
      Gate.arrived(:load_keys)
      Process.exit(reader, :kill)
      Gate.close(table, [])
      assert KeyStore.get(ref, :"lid-mapping", ["a"]) == %{"a" => "1"}
      assert KeyStore.get(ref, :"lid-mapping", ["a"]) == %{"a" => "1"}
      assert Table.count(table, :load_keys) == 2
    end
  end

  describe "committing" do
    test "is one call of the backend for all keys" do
      table = Table.new()
      ref = start(Batch, table)
      changes = %{"lid-mapping": %{"a" => "1", "b" => "2"}, "device-list": %{"c" => ["3"]}}
      KeyStore.set(ref, changes)

      KeyStore.transaction(ref, "k", fn tx ->
        KeyStore.set(tx, %{"lid-mapping": %{"a" => nil}})
        KeyStore.set(tx, %{"device-list": %{"c" => ["4"]}})
      end)

      assert Table.calls(table) == [
               {:commit_keys, [changes]},
               {:commit_keys, [%{"lid-mapping": %{"a" => nil}, "device-list": %{"c" => ["4"]}}]}
             ]
    end

    test "of nothing calls nobody" do
      table = Table.new()
      ref = start(Batch, table)
      assert KeyStore.set(ref, %{}) == :ok
      assert KeyStore.set(ref, %{session: %{}}) == :ok
      assert KeyStore.transaction(ref, "k", fn _tx -> :read_only end) == :read_only
      assert Table.calls(table) == []
    end

    test "deletes no pre-key that is not there" do
      table = Table.new()
      Table.put(table, :"pre-key", "1", :there)
      ref = start(Batch, table)
      KeyStore.set(ref, %{"pre-key": %{"1" => nil, "2" => nil}})
      KeyStore.set(ref, %{"pre-key": %{"1" => nil}})
      KeyStore.transaction(ref, "k", &KeyStore.set(&1, %{"pre-key": %{"3" => nil}}))

      assert for({:commit_keys, [c]} <- Table.calls(table), do: c) == [
               %{"pre-key": %{"1" => nil}}
             ]

      assert Table.contents(table) == %{}
    end

    test "deletes a pre-key that cannot be read" do
      table = Table.new()
      Table.put(table, :"pre-key", "1", :damaged)
      answers(table, :load_keys, [{:error, :eio}])
      KeyStore.set(start(Batch, table), %{"pre-key": %{"1" => nil}})
      assert Table.contents(table) == %{}
    end

    test "is tried again in its caller, while the store answers others" do
      table = Table.new()
      answers(table, :commit_keys, [{:error, :enospc}])
      ref = start(Batch, table, delay_between_tries_ms: 60_000)
      waiting = spawn(fn -> KeyStore.transaction(ref, "k", &KeyStore.set(&1, text("1"))) end)
      Wait.until(fn -> Table.count(table, :commit_keys) == 1 end)

      assert KeyStore.set(ref, text("2")) == :ok

      assert KeyStore.transaction(ref, "l", &KeyStore.get(&1, :"lid-mapping", ["a"])) == %{
               "a" => "2"
             }

      assert Process.alive?(waiting)
      Process.exit(waiting, :kill)
      assert KeyStore.transaction(ref, "k", fn _tx -> :next end) == :next
      assert Table.contents(table) == %{{:"lid-mapping", "a"} => "2"}
    end

    test "is tried :max_commit_retries times, then raises and has changed nothing" do
      for {backend, callback} <- [{Batch, :commit_keys}, {KeyByKey, :save_keys}] do
        table = Table.new()
        ref = start(backend, table, max_commit_retries: 3)
        KeyStore.set(ref, text("old"))
        Table.forget_calls(table)

        answers(table, callback, List.duplicate({:error, :enospc}, 3))
        error = assert_raise OperationError, fn -> KeyStore.set(ref, text("new")) end
        assert {error.action, error.reason} == {:set, :enospc}
        assert Table.count(table, callback) == 3

        answers(table, callback, List.duplicate({:error, :enospc}, 3))

        error =
          assert_raise OperationError, fn ->
            KeyStore.transaction(ref, "k", &KeyStore.set(&1, text("new")))
          end

        assert {error.action, error.reason} == {:commit, :enospc}
        assert KeyStore.get(ref, :"lid-mapping", ["a"]) == %{"a" => "old"}
        assert Table.contents(table) == %{{:"lid-mapping", "a"} => "old"}

        answers(table, callback, List.duplicate({:error, :enospc}, 2))
        assert KeyStore.set(ref, text("new")) == :ok
      end
    end

    test "that failed but may have happened is not denied: its keys are read again" do
      table = Table.new()
      ref = start(Batch, table, max_commit_retries: 1)
      KeyStore.set(ref, %{"lid-mapping": %{"a" => "old", "b" => "old"}})

      Table.before_calls(table, fn
        :commit_keys, [_changes] -> Table.put(table, :"lid-mapping", "a", "new") && {:error, :eio}
        _callback, _args -> :ok
      end)

      assert_raise OperationError, fn -> KeyStore.set(ref, text("new")) end
      assert KeyStore.get(ref, :"lid-mapping", ["a", "b"]) == %{"a" => "new", "b" => "old"}
    end

    test "is not tried again when that is pointless" do
      table = Table.new()
      refusal = %InvalidTermError{member: nil, problem: "a function cannot be saved"}
      answers(table, :commit_keys, [{:error, refusal}])
      ref = start(Batch, table)
      error = assert_raise OperationError, fn -> KeyStore.set(ref, text("1")) end
      assert error.reason == refusal
      assert Exception.message(error) =~ "a function cannot be saved"
      assert Table.count(table, :commit_keys) == 1
    end

    test "is not tried again in a directory that the backend must not use" do
      for reason <- [
            {:recovery_required, Batch, "path"},
            {:unsupported_persistence_version, Batch, 9},
            {:unexpected_persistence_backend, Batch, "other"},
            {:invalid_persistence_metadata, Batch, "damaged"},
            {:unsupported_journal_version, Batch, 9}
          ] do
        table = Table.new()
        answers(table, :commit_keys, [{:error, reason}])
        ref = start(Batch, table)
        error = assert_raise OperationError, fn -> KeyStore.set(ref, text("1")) end
        assert error.reason == reason
        assert Table.count(table, :commit_keys) == 1
      end
    end

    test "survives a backend that raises, throws, exits or answers nonsense" do
      for {misbehave, reason} <- [
            {fn -> raise "no" end, ~r/RuntimeError in .*key_store_test/},
            {fn -> throw(:no) end, ~r/throw in .*key_store_test/},
            {fn -> exit(:no) end, ~r/exit in .*key_store_test/},
            {fn -> :nonsense end, ~r/neither :ok nor an error/}
          ] do
        table = Table.new()
        ref = start(Batch, table, max_commit_retries: 1)
        Table.before_calls(table, fn _callback, _args -> misbehave.() end)
        assert_raise OperationError, reason, fn -> KeyStore.set(ref, text("1")) end
        assert_raise OperationError, reason, fn -> KeyStore.get(ref, :session, ["a"]) end
        assert_raise OperationError, reason, fn -> KeyStore.clear(ref) end
        Table.before_calls(table, fn _callback, _args -> :ok end)
        assert KeyStore.set(ref, text("1")) == :ok
      end
    end
  end

  describe "clear" do
    test "deletes keys that this store has never read, in one commit" do
      table = Table.new()
      Table.put(table, :session, "never read", 1)
      Table.put(table, :"pre-key", "1", 2)
      ref = start(Batch, table)
      assert KeyStore.clear(ref) == :ok
      assert Table.contents(table) == %{}
      assert Table.count(table, :commit_keys) == 1
      assert Cache.count(ref.table) == 0
      assert KeyStore.get(ref, :session, ["never read"]) == %{}
    end

    test "of a backend that cannot list its keys raises, and deletes none" do
      table = Table.new()
      Minimal.use_table(table)
      ref = start(Minimal, nil)
      KeyStore.set(ref, text("1"))
      error = assert_raise OperationError, fn -> KeyStore.clear(ref) end
      assert error.reason == {:not_supported, :list_keys}
      assert KeyStore.get(ref, :"lid-mapping", ["a"]) == %{"a" => "1"}
    end
  end

  test "nothing stays behind in the store's process" do
    ref = start(Batch, Table.new())
    for n <- 1..50, do: KeyStore.transaction(ref, "#{rem(n, 5)}", &KeyStore.set(&1, text("#{n}")))

    killed =
      for n <- 1..20,
          do:
            spawn(fn ->
              KeyStore.transaction(ref, "#{rem(n, 3)}", fn _ -> Process.sleep(:infinity) end)
            end)

    Enum.each(killed, &Process.exit(&1, :kill))
    Wait.until(fn -> :sys.get_state(ref.pid).locks == Queue.new() end)
    assert Process.info(ref.pid, :monitors) == {:monitors, []}
  end
end
