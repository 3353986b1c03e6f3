defmodule BaileysEx.Auth.TelemetryTest do
  use ExUnit.Case, async: false

  import BaileysEx.Auth.TempDir
  import BaileysEx.Test.FakeTelemetry, only: [setup_telemetry: 1]

  alias BaileysEx.Auth.{
    FilePersistence,
    Fixtures,
    KeyStore,
    Lock,
    NativeFilePersistence,
    PersistenceMigration,
    State,
    Telemetry
  }

  alias BaileysEx.Signal.Store
  alias BaileysEx.Test.{Backends, FakeTelemetry, JSON}

  setup :setup_temp_dir

  describe "with telemetry" do
    setup :setup_telemetry

    for {backend, extension} <- [{FilePersistence, "json"}, {NativeFilePersistence, "etf"}] do
      test "#{inspect(backend)} tells loads and commits, with their outcome", %{tmp: tmp} do
        backend = unquote(backend)
        path = Path.join(tmp, "auth")
        :ok = backend.save_credentials(path, State.new())
        :ok = backend.commit_keys(path, %{"lid-mapping": %{"1" => "2", "2" => "3"}, session: %{}})
        {:error, :not_found} = backend.load_keys(path, :session, "1.0")
        {:ok, _state} = backend.load_credentials(path)
        File.write!(Path.join(path, "session-9.0.#{unquote(extension)}"), "no session")
        {:error, _} = backend.load_keys(path, :session, "9.0")

        events = FakeTelemetry.events()

        assert [
                 {%{changes: 1}, %{types: ["creds"], result: :ok}},
                 {%{changes: 2}, %{types: ["lid-mapping"], result: :ok}}
               ] = of(events, [:commit])

        assert [
                 {_, %{type: "session", result: :not_found}},
                 {_, %{type: "creds", result: :ok}},
                 {_, %{type: "session", result: :error}}
               ] = of(events, [:load])

        for name <- [[:commit], [:load]], {measurements, metadata} <- of(events, name) do
          assert measurements.duration > 0
          assert %{backend: ^backend, path: ^path} = metadata
        end
      end
    end

    test "a commit of nothing is no event", %{tmp: tmp} do
      :ok = NativeFilePersistence.commit_keys(tmp, %{session: %{}})
      assert FakeTelemetry.events() == []
    end

    test "a checkpoint tells, when it is asked for and when a commit makes one", %{tmp: tmp} do
      :ok = NativeFilePersistence.save_keys(tmp, :"lid-mapping", "1", "2")
      assert FakeTelemetry.events([:checkpoint]) == []

      :ok = NativeFilePersistence.checkpoint(tmp)

      assert [{%{count: 1, duration: duration}, metadata}] = FakeTelemetry.events([:checkpoint])
      assert duration > 0
      assert metadata == %{backend: NativeFilePersistence, path: tmp}

      # The journal exceeds four megabytes.
      large = String.duplicate("x", 1_400_000)
      for _ <- 1..4, do: :ok = NativeFilePersistence.save_keys(tmp, :"lid-mapping", "1", large)
      events = FakeTelemetry.events()
      assert [{%{count: 1}, _}] = of(events, [:checkpoint])
      assert length(of(events, [:commit])) == 4
    end

    test "a recovery tells how many commits it found", %{tmp: tmp} do
      crashed = Path.join(tmp, "crashed")
      for id <- 0..3, do: :ok = NativeFilePersistence.save_keys(tmp, :"lid-mapping", id, "x")
      # A copy of the disk, for a VM that has never seen it.
      File.mkdir!(crashed)

      for name <- File.ls!(tmp),
          name != "crashed",
          do: File.cp!("#{tmp}/#{name}", "#{crashed}/#{name}")

      # The lock's note about the journal never reached that disk.
      File.write!(Path.join(crashed, ".baileys_ex.lock"), "")
      FakeTelemetry.events()

      {:ok, "x"} = NativeFilePersistence.load_keys(crashed, :"lid-mapping", "1")
      {:ok, "x"} = NativeFilePersistence.load_keys(crashed, :"lid-mapping", "2")

      assert [{%{count: 1, commits: 3, duration: duration}, metadata}] =
               FakeTelemetry.events([:recovery])

      assert duration > 0
      assert metadata == %{backend: NativeFilePersistence, path: crashed}
    end

    test "a migration tells each step", %{tmp: tmp} do
      source = Path.join(tmp, "source")
      target = Path.join(tmp, "target")
      entries = Map.new(1..600, &{"#{&1}", "x"})
      :ok = FilePersistence.commit_keys(source, %{"lid-mapping": entries})

      {:ok, _summary} =
        PersistenceMigration.migrate_compat_json_to_native(source, target, credentials: :optional)

      steps = FakeTelemetry.events([:migration, :step])
      assert for({%{files: files}, _} <- steps, do: files) == [256, 256, 88]
      assert {%{done: 600, total: 600}, metadata} = List.last(steps)

      assert metadata == %{
               source_backend: FilePersistence,
               target_backend: NativeFilePersistence,
               source_path: source,
               target_path: target
             }
    end

    test "a lock tells how long it was waited for", %{tmp: tmp} do
      test = self()

      holder =
        spawn_link(fn ->
          Lock.run({NativeFilePersistence, tmp}, fn ->
            send(test, :held)
            receive do: (:release -> :ok)
          end)
        end)

      assert_receive :held
      FakeTelemetry.events()

      waiter =
        Task.async(fn -> NativeFilePersistence.save_keys(tmp, :"lid-mapping", "1", "2") end)

      Process.sleep(30)
      send(holder, :release)
      :ok = Task.await(waiter)

      assert [{%{duration: waited}, metadata}] = FakeTelemetry.events([:lock, :wait])
      assert System.convert_time_unit(waited, :native, :millisecond) >= 20
      assert metadata == %{scope: :cluster, backend: NativeFilePersistence, path: tmp}
    end

    test "the key of a transaction, which may be an id, is not told", %{tmp: tmp} do
      pid = start_supervised!({KeyStore, persistence_context: tmp})
      store = Store.wrap_running(pid)

      Store.transaction(store, "session:15551230001", fn tx ->
        Store.set(tx, %{"lid-mapping": %{"15551230001" => "900000000001"}})
      end)

      events = FakeTelemetry.events()
      metadata = for {%{duration: _}, metadata} <- of(events, [:lock, :wait]), do: metadata
      assert %{scope: :transaction} in metadata
      refute inspect(events, limit: :infinity) =~ "15551230001"
    end

    test "a store tells that it claims, loses and releases its directory", %{tmp: tmp} do
      path = Path.join(tmp, "auth")
      {:ok, pid} = KeyStore.start_link(persistence_context: path)

      assert [{%{}, %{backend: NativeFilePersistence, owner: owner}}] =
               FakeTelemetry.events([:owner, :claimed])

      assert {:ok, ^owner} = NativeFilePersistence.owner(path) |> without_counter()
      GenServer.stop(pid)
      assert [{%{}, %{owner: ^owner}}] = FakeTelemetry.events([:owner, :released])

      pid = start_supervised!({KeyStore, persistence_context: path})
      # An operator takes the directory over by hand.
      File.rm!(Path.join(path, ".baileys_ex.owner"))

      log =
        ExUnit.CaptureLog.capture_log(fn ->
          for _ <- 1..2 do
            assert_raise KeyStore.OperationError, fn ->
              KeyStore.set(KeyStore.wrap(pid), %{"lid-mapping": %{"1" => "2"}})
            end
          end
        end)

      assert log =~ "nobody owns it now"
      assert [{%{}, %{owner: nil}}] = FakeTelemetry.events([:owner, :lost])
    end

    test "a store tells its start and its end", %{tmp: tmp} do
      {:ok, pid} = KeyStore.start_link(persistence_context: tmp)

      assert [{%{}, %{backend: NativeFilePersistence, place: ^tmp, pid: ^pid}}] =
               FakeTelemetry.events([:store, :started])

      GenServer.stop(pid)

      assert [{%{duration: lived}, %{place: ^tmp, pid: ^pid, reason: :normal}}] =
               FakeTelemetry.events([:store, :stopped])

      assert lived > 0
    end

    @tag :capture_log
    test "a store tells each time that it tries again, and of what kind the failure was" do
      table = Backends.Table.new()
      opts = [persistence_module: Backends.Batch, persistence_context: table]

      pid =
        start_supervised!({KeyStore, [delay_between_tries_ms: 0, max_commit_retries: 3] ++ opts})

      Backends.Table.before_calls(table, fn _, _ -> {:error, {:enospc, "15551230001"}} end)

      assert_raise KeyStore.OperationError, fn ->
        KeyStore.set(KeyStore.wrap(pid), %{"lid-mapping": %{"1" => "2"}})
      end

      assert [{%{attempt: 1}, metadata}, {%{attempt: 2}, metadata}] =
               FakeTelemetry.events([:store, :retrying])

      assert metadata == %{backend: Backends.Batch, place: nil, action: :set, reason: :enospc}
    end

    test "no event holds a value of a file or an id", %{tmp: tmp} do
      source = Fixtures.copy!(:baileys, tmp)
      target = Path.join(tmp, "native")
      {:ok, _} = PersistenceMigration.migrate_compat_json_to_native(source, target)
      Fixtures.load_all!(NativeFilePersistence, target)
      {:ok, state} = NativeFilePersistence.load_credentials(target)
      events = FakeTelemetry.events()
      printed = inspect(events, limit: :infinity, printable_limit: :infinity)
      assert length(events) > 100
      refute printed =~ "15559990002"
      refute printed =~ inspect(state.noise_key.private)
      refute printed =~ state.adv_secret_key
    end

    test "the default logger writes a line of JSON for each event, failures at any level",
         context do
      path = Path.join(context.tmp, "auth")
      assert Telemetry.attach_default_logger() == :ok
      assert Telemetry.attach_default_logger() == {:error, :already_exists}

      log =
        ExUnit.CaptureLog.capture_log(fn ->
          {:ok, pid} = KeyStore.start_link(persistence_context: path)
          KeyStore.set(KeyStore.wrap(pid), %{"lid-mapping": %{"1" => "2"}})
          File.write!(Path.join(path, "session-9.0.etf"), "no session")
          {:error, _} = NativeFilePersistence.load_keys(path, :session, "9.0")
          GenServer.stop(pid)
        end)

      assert log =~
               ~s([info] {"backend":"BaileysEx.Auth.NativeFilePersistence","event":"store:started")

      assert log =~ ~r/\[warning\] .*"event":"load".*"reason":"corrupt","result":"error"/
      assert log =~ ~r/\[debug\] .*"changes":1,.*"event":"commit"/
      assert log =~ ~r/\[info\] .*"duration_us":\d+,"event":"store:stopped"/

      for [json] <- Regex.scan(~r/{.*}/, log),
          do: assert(%{"source" => "baileys_ex_auth"} = JSON.decode!(json))

      assert Telemetry.detach_default_logger() == :ok
      assert Telemetry.detach_default_logger() == {:error, :not_found}
    end

    test "the default logger writes text, and only the events it was given", %{tmp: tmp} do
      stopped = [:baileys_ex_auth, :store, :stopped]

      assert Telemetry.attach_default_logger(encode: false, level: :notice, events: [stopped]) ==
               :ok

      {:ok, pid} = KeyStore.start_link(persistence_context: tmp)
      log = ExUnit.CaptureLog.capture_log(fn -> GenServer.stop(pid) end)
      assert log =~ ~r/\[notice\] baileys_ex_auth store:stopped .*place=#{Regex.escape(tmp)}/
      refute log =~ "owner:released"
    end

    test "the default logger refuses options that it does not know" do
      for opts <- [
            [levle: :info],
            [level: :loud],
            [encode: :yes],
            [events: [[:other]]],
            [events: :all]
          ] do
        assert_raise ArgumentError, fn -> Telemetry.attach_default_logger(opts) end
      end
    end

    @tag :postgres
    @tag :capture_log
    test "an account in PostgreSQL tells loads and commits as a directory does" do
      alias BaileysEx.Auth.{Postgres, PostgresPersistence}
      alias BaileysEx.Test.{PostgresDriver, PostgresServer}
      directory = PostgresServer.start!()
      connection = PostgresDriver.connect!(directory)
      :ok = Postgres.Schema.migrate(connection: connection)
      ada = [connection: connection, account: "ada"]
      :ok = PostgresPersistence.save_credentials(ada, State.new())
      :ok = PostgresPersistence.commit_keys(ada, %{"lid-mapping": %{"1" => "2", "2" => "3"}})
      :ok = PostgresPersistence.commit_keys(ada, %{session: %{}})
      {:error, :not_found} = PostgresPersistence.load_keys(ada, :session, "1.0")
      {:ok, _state} = PostgresPersistence.load_credentials(ada)

      {:error, _error} =
        PostgresPersistence.save_keys([{:prefix, "none"} | ada], :tctoken, 1, %{})

      events = FakeTelemetry.events()
      place = "account ada in PostgreSQL"

      assert [
               {%{changes: 1}, %{types: ["creds"], result: :ok, path: ^place}},
               {%{changes: 2}, %{types: ["lid-mapping"], result: :ok, reason: nil}},
               {%{changes: 1}, %{types: ["tctoken"], result: :error, reason: :missing_table}}
             ] = of(events, [:commit])

      assert [{_, %{type: "session", path: ^place}}, {_, %{type: "creds", result: :ok}}] =
               of(events, [:load])
    end

    test "every event is documented, and every documented one exists" do
      {:docs_v1, _, _, _, %{"en" => doc}, _, _} = Code.fetch_docs(Telemetry)

      documented =
        for [_, names] <- Regex.scan(~r/^\| `\[(:baileys_ex_auth[^\]]*)\]`/m, doc) do
          for name <- String.split(names, ", "), do: name |> String.trim(":") |> String.to_atom()
        end

      assert documented == Telemetry.events()
    end
  end

  describe "the kind of a failure" do
    test "is an atom that holds no value" do
      alias BaileysEx.Auth.{CorruptFileError, DatabaseError, NotOwnerError}

      for {reason, kind} <- [
            {:enospc, :enospc},
            {%CorruptFileError{path: "secret", member: "m", problem: "p"}, :corrupt},
            {%DatabaseError{place: "ada", kind: :unavailable}, :unavailable},
            {%NotOwnerError{place: "ada", owner: nil}, :not_owner},
            {{:changed_meanwhile, NativeFilePersistence, "path"}, :changed_meanwhile},
            {"a text", :other},
            {%RuntimeError{message: "secret"}, :other},
            {{"secret"}, :other},
            {[:secret], :other}
          ] do
        assert %{result: :error, reason: ^kind} = Telemetry.outcome({:error, reason})
      end
    end
  end

  describe "without telemetry" do
    test "nothing is called, and everything works", %{tmp: tmp} do
      refute Code.ensure_loaded?(:telemetry)
      refute Telemetry.enabled?()
      # A call to a missing module ends in the error handler.
      :erlang.trace_pattern({:error_handler, :undefined_function, 3}, true, [])
      :erlang.trace(:all, true, [:call])

      source = Fixtures.copy!(:baileys, tmp)
      target = Path.join(tmp, "native")
      {:ok, _} = PersistenceMigration.migrate_compat_json_to_native(source, target)
      :ok = NativeFilePersistence.save_keys(target, :"lid-mapping", "1", "2")
      :ok = NativeFilePersistence.checkpoint(target)
      {:ok, "2"} = NativeFilePersistence.load_keys(target, :"lid-mapping", "1")

      :erlang.trace(:all, false, [:call])
      refute_received {:trace, _, :call, {:error_handler, :undefined_function, [:telemetry | _]}}
    end
  end

  defp of(events, name) do
    for {[:baileys_ex_auth | ^name], measurements, metadata} <- events do
      {measurements, metadata}
    end
  end

  # The backend sets the counter.
  defp without_counter({:ok, owner}), do: {:ok, %{owner | counter: 0}}
end
