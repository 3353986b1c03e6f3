defmodule BaileysEx.Auth.PostgresMigrationTest do
  # Migrations of an account between directories and PostgreSQL, in every direction.
  use ExUnit.Case, async: true

  import BaileysEx.Auth.TempDir
  import BaileysEx.Test.PostgresDriver, only: [start_with_tables: 1]

  alias BaileysEx.Auth.{
    CorruptRowError,
    DamagedAccountError,
    DamagedDirectoryError,
    FilePersistence,
    Fixtures,
    KeyStore,
    NativeFilePersistence,
    NotOwnerError,
    PersistenceMigration,
    PostgresPersistence
  }

  alias BaileysEx.Test.Backends.{CredentialsToo, Table}
  alias BaileysEx.Test.{PostgresDriver, PostgresRows}

  @moduletag :postgres
  @moduletag :capture_log

  setup_all :start_with_tables

  setup :setup_temp_dir

  setup %{directory: directory, tmp: tmp} do
    account = [
      connection: PostgresDriver.connect!(directory),
      account: "ada #{System.unique_integer([:positive])}"
    ]

    json = Fixtures.copy!(:baileys, tmp)
    native = Path.join(tmp, "native")
    {:ok, _} = PersistenceMigration.migrate_compat_json_to_native(json, native)
    {:ok, account: account, json: json, native: native}
  end

  defp migrate(from, to, opts \\ []), do: PersistenceMigration.migrate(from, to, opts)

  describe "a directory" do
    for {backend, name} <- [{FilePersistence, :json}, {NativeFilePersistence, :native}] do
      test "in the #{name} form becomes an account, whole, and stays as it was", context do
        path = Map.fetch!(context, unquote(name))
        before = Fixtures.files!(path)
        me = self()

        assert {:ok, summary} =
                 migrate(
                   {unquote(backend), path},
                   {PostgresPersistence, context.account},
                   on_progress: &send(me, &1)
                 )

        assert_received %{done: 99, total: 99}
        place = "account #{context.account[:account]} in PostgreSQL"

        assert %{
                 source_backend: unquote(backend),
                 source_path: ^path,
                 target_backend: PostgresPersistence,
                 target_path: ^place,
                 migrated_keys: 98,
                 credentials?: true,
                 skipped: [],
                 sender_keys: :buffer
               } = summary

        assert summary.families[:"lid-mapping"] == 42
        assert Fixtures.files!(path) == before

        assert Fixtures.load_all!(PostgresPersistence, context.account) ==
                 Fixtures.load_all!(NativeFilePersistence, context.native)

        assert {:ok, report} = PostgresPersistence.verify(context.account)
        assert report.families == summary.families
        assert report.bytes_read == summary.bytes_written
        assert {:ok, nil} = PostgresPersistence.owner(context.account)
      end
    end

    test "with damage is refused with all of it, and the account is as it was", context do
      for name <- ["session-15559990002.0.json", "pre-key-20.json"],
          do: context.json |> Path.join(name) |> File.write!("{")

      target = {PostgresPersistence, context.account}

      assert {:error, %DamagedDirectoryError{files: [_, _]}} =
               migrate({FilePersistence, context.json}, target)

      assert PostgresRows.of(context.account) == {[], []}

      assert {:ok, %{migrated_keys: 96, skipped: [_, _]}} =
               migrate({FilePersistence, context.json}, target, on_corrupt: :skip)

      context.json |> Path.join("creds.json") |> File.write!("{")
      before = PostgresRows.of(context.account)

      assert {:error, %DamagedDirectoryError{}} =
               migrate({FilePersistence, context.json}, target,
                 on_corrupt: :skip,
                 overwrite?: true
               )

      assert PostgresRows.of(context.account) == before
    end

    test "keeps files of unknown families, both ways", context do
      context.json |> Path.join("somebody's.json") |> File.write!(~s({"a":1}))

      {:ok, summary} =
        migrate(
          {FilePersistence, context.json},
          {PostgresPersistence, context.account},
          unknown: :carry
        )

      assert summary.families[:unknown] == 1
      {:ok, listed} = PostgresPersistence.list_keys(context.account)
      assert listed |> Map.values() |> List.flatten() |> length() == 98

      back = context.json <> "-back"
      {:ok, _} = migrate({PostgresPersistence, context.account}, {FilePersistence, back})
      assert File.read!(Path.join(back, "somebody's.json")) =~ ~s("a":1)
    end
  end

  describe "an account" do
    setup context do
      {:ok, _} = migrate({FilePersistence, context.json}, {PostgresPersistence, context.account})
      {:ok, before: PostgresRows.of(context.account), target: context.json <> "-target"}
    end

    for {backend, name} <- [{FilePersistence, :json}, {NativeFilePersistence, :native}] do
      test "becomes a #{name} directory, and stays as it was", context do
        me = self()

        assert {:ok, summary} =
                 migrate(
                   {PostgresPersistence, context.account},
                   {unquote(backend), context.target},
                   on_progress: &send(me, &1)
                 )

        assert_received %{done: 99, total: 99}
        assert %{migrated_keys: 98, credentials?: true, skipped: []} = summary
        assert summary.families[:session] == 2
        assert PostgresRows.of(context.account) == context.before
        assert {:ok, _report} = unquote(backend).verify(context.target)

        assert Fixtures.load_all!(unquote(backend), context.target) ==
                 Fixtures.load_all!(unquote(backend), Map.fetch!(context, unquote(name)))
      end
    end

    test "remembers the form of group keys that Baileys reads", context do
      # As Baileys 6.7.18 writes them.
      for file <-
            Path.wildcard(context.json <> "/sender-key-1*.json") ++
              Path.wildcard(context.json <> "/sender-key-[!m]*.json") do
        text = file |> File.read!() |> BaileysEx.Test.JSON.decode!()

        with %{"type" => "Buffer", "data" => data} <- text do
          File.write!(file, Base.decode64!(data))
        end
      end

      target = {PostgresPersistence, context.account}
      {:ok, there} = migrate({FilePersistence, context.json}, target, overwrite?: true)
      {:ok, back} = migrate(target, {FilePersistence, context.target})
      assert {there.sender_keys, back.sender_keys} == {:array, :array}
    end

    test "becomes another one", context do
      other = Keyword.put(context.account, :account, "bob of #{context.account[:account]}")

      assert {:ok, summary} =
               migrate({PostgresPersistence, context.account}, {PostgresPersistence, other})

      assert summary.migrated_keys == 98
      assert PostgresRows.of(other) == context.before

      assert {:error, {:invalid_migration_target, _place, :einval}} =
               migrate({PostgresPersistence, other}, {PostgresPersistence, other},
                 overwrite?: true
               )
    end

    test "that exists is replaced only on request, and then its owner is fenced",
         context do
      target = {PostgresPersistence, context.account}
      place = "account #{context.account[:account]} in PostgreSQL"
      {:ok, helper} = PostgresPersistence.use_postgres_auth_state(context.account)
      store = start_supervised!({KeyStore, helper.connect_opts[:signal_store_opts]})
      keys = KeyStore.wrap(store)
      :ok = KeyStore.set(keys, %{"lid-mapping": %{"of the old" => "account"}})
      before = PostgresRows.of(context.account)

      assert {:error, {:target_not_empty, ^place}} =
               migrate({FilePersistence, context.json}, target)

      assert PostgresRows.of(context.account) == before
      :ok = KeyStore.set(keys, %{"lid-mapping": %{"of the old" => "one"}})

      assert {:ok, _} = migrate({FilePersistence, context.json}, target, overwrite?: true)
      brought = PostgresRows.of(context.account)

      assert Fixtures.load_all!(PostgresPersistence, context.account) ==
               Fixtures.load_all!(NativeFilePersistence, context.native)

      assert_raise KeyStore.OperationError, fn ->
        KeyStore.set(keys, %{"lid-mapping": %{"late" => "write"}})
      end

      assert {:error, %NotOwnerError{}} =
               PostgresPersistence.save_credentials(context.account, helper.state)

      assert PostgresRows.of(context.account) == brought
    end

    test "with damage is refused with all of it, and the target is as it was", context do
      for id <- ["20", "21"], do: damage(context.account, id)
      other = Keyword.put(context.account, :account, "bob of #{context.account[:account]}")

      for target <- [
            {FilePersistence, context.target},
            {NativeFilePersistence, context.target},
            {PostgresPersistence, other}
          ] do
        assert {:error, %DamagedAccountError{rows: damaged}} =
                 migrate({PostgresPersistence, context.account}, target)

        assert [%CorruptRowError{type: "pre-key", id: "20"}, %{id: "21"}] =
                 Enum.sort_by(damaged, & &1.id)

        refute File.exists?(context.target)
        assert PostgresRows.of(other) == {[], []}

        assert {:ok, %{migrated_keys: 96, skipped: [_, _]}} =
                 migrate({PostgresPersistence, context.account}, target, on_corrupt: :skip)

        File.rm_rf!(context.target)
      end
    end

    test "with two ids of one file name is refused as a directory", context do
      :ok =
        PostgresPersistence.commit_keys(context.account, %{tctoken: %{"a:b" => %{}, "a-b" => %{}}})

      assert {:error, %DamagedAccountError{rows: [%{type: "tctoken"} = row]}} =
               migrate(
                 {PostgresPersistence, context.account},
                 {NativeFilePersistence, context.target}
               )

      assert Exception.message(row) =~ "another id has the same file name"
    end

    test "that is empty is not a source", context do
      assert {:error, {:not_an_auth_directory, "account nobody in PostgreSQL"}} =
               migrate(
                 {PostgresPersistence, Keyword.put(context.account, :account, "nobody")},
                 {NativeFilePersistence, context.target}
               )

      refute File.exists?(context.target)
    end

    test "is copied to a directory as it is at one moment, while a store writes", context do
      writer = Task.async(fn -> write_pairs(context.account, 1) end)

      for n <- 1..5 do
        copy = "#{context.target}#{n}"
        assert :ok = PostgresPersistence.snapshot(context.account, copy)

        # Both are always written together.
        one = NativeFilePersistence.load_keys(copy, :"lid-mapping", "one")
        assert one == NativeFilePersistence.load_keys(copy, :"lid-mapping", "other")
        assert {:error, _} = PostgresPersistence.snapshot(context.account, copy)
      end

      Task.shutdown(writer)
    end

    defp write_pairs(account, n) do
      :ok =
        PostgresPersistence.commit_keys(account, %{"lid-mapping": %{"one" => n, "other" => n}})

      write_pairs(account, n + 1)
    end

    test "becomes an account of another backend", context do
      table = Table.new()
      :ok = Table.put(table, :session, "old", "account") && :ok
      target = {CredentialsToo, table}

      assert {:error, {:target_not_empty, _module}} =
               migrate({PostgresPersistence, context.account}, target)

      for source <- [{PostgresPersistence, context.account}, {FilePersistence, context.json}] do
        assert {:ok, %{migrated_keys: 98, credentials?: true}} =
                 migrate(source, target, overwrite?: true)

        assert Fixtures.load_all!(CredentialsToo, table) ==
                 Fixtures.load_all!(NativeFilePersistence, context.native)
      end
    end
  end

  test "rows of another store become an account, and an account rows again", context do
    %{account: account, json: json} = context
    {:ok, rows} = PersistenceMigration.export({FilePersistence, json}, prefix: "ada:")
    rows = Enum.shuffle(rows)
    damaged = [{"ada:pre-key-1", "{"} | rows]

    assert {:error, %BaileysEx.Auth.DamagedRowsError{}} =
             migrate(damaged, {PostgresPersistence, account})

    assert {:ok, keys} = PostgresPersistence.list_keys(account)
    assert keys == %{}

    assert {:ok, %{migrated_keys: 98, credentials?: true, prefix: "ada:"}} =
             migrate(rows, {PostgresPersistence, account})

    {:ok, again} = PersistenceMigration.export({PostgresPersistence, account}, prefix: "ada:")
    assert Enum.sort(again) == Enum.sort(rows)
  end

  test "keys are cleared, and the credentials stay", context do
    {:ok, _} = migrate({FilePersistence, context.json}, {PostgresPersistence, context.account})
    {creds, _keys} = PostgresRows.of(context.account)
    assert :ok = PostgresPersistence.clear(context.account)
    assert PostgresRows.of(context.account) == {creds, []}
    assert {:ok, %{registered: true}} = PostgresPersistence.load_credentials(context.account)
  end

  test "impossible migrations are refused with the choices", %{account: account, json: json} do
    account = {PostgresPersistence, account}

    for {from, to, opts, message} <- [
          {{FilePersistence, json}, {FilePersistence, json}, [], "snapshot/2"},
          {{FilePersistence, json}, account, [sender_keys: :array], "is for migrations to JSON"},
          {{FilePersistence, json}, account, [overwrite: true], "unknown options [:overwrite]"},
          {{Table, :table}, account, [], "cannot be the source"},
          {{FilePersistence, json}, {Table, :table}, [], "has no commit_keys/2"}
        ] do
      error = assert_raise(ArgumentError, fn -> migrate(from, to, opts) end)
      assert Exception.message(error) =~ message
    end
  end

  defp damage(account, id) do
    {module, driver} = account[:connection]

    sql = """
    UPDATE baileys_auth_keys SET value = '\\x8368'
    WHERE account = $1::text AND type = 'pre-key' AND id = $2::text
    """

    {:ok, _rows} = module.query(driver, sql, [account[:account], id])
  end
end
