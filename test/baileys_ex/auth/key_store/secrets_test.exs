defmodule BaileysEx.Auth.KeyStore.SecretsTest do
  # Values are marked, everything that can fail does, and all printed text is searched for the marks.
  use ExUnit.Case, async: false

  import ExUnit.CaptureIO
  import ExUnit.CaptureLog

  alias BaileysEx.Auth.{FilePersistence, KeyStore, NativeFilePersistence}
  alias BaileysEx.Auth.KeyStore.OperationError
  alias BaileysEx.Auth.Lock
  alias BaileysEx.Signal.Store
  alias BaileysEx.Signal.Store.Memory
  alias BaileysEx.Test.Backends.{Batch, Database, KeyByKey, Table}
  alias BaileysEx.Test.Gate

  @moduletag :capture_log

  @mark "TOPSECRET"
  @secret %{private: @mark, public: [@mark], nested: {@mark, String.to_charlist(@mark)}}
  @data %{"pre-key": %{"1" => @secret, "2" => @secret}}

  defp start(backend, table) do
    {:ok, pid} =
      KeyStore.start_link(
        persistence_module: backend,
        persistence_context: table,
        max_commit_retries: 1
      )

    KeyStore.wrap(pid)
  end

  defp refute_marked(printed) do
    refute printed =~ @mark
    refute printed =~ inspect(String.to_charlist(@mark), charlists: :as_lists)
    printed
  end

  defp all_of(term), do: inspect(term, limit: :infinity, printable_limit: :infinity)

  test "errors of every kind of backend failure" do
    failures = [
      fn -> {:error, @secret} end,
      fn -> {:error, {:refused, @secret}} end,
      fn -> {:error, {:refused, @mark <> <<0, 255>>}} end,
      fn -> {:error, {:refused, [@secret | @mark]}} end,
      fn -> {:error, String.to_charlist(@mark)} end,
      fn -> @secret end,
      fn -> {:ok, nil, @secret} end,
      fn -> raise ArgumentError, @mark end,
      fn -> Map.fetch!(Process.get(:nothing, @secret), :missing) end,
      fn -> :nobody = Process.get(:nothing, @secret) end,
      fn -> String.upcase(Process.get(:nothing, @secret)) end,
      fn -> throw(@secret) end,
      fn -> exit(@secret) end
    ]

    for backend <- [Batch, KeyByKey], failure <- failures do
      table = Table.new()
      ref = start(backend, table)
      Table.before_calls(table, fn _callback, _args -> failure.() end)

      for ask <- [
            fn -> KeyStore.get(ref, :session, ["a"]) end,
            fn -> KeyStore.set(ref, @data) end,
            fn -> KeyStore.clear(ref) end,
            fn -> KeyStore.transaction(ref, "k", &KeyStore.set(&1, @data)) end
          ] do
        error = assert_raise OperationError, ask
        refute_marked(Exception.message(error))
        refute_marked(all_of(error))
        refute_marked(capture_log(fn -> crash_with(error) end))
      end

      GenServer.stop(ref.pid)
    end
  end

  defp crash_with(error) do
    {pid, monitor} = monitored_task(fn -> raise error end)
    assert_receive {:DOWN, ^monitor, :process, ^pid, _reason}
  end

  # A task logs its crash itself, before it is down.
  defp monitored_task(fun) do
    {:ok, pid} = Task.start(fun)
    {pid, Process.monitor(pid)}
  end

  test "inspecting handles, the processes and what they are doing" do
    table = Table.new()
    ref = start(Batch, table)
    {:links, links} = Process.info(ref.pid, :links)
    [committer] = links -- [self()]
    Gate.close(table, [:commit_keys])
    first = Task.async(fn -> KeyStore.set(ref, @data) end)
    gate = Gate.arrived(:commit_keys)
    waiting = Task.async(fn -> KeyStore.set(ref, @data) end)
    Process.sleep(20)

    for pid <- [ref.pid, committer] do
      refute_marked(all_of(Process.info(pid)))
      refute_marked(all_of(Process.info(pid, [:messages, :dictionary, :current_stacktrace])))
    end

    Gate.open(gate)
    Gate.open(Gate.arrived(:commit_keys))
    Task.await_many([first, waiting])
    Table.before_calls(table, fn _callback, _args -> :ok end)
    KeyStore.get(ref, :"pre-key", ["1", "2"])

    KeyStore.transaction(ref, "k", fn tx ->
      KeyStore.set(tx, @data)
      refute_marked(all_of(tx))
    end)

    for pid <- [ref.pid, committer], do: refute_marked(all_of(:sys.get_status(pid)))
    refute_marked(all_of([ref, %Store{module: KeyStore, ref: ref}]))
  end

  test "processes that are killed while they hold keys" do
    Process.flag(:trap_exit, true)

    for victim <- [:store, :committer] do
      table = Table.new()
      ref = start(Batch, table)
      {:links, links} = Process.info(ref.pid, :links)
      [committer] = links -- [self()]

      printed =
        capture_log(fn ->
          Gate.close(table, [:commit_keys])
          callers = for _ <- 1..3, do: monitored_task(fn -> KeyStore.set(ref, @data) end)
          gate = Gate.arrived(:commit_keys)
          Process.sleep(20)
          Process.exit(if(victim == :store, do: ref.pid, else: committer), :kill)
          Gate.open(gate)

          for {pid, monitor} <- callers,
              do: assert_receive({:DOWN, ^monitor, :process, ^pid, _}, 5_000)
        end)

      assert printed =~ "the store is not running"
      refute_marked(printed)
    end
  end

  test "a context with a password in it" do
    Process.flag(:trap_exit, true)
    context = %{table: Table.new(), password: @mark}
    ref = start(Database, context)
    KeyStore.set(ref, @data)
    {:links, links} = Process.info(ref.pid, :links)
    [committer] = links -- [self()]

    for pid <- [ref.pid, committer] do
      refute_marked(all_of(:sys.get_state(pid)))
      refute_marked(all_of(:sys.get_status(pid)))
    end

    Gate.close(context.table, [:commit_keys])
    waiting = Task.async(fn -> KeyStore.set(ref, @data) end)
    gate = Gate.arrived(:commit_keys)
    refute_marked(all_of(:sys.get_state(Lock.Server)))
    Gate.open(gate)
    Task.await(waiting)

    printed =
      capture_log(fn ->
        monitor = Process.monitor(committer)
        :sys.replace_state(committer, &%{&1 | requests: :crashes_it})
        send(committer, :timeout)
        assert_receive {:DOWN, ^monitor, :process, ^committer, _reason}
      end)

    assert printed =~ "terminating"
    refute_marked(printed)

    contexts = for n <- 1..2, do: %{context | password: @mark <> "#{n}"}
    ids = for context <- contexts, do: KeyStore.child_spec(persistence_context: context).id
    assert ids == Enum.uniq(ids)
    refute_marked(all_of(ids))
  end

  test "stores of one context still take turns" do
    table = Table.new()
    stores = for _ <- 1..2, do: start(Database, %{table: table, password: @mark})
    Gate.close(table, [:commit_keys])
    commits = for ref <- stores, do: Task.async(fn -> KeyStore.set(ref, @data) end)
    gate = Gate.arrived(:commit_keys)
    refute_receive {:at_gate, _, _, _}, 50
    Gate.open(gate)
    Gate.open(Gate.arrived(:commit_keys))
    Task.await_many(commits)
  end

  test "what the committer ended with" do
    Process.flag(:trap_exit, true)
    ref = start(Batch, Table.new())
    %{committer: committer} = :sys.get_state(ref.pid)

    printed =
      capture_log(fn ->
        # The message that a crashed committer would send.
        send(ref.pid, {:EXIT, committer, {@secret, []}})
        pid = ref.pid
        assert_receive {:EXIT, ^pid, {:committer_stopped, _place}}
      end)

    assert printed =~ "committer_stopped"
    refute_marked(printed)
  end

  test "a memory store that stops during a call" do
    Process.flag(:trap_exit, true)
    {:ok, pid} = Memory.start_link()
    store = Store.wrap_running(pid)
    Store.set(store, @data)
    refute_marked(all_of([store, :sys.get_status(pid)]))

    printed =
      capture_log(fn ->
        :sys.suspend(pid)
        {caller, monitor} = monitored_task(fn -> Store.set(store, @data) end)
        Process.sleep(20)
        refute_marked(all_of(Process.info(pid, :messages)))
        Process.exit(pid, :kill)
        assert_receive {:DOWN, ^monitor, :process, ^caller, reason}
        refute_marked(all_of(reason))
      end)

    refute_marked(printed)
  end

  test "an invalid list of keys" do
    for ids <- [nil, @mark, [{1, @mark}], [@mark | @mark], %{"a" => @mark}, [nil], [%{}]] do
      table = Table.new()
      ref = start(Batch, table)

      printed =
        capture_log(fn ->
          for listed <- [%{session: ids}, %{{1, @mark} => []}, MapSet.new([@mark]), [@mark]] do
            Table.before_calls(table, fn
              :list_keys, [] -> {:ok, listed}
              _other, _args -> :ok
            end)

            error = assert_raise OperationError, fn -> KeyStore.clear(ref) end
            assert error.reason == {:bad_return, :list_keys}
          end
        end)

      assert printed == ""
      assert Process.alive?(ref.pid)
    end
  end

  test "functions that are given keys and another handle" do
    ref = start(Batch, Table.new())
    {:ok, memory} = Store.start_link()
    handles = [self(), "text", nil, ref, memory.ref, memory, %Store{module: KeyStore, ref: ref}]

    for {module, struct} <- [{KeyStore, KeyStore.Ref}, {Memory, Memory.Ref}, {Store, Store}],
        handle <- handles,
        not is_struct(handle, struct),
        ask <- [
          fn -> module.set(handle, @data) end,
          fn -> module.get(handle, :"pre-key", [@mark]) end,
          fn -> module.clear(handle) end,
          fn -> module.transaction(handle, @mark, & &1) end,
          fn -> module.in_transaction?(handle) end
        ] do
      {error, stacktrace} =
        try do
          ask.()
        rescue
          error -> {error, __STACKTRACE__}
        end

      assert %ArgumentError{message: "expected " <> _} = error
      refute_marked(all_of({error, stacktrace}))

      refute Enum.any?(stacktrace, fn {_, _, args, _} -> is_list(args) end)
    end

    Store.transaction(memory, "k", fn tx ->
      for set <- [&KeyStore.set/2, &Store.set(&1.ref, &2)] do
        assert_raise ArgumentError, ~r/^expected/, fn -> set.(tx, @data) end
      end
    end)
  end

  @tag :tmp_dir
  test "a value that is in the place of a type or an id", %{tmp_dir: tmp} do
    store = start(Batch, Table.new())
    {:ok, memory} = Store.start_link()
    set = fn id -> %{"pre-key": %{id => "1"}} end

    in_transaction = fn id ->
      KeyStore.transaction(store, "k", &KeyStore.get(&1, :"pre-key", [id]))
    end

    calls = [
      fn secret -> KeyStore.get(store, :"pre-key", [secret]) end,
      fn secret -> KeyStore.set(store, set.(secret)) end,
      in_transaction,
      fn secret -> Store.get(memory, :"pre-key", [secret]) end,
      fn secret -> Store.set(memory, set.(secret)) end
    ]

    of_backends =
      for backend <- [NativeFilePersistence, FilePersistence] do
        [
          fn secret -> backend.load_keys(tmp, :"pre-key", secret) end,
          fn secret -> backend.save_keys(tmp, :"pre-key", secret, 1) end,
          fn secret -> backend.commit_keys(tmp, set.(secret)) end,
          fn secret -> backend.save_keys(tmp, secret, 1, 1) end
        ]
      end

    for call <- List.flatten([calls | of_backends]),
        secret <- [@secret, {@mark, 1}, [@mark, self()], [@mark, 0xD800]] do
      error = assert_raise ArgumentError, fn -> call.(secret) end
      assert Exception.message(error) =~ "that to_string/1 takes"
      refute_marked(all_of(error))
    end
  end

  test "nothing is printed if all goes well" do
    table = Table.new()

    printed =
      capture_io(:stderr, fn ->
        ref = start(Batch, table)
        KeyStore.set(ref, @data)
        KeyStore.clear(ref)
        GenServer.stop(ref.pid)
      end)

    assert printed == ""
  end
end
