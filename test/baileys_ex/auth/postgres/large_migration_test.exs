defmodule BaileysEx.Auth.PostgresLargeMigrationTest do
  # Accounts that are too large for one statement: read in pages, and staged in batches.
  use ExUnit.Case, async: true

  import BaileysEx.Auth.TempDir

  alias BaileysEx.Auth.{
    CorruptRowError,
    DamagedAccountError,
    NativeFilePersistence,
    PersistenceMigration,
    PostgresPersistence,
    State
  }

  alias BaileysEx.Auth.Postgres.Schema
  alias BaileysEx.Test.{PostgresDriver, PostgresLarge, PostgresRows, PostgresServer, Vm}

  @moduletag :postgres
  @moduletag :capture_log
  @moduletag timeout: :infinity

  # 40 MB; and 6 MB, which are two pages, and three batches, two of which are staged.
  @large 10_000
  @many 1_500
  @staged 1_024

  setup :setup_temp_dir

  setup_all do
    directory = PostgresServer.start!()
    connection = PostgresDriver.connect!(directory)
    :ok = Schema.migrate(connection: connection)
    source = [connection: connection, account: "many"]
    PostgresLarge.fill!(source, @many)
    {:ok, directory: directory, source: source}
  end

  setup %{directory: directory} do
    name = "ada #{System.unique_integer([:positive])}"
    {:ok, target: [connection: PostgresDriver.connect!(directory), account: name]}
  end

  defp migrate(source, target, opts \\ []),
    do: PersistenceMigration.migrate(place(source), place(target), opts)

  defp place(path) when is_binary(path), do: {NativeFilePersistence, path}
  defp place(context), do: {PostgresPersistence, context}

  # Returns the rows of the account, and those staged for it.
  defp rows_left(target) do
    for {name, keys} <- PostgresLarge.accounts(target),
        String.ends_with?(name, target[:account]),
        into: %{},
        do: {name, keys}
  end

  # Calls `fun` once, after this many keys.
  defp when_done(count, fun) do
    fn %{done: done} ->
      if done >= count and Process.put({:done, count}, true) == nil, do: fun.()
    end
  end

  test "a migration holds a page and a batch, and never the account", context do
    %{source: source, target: target, tmp: tmp} = context
    large = Keyword.put(source, :account, "large")
    PostgresLarge.fill!(large, @large)
    bytes = PostgresLarge.bytes(large)
    assert bytes > 40_000_000
    native = Path.join(tmp, "native")

    for {from, to} <- [
          {place(large), target},
          {place(large), native},
          {place(native), target},
          {PostgresLarge.rows(@large), target}
        ] do
      {held, result} =
        most_held(fn on_progress ->
          opts = [overwrite?: true, on_progress: on_progress]
          PersistenceMigration.migrate(from, place(to), opts)
        end)

      assert {:ok, %{migrated_keys: @large}} = result
      assert held < div(bytes, 2), "#{inspect(to)}: #{held} of #{bytes} bytes"
    end
  end

  # Returns the maximum number of bytes that the migrating process holds after a step.
  defp most_held(migrate) do
    most = :atomics.new(1, [])

    result =
      migrate.(fn _progress ->
        :erlang.garbage_collect()
        {:binary, binaries} = Process.info(self(), :binary)
        {:memory, memory} = Process.info(self(), :memory)
        sizes = for {_at, size, _references} <- Enum.uniq_by(binaries, &elem(&1, 0)), do: size
        :atomics.put(most, 1, max(:atomics.get(most, 1), memory + Enum.sum(sizes)))
      end)

    {:atomics.get(most, 1), result}
  end

  @tag :long
  test "400 MB are carried in a VM that grows by less than half of that", context do
    large = Keyword.put(context.source, :account, "very large")
    PostgresLarge.fill!(large, 100_000)
    kilobytes = div(PostgresLarge.bytes(large), 1024)

    for {from, to} <- [
          {"postgres:very large", "postgres:copy"},
          {"postgres:very large", "native:#{context.tmp}/native"},
          {"small rows:1000000", "postgres:rows"}
        ] do
      call = Vm.call(PostgresLarge, :migrate, [context.directory, from, to])
      assert {lines, 0} = Vm.run(call, schedulers: 2)
      assert "ok " <> numbers = List.last(lines)
      [keys, grown] = numbers |> String.split() |> Enum.map(&String.to_integer/1)
      IO.puts("#{from} to #{to}: #{keys} keys, #{grown} kB more memory")
      assert grown < div(kilobytes, 2)
    end

    copy = Keyword.put(large, :account, "copy")
    assert PostgresLarge.same_keys(large, copy) == {true, 100_000}
  end

  # The driver gives up after a minute, which a comparison of all keys with all others would exceed.
  test "a large account takes the place of another one in time that grows with their sizes",
       context do
    %{target: target} = context
    target = Keyword.put(target, :prefix, "planned")
    :ok = Schema.migrate(Keyword.take(target, [:connection, :prefix]))
    no_vacuum = "ALTER TABLE planned.baileys_auth_keys SET (autovacuum_enabled = off)"
    [] = PostgresLarge.query(target, no_vacuum, [])

    for _again <- 1..2 do
      assert {:ok, %{migrated_keys: 39_000}} =
               PersistenceMigration.migrate(PostgresLarge.rows(39_000, 1), place(target),
                 overwrite?: true
               )

      # Now the statistics of the server expect no staged keys.
      for table <- ~w(accounts keys),
          do: [] = PostgresLarge.query(target, "ANALYZE planned.baileys_auth_#{table}", [])
    end
  end

  test "a migration takes a statement for each page and each batch, and few more", context do
    %{source: source, target: target} = context
    [from, to] = for account <- [source, target], do: elem(account[:connection], 1)
    before = {PostgresDriver.count(from), PostgresDriver.count(to)}

    assert {:ok, %{migrated_keys: @many, credentials?: true}} = migrate(source, target)

    # The statements: two pages, the number of keys, and the digest.
    assert PostgresDriver.count(from) - elem(before, 0) == 4

    # Version and vacancy; two to begin, and two batches; claim, vacancy, the replacement; the end.
    assert PostgresDriver.count(to) - elem(before, 1) == 2 + (2 + 2) + (2 + 1 + 1) + 1
    assert PostgresLarge.same_keys(source, target) == {true, @many}
    assert rows_left(target) == %{target[:account] => @many}
    assert {creds, _keys} = PostgresRows.of(target)
    assert {^creds, _keys} = PostgresRows.of(source)
  end

  test "a migration of a small account takes six statements in, and one out", context do
    %{target: target, tmp: tmp} = context
    {_module, driver} = target[:connection]
    [small, copy] = for name <- ~w(small copy), do: Path.join(tmp, name)
    :ok = NativeFilePersistence.save_credentials(small, State.new())
    :ok = NativeFilePersistence.save_keys(small, :"lid-mapping", "1555", "8000")

    before = PostgresDriver.count(driver)
    assert {:ok, %{migrated_keys: 1}} = migrate(small, target)
    assert PostgresDriver.count(driver) - before == 6
    assert {:ok, %{migrated_keys: 1}} = migrate(target, copy)
    assert PostgresDriver.count(driver) - before == 6 + 1
  end

  describe "a source that is written to while it is read" do
    setup %{directory: directory} do
      name = "busy #{System.unique_integer([:positive])}"
      source = [connection: PostgresDriver.connect!(directory), account: name]
      PostgresLarge.fill!(source, @many)
      {:ok, source: source, place: "account #{name} in PostgreSQL"}
    end

    test "is told, and nothing is published", context do
      %{source: source, target: target, place: place, tmp: tmp} = context
      native = Path.join(tmp, "native")

      for {_what, change} <- changes(), to <- [target, native] do
        assert {:error, {:source_changed, ^place, []}} =
                 migrate(source, to, on_progress: change_once(source, change))
      end

      assert rows_left(target) == %{}
      refute File.exists?(native)
    end

    test "is published where that is asked for, and told", context do
      %{source: source, target: target, place: place} = context

      for {_what, change} <- changes() do
        opts = [on_change: :ignore, overwrite?: true, on_progress: change_once(source, change)]
        assert {:ok, %{changed: [^place]}} = migrate(source, target, opts)
      end

      assert {:ok, %{changed: []}} = migrate(source, target, on_change: :ignore, overwrite?: true)
      assert PostgresLarge.same_keys(source, target) |> elem(0)
    end

    defp change_once(source, change) do
      number = System.unique_integer([:positive, :monotonic])
      before = make_ref()

      fn _progress ->
        if Process.put(before, true) == nil, do: :ok = change.(source, number)
      end
    end

    defp changes do
      type = :"sender-key-memory"

      [
        key_changed: &PostgresPersistence.save_keys(&1, type, "1@g.us", %{"#{&2}" => true}),
        # A key that sorts before everything that was read.
        key_added: &PostgresPersistence.save_keys(&1, :"device-list", "#{&2}", ["0"]),
        key_deleted: fn source, _number ->
          {:ok, %{^type => ids}} = PostgresPersistence.list_keys(source)
          PostgresPersistence.delete_keys(source, type, hd(ids))
        end,
        credentials: fn source, _number ->
          PostgresPersistence.save_credentials(source, State.new())
        end
      ]
    end

    test "is copied by a snapshot as it was at one moment", context do
      %{source: source, tmp: tmp} = context
      # The first and the last page contain one each, which are always equal.
      pair = fn n ->
        %{"lid-mapping": %{"one" => "#{n}"}, "sender-key-memory": %{"other" => %{"#{n}" => true}}}
      end

      copied = fn path ->
        {:ok, n} = NativeFilePersistence.load_keys(path, :"lid-mapping", "one")

        assert {:ok, %{^n => true}} =
                 NativeFilePersistence.load_keys(path, :"sender-key-memory", "other")

        n
      end

      :ok = PostgresPersistence.commit_keys(source, pair.(0))
      {:ok, driver} = PostgresDriver.start_link(context.directory)
      writing = Keyword.put(source, :connection, {PostgresDriver, driver})

      writer =
        Task.async(fn ->
          for n <- Stream.iterate(1, &(&1 + 1)), Process.sleep(:rand.uniform(400)) do
            :ok = PostgresPersistence.commit_keys(writing, pair.(n))
          end
        end)

      case PostgresPersistence.snapshot(source, Path.join(tmp, "live")) do
        :ok -> copied.(Path.join(tmp, "live"))
        {:error, {:source_changed, _account, []}} -> refute File.exists?(Path.join(tmp, "live"))
      end

      Task.shutdown(writer, :brutal_kill)
      copy = Path.join(tmp, "copy")
      assert :ok = PostgresPersistence.snapshot(source, copy)
      assert {:ok, copied.(copy)} == PostgresPersistence.load_keys(source, :"lid-mapping", "one")
    end
  end

  describe "what is staged" do
    test "is of the newest migration into the account, and the one before ends", context do
      %{source: source, target: target} = context
      place = "account #{target[:account]} in PostgreSQL"
      second = fn -> {:ok, _} = migrate(source, target, overwrite?: true) end
      done = :atomics.new(1, [])

      # Changed before its second batch, and before its end.
      for {keys, last} <- [{600, @staged}, {@many + 1, @many + 1}] do
        at = when_done(keys, second)

        on_progress = fn progress ->
          :atomics.put(done, 1, progress.done)
          at.(progress)
        end

        assert {:error, {:target_changed_meanwhile, ^place}} =
                 migrate(source, target, overwrite?: true, on_progress: on_progress)

        # The batch that detects the change is the last one.
        assert :atomics.get(done, 1) <= last
        assert PostgresLarge.same_keys(source, target) == {true, @many}
        assert rows_left(target) == %{target[:account] => @many}
      end
    end

    test "is all there, or nothing is published", context do
      %{source: source, target: target} = context
      :ok = PostgresPersistence.save_keys(target, :"lid-mapping", "1555", "8000")
      before = PostgresRows.of(target)

      # As on a replica that lacked a batch when it became the primary.
      lose = fn ->
        sql = """
        DELETE FROM baileys_auth_keys WHERE account = $1::text AND id = '100@g.us' RETURNING id
        """

        [["100@g.us"]] = PostgresLarge.query(target, sql, [<<1>> <> target[:account]])
      end

      assert {:error, {:target_changed_meanwhile, _place}} =
               migrate(source, target, overwrite?: true, on_progress: when_done(@staged, lose))

      assert PostgresRows.of(target) == before
      assert rows_left(target) == %{target[:account] => 1}
      assert {:ok, nil} = PostgresPersistence.owner(target)
    end

    test "goes with a migration that fails, or raises", context do
      %{source: source, target: target} = context
      :ok = PostgresPersistence.save_keys(target, :"lid-mapping", "1555", "8000")
      before = PostgresRows.of(target)
      stop = when_done(@staged, fn -> raise "stopped" end)

      assert_raise RuntimeError, "stopped", fn ->
        migrate(source, target, overwrite?: true, on_progress: stop)
      end

      damaged = Keyword.put(source, :account, "damaged #{target[:account]}")
      PostgresLarge.fill!(damaged, @many)

      for id <- ["1@g.us", "9@g.us"] do
        sql =
          "UPDATE baileys_auth_keys SET value = '\\x83' WHERE account = $1::text AND id = $2::text"

        PostgresLarge.query(damaged, sql, [damaged[:account], id])
      end

      assert {:error, %DamagedAccountError{rows: [_, _] = rows}} =
               migrate(damaged, target, overwrite?: true)

      assert [%CorruptRowError{id: "1@g.us"}, %{id: "9@g.us"}] = Enum.sort_by(rows, & &1.id)
      assert PostgresRows.of(target) == before
      assert Map.delete(rows_left(target), damaged[:account]) == %{target[:account] => 1}

      assert {:ok, %{migrated_keys: kept, skipped: [_, _]}} =
               migrate(damaged, target, overwrite?: true, on_corrupt: :skip)

      assert kept == @many - 2
      assert {:ok, report} = PostgresPersistence.verify(target)
      assert report.families == %{"sender-key-memory": kept}
    end

    test "goes with the next migration, large or small, and when the account is deleted",
         context do
      %{source: source, target: target, directory: directory, tmp: tmp} = context
      small = Path.join(tmp, "small")
      :ok = NativeFilePersistence.save_credentials(small, State.new())
      # It has a key that the next one does not have.
      other = Keyword.put(source, :account, "other than #{target[:account]} has")
      PostgresLarge.fill!(other, @many)
      :ok = PostgresPersistence.save_keys(other, :"device-list", "1555", ["0"])

      for {sweep, keys} <- [
            {fn -> migrate(source, target, overwrite?: true) end, @many},
            {fn -> migrate(small, target, overwrite?: true) end, 0},
            {fn -> {PostgresPersistence.delete_auth_state(target), :deleted} end, 0}
          ] do
        {pid, monitor} = spawn_monitor(fn -> migrate_and_die(other, target, directory) end)
        assert_receive {:DOWN, ^monitor, :process, ^pid, :killed}, 60_000
        staged = rows_left(target)[<<1>> <> target[:account]]
        assert is_integer(staged) and staged > 500
        assert {:ok, _} = sweep.()
        assert rows_left(target) == %{target[:account] => keys}
      end
    end

    defp migrate_and_die(source, target, directory) do
      {:ok, driver} = PostgresDriver.start_link(directory)
      source = Keyword.put(source, :connection, {PostgresDriver, driver})
      die = when_done(@staged, fn -> Process.exit(self(), :kill) end)
      migrate(source, target, overwrite?: true, on_progress: die)
    end

    test "has a name that no account can have", %{target: target} do
      target = Keyword.put(target, :account, <<1>> <> "ada")

      assert_raise ArgumentError, ~r/U\+0001/, fn -> PostgresPersistence.list_keys(target) end
    end
  end
end
