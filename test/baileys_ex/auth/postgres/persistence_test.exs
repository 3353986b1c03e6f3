defmodule BaileysEx.Auth.PostgresPersistenceTest do
  use ExUnit.Case, async: true

  import BaileysEx.Auth.PersistenceContract
  import BaileysEx.Test.PostgresDriver, only: [start_with_tables: 1]

  alias BaileysEx.Auth.{
    CorruptRowError,
    DamagedAccountError,
    DatabaseError,
    InvalidKeyError,
    KeyStore,
    NotOwnerError,
    Owner,
    PostgresPersistence,
    State
  }

  alias BaileysEx.Auth.Postgres.Schema
  alias BaileysEx.Test.{PostgresDriver, PostgresRows, PostgresServer}

  @moduletag :postgres
  # The driver's processes log errors when the server ends.
  @moduletag :capture_log
  @backend PostgresPersistence

  setup_all :start_with_tables

  # Each test has its own connection and account.
  setup %{directory: directory} do
    {PostgresDriver, driver} = connection = PostgresDriver.connect!(directory)
    account = "ada #{System.unique_integer([:positive])}"
    {:ok, path: [connection: connection, account: account], driver: driver}
  end

  contract_credentials()
  contract_keys()

  describe "accounts" do
    test "of one database know nothing of each other", %{path: path} do
      other = Keyword.put(path, :account, "bob")
      :ok = @backend.save_keys(path, :"pre-key", 1, pre_key())
      :ok = @backend.commit_keys(other, %{"pre-key": %{1 => nil}})
      assert {:ok, _key} = @backend.load_keys(path, :"pre-key", 1)
      assert {:ok, keys} = @backend.list_keys(other)
      assert keys == %{}
    end

    test "under a prefix are in its schema", %{path: path} do
      named = Keyword.put(path, :prefix, "other_place")
      opts = Keyword.take(named, [:connection, :prefix])

      assert {:error, %DatabaseError{kind: :missing_table}} = @backend.load_credentials(named)
      assert {:error, %DatabaseError{kind: :missing_table}} = @backend.recover(named)
      assert :ok = Schema.migrate(opts)
      assert :ok = Schema.migrate(opts)

      key = pre_key()
      :ok = @backend.save_keys(named, :"pre-key", 1, key)
      assert {:ok, ^key} = @backend.load_keys(named, :"pre-key", 1)
      assert {:error, :not_found} = @backend.load_keys(path, :"pre-key", 1)

      {module, driver} = path[:connection]
      for sql <- Schema.down(opts), do: {:ok, []} = module.query(driver, sql, [])
    end

    test "are set up by a role that may not create schemas", context do
      %{path: path, driver: driver, directory: directory} = context
      {:ok, []} = PostgresDriver.query(driver, "CREATE ROLE tenant LOGIN", [])
      {:ok, []} = PostgresDriver.query(driver, "CREATE SCHEMA tenant AUTHORIZATION tenant", [])
      opts = [connection: PostgresDriver.connect!(directory, "tenant"), prefix: "tenant"]

      assert {:error, %DatabaseError{kind: :refused, code: "42501"}} = Schema.migrate(opts)
      for _ <- 1..2, do: assert(:ok = Schema.migrate(opts ++ [create_schema: false]))
      assert :ok = @backend.save_keys(Keyword.merge(path, opts), :"lid-mapping", "1", "2")
      refute Enum.any?(Schema.up(), &(&1 =~ "CREATE SCHEMA"))
    end

    test "of a newer schema are left alone", %{path: path} do
      opts = [connection: path[:connection], prefix: "newer"]
      :ok = Schema.migrate(opts)
      {module, driver} = path[:connection]
      {:ok, _} = module.query(driver, "INSERT INTO newer.baileys_auth_schema VALUES (99)", [])

      assert {:error, %KeyStore.OperationError{reason: %DatabaseError{kind: :newer_schema}}} =
               KeyStore.start_link(
                 persistence_module: @backend,
                 persistence_context: Keyword.put(path, :prefix, "newer")
               )
    end
  end

  describe "a key" do
    test "of any text is a key of its own", %{path: path} do
      ids = ["a/b", "a__b", "e:f", "e-f", ~s("quoted"), "{x,y}", "\\", "", "x.tmp-1", "ä"]
      :ok = @backend.commit_keys(path, %{"lid-mapping": Map.new(ids, &{&1, &1})})
      for id <- ids, do: assert({:ok, ^id} = @backend.load_keys(path, :"lid-mapping", id))
    end

    test "that is no text is refused before anything is asked", %{path: path, driver: driver} do
      for id <- ["a\0b", <<255, 254>>, String.duplicate("x", 1025)] do
        assert {:error, %InvalidKeyError{}} = @backend.save_keys(path, :"lid-mapping", id, "1")
        assert {:error, %InvalidKeyError{}} = @backend.load_keys(path, :"lid-mapping", id)
      end

      assert PostgresDriver.count(driver) == 0
    end

    test "of a type that no atom names is listed as a string", %{path: path} do
      type = "type-#{System.unique_integer([:positive])}"
      :ok = @backend.commit_keys(path, %{type => %{"1" => "x"}})
      assert {:ok, %{^type => ["1"]}} = @backend.list_keys(path)
      assert_raise ArgumentError, fn -> String.to_existing_atom(type) end
    end
  end

  describe "a damaged row" do
    setup %{path: path} do
      :ok = @backend.save_credentials(path, State.new())
      :ok = @backend.commit_keys(path, %{"pre-key": Map.new(1..1200, &{&1, pre_key()})})
    end

    test "is an error that names it, is left alone, and costs that key alone", %{path: path} do
      for bytes <- [<<131, 106, 0>>, <<131>>, <<131, 104>>, hostile()] do
        damage(path, "1", bytes)

        assert {:error, %CorruptRowError{type: "pre-key", id: "1"} = error} =
                 @backend.load_keys(path, :"pre-key", 1)

        assert Exception.message(error) =~ ~s(#{path[:account]} in PostgreSQL: pre-key "1")
        assert {:ok, _} = @backend.load_keys(path, :"pre-key", 2)
        {_creds, rows} = PostgresRows.of(path)
        assert ["pre-key", "1", bytes] in rows
      end
    end

    test "is reported with all others", %{path: path} do
      me = self()
      assert {:ok, %{credentials?: true, families: %{"pre-key": 1200}}} = @backend.verify(path)
      for id <- ["1", "700", "1200"], do: damage(path, id, <<131, 104>>)
      query(path, "UPDATE baileys_auth_accounts SET creds = '\\x83' WHERE account = $1::text", [])

      assert {:error, %DamagedAccountError{rows: damaged} = error} =
               @backend.verify(path, on_progress: &send(me, &1))

      assert Exception.message(error) =~ "4 rows cannot be read"
      assert Enum.map(damaged, & &1.id) == [nil, "1", "1200", "700"]
      for done <- [500, 1000, 1200], do: assert_received(%{done: ^done, total: 1200})
      assert {:error, %CorruptRowError{type: nil}} = @backend.load_credentials(path)
    end

    # Returns a term that would fill the atom table.
    defp hostile do
      atoms = for n <- 1..300, do: <<119, 12, "never#{String.pad_leading("#{n}", 7, "0")}">>
      IO.iodata_to_binary([<<131, 108, 300::32>>, atoms, 106])
    end

    defp damage(path, id, bytes) do
      sql = """
      UPDATE baileys_auth_keys SET value = $3::bytea WHERE account = $1::text AND id = $2::text
      """

      query(path, sql, [id, bytes])
    end

    defp query(path, sql, params) do
      {module, driver} = path[:connection]
      {:ok, _rows} = module.query(driver, sql, [path[:account] | params])
    end
  end

  describe "one statement" do
    setup %{path: path, driver: driver} do
      :ok = @backend.commit_keys(path, %{"pre-key": %{0 => pre_key()}})
      {:ok, before: PostgresDriver.count(driver)}
    end

    test "is a save, a deletion and saved credentials", context do
      :ok = @backend.save_keys(context.path, :"pre-key", 1, pre_key())
      :ok = @backend.delete_keys(context.path, :"pre-key", 1)
      :ok = @backend.save_credentials(context.path, State.new())
      assert PostgresDriver.count(context.driver) - context.before == 3
    end

    test "is a commit of 812 keys", context do
      :ok = @backend.commit_keys(context.path, %{"pre-key": Map.new(1..812, &{&1, pre_key()})})
      assert PostgresDriver.count(context.driver) - context.before == 1
      assert {:ok, %{"pre-key": ids}} = @backend.list_keys(context.path)
      assert length(ids) == 813
    end

    test "is a load of 300 keys", context do
      keys = Map.new(1..300, &{"#{&1}", pre_key()})
      :ok = @backend.commit_keys(context.path, %{"pre-key": keys})
      ids = ["none" | Map.keys(keys)]
      assert {:ok, ^keys} = @backend.load_many(context.path, :"pre-key", ids)
      assert PostgresDriver.count(context.driver) - context.before == 2
    end
  end

  describe "a key store reads" do
    setup %{path: path} do
      keys = Map.new(1..300, &{"#{&1}", pre_key()})
      :ok = @backend.commit_keys(path, %{"pre-key": keys})
      pid = start_supervised!({KeyStore, persistence_module: @backend, persistence_context: path})
      {:ok, keys: keys, store: KeyStore.wrap(pid)}
    end

    test "300 ids by one statement, and then by none", context do
      %{driver: driver, store: store, keys: keys} = context
      ids = ["none" | Map.keys(keys)]
      before = PostgresDriver.count(driver)
      assert KeyStore.get(store, :"pre-key", ids ++ [1]) == keys
      assert PostgresDriver.count(driver) - before == 1
      assert KeyStore.get(store, :"pre-key", ids) == keys
      assert PostgresDriver.count(driver) - before == 1
    end

    test "300 ids by one statement in a transaction, with its own changes", context do
      %{driver: driver, store: store, keys: keys} = context
      before = PostgresDriver.count(driver)

      KeyStore.transaction(store, "1", fn tx ->
        KeyStore.set(tx, %{"pre-key": %{"1" => nil, "301" => "new"}})
        expected = keys |> Map.delete("1") |> Map.put("301", "new")
        assert KeyStore.get(tx, :"pre-key", ["301" | Map.keys(keys)]) == expected
        KeyStore.set(tx, %{"pre-key": %{"1" => keys["1"], "301" => nil}})
      end)

      # The statements: the read, the check for 301, and the commit.
      assert PostgresDriver.count(driver) - before == 3
    end

    test "nothing if one of the ids is damaged, and all the others without it", context do
      %{path: path, store: store, keys: keys} = context
      {module, driver} = path[:connection]

      sql = """
      UPDATE baileys_auth_keys SET value = '\\x83' WHERE account = $1::text AND id = '7'
      """

      {:ok, []} = module.query(driver, sql, [path[:account]])

      error =
        assert_raise(KeyStore.OperationError, fn ->
          KeyStore.get(store, :"pre-key", Map.keys(keys))
        end)

      assert %CorruptRowError{id: "7"} = error.reason
      others = Map.delete(keys, "7")
      assert KeyStore.get(store, :"pre-key", Map.keys(others)) == others
    end
  end

  describe "an owner" do
    test "that another one followed writes nothing", %{path: path, directory: directory} do
      {:ok, other} = PostgresDriver.start_link(directory)
      theirs = Keyword.put(path, :connection, {PostgresDriver, other})
      [mine, newer] = [Owner.new(), Owner.new()]
      newer_id = newer.id

      assert {:ok, nil} = @backend.owner(path)
      :ok = @backend.claim(path, mine)
      :ok = @backend.commit_keys(path, %{"pre-key": %{1 => pre_key()}})
      :ok = @backend.claim(theirs, newer)
      before = PostgresRows.of(path)

      for write <- [
            fn -> @backend.commit_keys(path, %{"pre-key": %{1 => nil, 2 => pre_key()}}) end,
            fn -> @backend.save_keys(path, :"pre-key", 3, pre_key()) end,
            fn -> @backend.save_credentials(path, State.new()) end
          ] do
        assert {:error, %NotOwnerError{owner: %Owner{id: ^newer_id, counter: 2}} = error} =
                 write.()

        assert Exception.message(error) =~ "#{path[:account]} in PostgreSQL is owned by"
      end

      assert PostgresRows.of(path) == before
      :ok = @backend.release(path, mine)
      assert {:ok, %Owner{id: ^newer_id}} = @backend.owner(path)
      assert {:error, %NotOwnerError{}} = @backend.delete_keys(path, :"pre-key", 1)

      :ok = @backend.commit_keys(theirs, %{"pre-key": %{1 => nil}})
      :ok = @backend.release(theirs, newer)
      assert {:ok, nil} = @backend.owner(path)
      # After a release, no claim is needed any more. A lost claim stays lost.
      :ok = @backend.save_keys(theirs, :"pre-key", 4, pre_key())
      assert {:error, %NotOwnerError{owner: nil}} = @backend.save_keys(path, :"pre-key", 5, "x")
    end

    test "that claims while a commit runs waits for it, and a commit waits for a claim",
         %{path: path, directory: directory} do
      {:ok, other} = PostgresDriver.start_link(directory)
      theirs = Keyword.put(path, :connection, {PostgresDriver, other})
      :ok = @backend.claim(path, Owner.new())
      :ok = @backend.save_keys(path, :"pre-key", 1, pre_key())

      # A claim that is not committed yet.
      {:ok, []} = PostgresDriver.query(other, "BEGIN", [])
      newer = Owner.new()
      :ok = @backend.claim(theirs, newer)
      commit = Task.async(fn -> @backend.save_keys(path, :"pre-key", 2, pre_key()) end)
      refute Task.yield(commit, 200)
      {:ok, []} = PostgresDriver.query(other, "COMMIT", [])
      assert {:error, %NotOwnerError{}} = Task.await(commit)
      assert {:error, :not_found} = @backend.load_keys(path, :"pre-key", 2)

      # A commit that is not committed yet.
      {:ok, []} = PostgresDriver.query(other, "BEGIN", [])
      :ok = @backend.save_keys(theirs, :"pre-key", 3, pre_key())
      claim = Task.async(fn -> @backend.claim(path, Owner.new()) end)
      refute Task.yield(claim, 200)
      {:ok, []} = PostgresDriver.query(other, "COMMIT", [])
      assert :ok = Task.await(claim)
      assert {:ok, _key} = @backend.load_keys(path, :"pre-key", 3)
    end
  end

  describe "the application's own transaction" do
    test "takes a commit and the credentials along, whole", %{path: path, driver: driver} do
      :ok = @backend.commit_keys(path, %{"lid-mapping": %{"1" => "before"}})
      before = PostgresRows.of(path)
      {:ok, []} = PostgresDriver.query(driver, "BEGIN", [])
      :ok = @backend.commit_keys(path, %{"lid-mapping": %{"1" => nil, "2" => "after"}})
      :ok = @backend.save_credentials(path, State.new())
      assert {:ok, "after"} = @backend.load_keys(path, :"lid-mapping", "2")
      {:ok, []} = PostgresDriver.query(driver, "ROLLBACK", [])
      assert PostgresRows.of(path) == before
    end
  end

  describe "a key store" do
    test "keeps its keys there, claims, and gives back", %{path: path} do
      {:ok, helper} = @backend.use_postgres_auth_state(path)
      :ok = helper.save_creds.(helper.state)
      assert {:ok, loaded} = @backend.load_credentials(path)
      assert loaded == helper.state

      {:ok, pid} = KeyStore.start_link(helper.connect_opts[:signal_store_opts])
      keys = KeyStore.wrap(pid)
      assert {:ok, %Owner{}} = @backend.owner(path)
      :ok = KeyStore.set(keys, %{"lid-mapping": %{"1" => "2", "3" => "4"}})
      GenServer.stop(pid)
      assert {:ok, nil} = @backend.owner(path)

      {:ok, pid} = KeyStore.start_link(helper.connect_opts[:signal_store_opts])
      keys = KeyStore.wrap(pid)
      assert KeyStore.get(keys, :"lid-mapping", ["1", "3", "5"]) == %{"1" => "2", "3" => "4"}
      :ok = KeyStore.clear(keys)
      assert {:ok, none} = @backend.list_keys(path)
      assert none == %{}
      GenServer.stop(pid)
    end
  end

  describe "a write whose server goes away" do
    test "is a typed error without a value, and may be repeated", %{
      path: path,
      directory: directory
    } do
      secret = "a secret of the user"
      :ok = @backend.save_keys(path, :"lid-mapping", "1", "before")
      PostgresServer.ctl!(directory, ["stop", "-m", "immediate"])

      assert {:error, %DatabaseError{kind: :unavailable} = error} =
               @backend.save_keys(path, :"lid-mapping", "1", secret)

      refute inspect(error) =~ secret
      assert KeyStore.Backend.transient?(error)

      PostgresServer.start_again!(directory)
      assert {:ok, "before"} = @backend.load_keys(path, :"lid-mapping", "1")
      assert :ok = @backend.save_keys(path, :"lid-mapping", "1", secret)
      assert {:ok, ^secret} = @backend.load_keys(path, :"lid-mapping", "1")
    end

    test "or that refuses it, or takes too long, is a different error", context do
      %{path: path, driver: driver, directory: directory} = context
      :ok = @backend.save_keys(path, :"lid-mapping", "1", "before")
      {:ok, []} = PostgresDriver.query(driver, "BEGIN READ ONLY", [])

      assert {:error, %DatabaseError{kind: :read_only, code: "25006"}} =
               @backend.save_credentials(path, State.new())

      assert {:error, %DatabaseError{kind: :aborted}} = @backend.list_keys(path)
      {:ok, []} = PostgresDriver.query(driver, "ROLLBACK", [])
      {:ok, []} = PostgresDriver.query(driver, "SET statement_timeout = 1", [])
      many = %{"pre-key": Map.new(1..3000, &{&1, pre_key()})}
      assert {:error, %DatabaseError{kind: :timeout}} = @backend.commit_keys(path, many)

      {:ok, other} = PostgresDriver.start_link(directory)
      path = Keyword.put(path, :connection, {PostgresDriver, other})
      assert {:ok, %{"lid-mapping": ["1"]} = listed} = @backend.list_keys(path)
      assert map_size(listed) == 1
    end
  end

  test "options that cannot work are refused, without a value", %{path: path} do
    for {opts, message} <- [
          {[account: "a"], ":repo, :conn and :connection"},
          {Keyword.delete(path, :account), ":account"},
          {[{:pasword, "hunter2"} | path], "unknown options [:pasword]"},
          {[{:repo, MyApp.Repo} | path], ":repo, :conn and :connection"},
          {[{:prefix, ~s(x"; DROP)} | path], ":prefix"}
        ] do
      error = assert_raise(ArgumentError, fn -> @backend.load_credentials(opts) end)
      assert Exception.message(error) =~ message
      refute Exception.message(error) =~ "hunter2"
    end
  end

  test "a missing repository or pool is reported as missing" do
    for opts <- [[repo: No.Such.Repo], [conn: :no_such_pool]] do
      assert {:error, %DatabaseError{kind: :driver_missing}} =
               @backend.load_credentials([{:account, "ada"} | opts])
    end
  end
end
