defmodule BaileysEx.Auth.PostgresFailureTest do
  # The refusals of a real server: each is distinguished, no error shows a value, and a store retries the
  # transient ones.
  use ExUnit.Case, async: true

  import BaileysEx.Test.PostgresDriver, only: [start_with_tables: 1]

  alias BaileysEx.Auth.{DatabaseError, KeyStore, PostgresPersistence, State}
  alias BaileysEx.Auth.Postgres.Schema
  alias BaileysEx.Test.{Mounts, PostgresDriver, PostgresRows, PostgresServer}

  @moduletag :postgres
  # The driver's processes log errors when the server ends.
  @moduletag :capture_log
  @secret "a secret of the user"

  @mounts? Mounts.allowed?()

  setup_all :start_with_tables

  setup %{directory: directory} do
    [mine, theirs] = for _ <- 1..2, do: PostgresDriver.connect!(directory)
    path = [connection: mine, account: "ada #{System.unique_integer([:positive])}"]
    :ok = PostgresPersistence.save_keys(path, :"lid-mapping", "1", "before")
    {:ok, path: path, mine: elem(mine, 1), theirs: elem(theirs, 1)}
  end

  defp save(path), do: PostgresPersistence.save_keys(path, :"lid-mapping", "1", @secret)

  # Checks that the error is of this kind and shows nothing, and returns what it says.
  defp refused({:error, %DatabaseError{kind: kind, code: code} = error}, path, advice) do
    refute inspect(error) =~ @secret
    message = Exception.message(error)
    assert message =~ "account #{path[:account]} in PostgreSQL"
    assert message =~ advice
    {kind, code, DatabaseError.transient?(error)}
  end

  defp query!(driver, sql, params \\ []), do: {:ok, _} = PostgresDriver.query(driver, sql, params)

  defp lock_row!(driver, path) do
    query!(driver, "BEGIN")

    query!(
      driver,
      "UPDATE baileys_auth_keys SET value = '\\x8361' WHERE account = $1::text",
      [path[:account]]
    )
  end

  test "a serialization failure is a conflict, and leaves the account as it was", context do
    %{path: path, mine: mine, theirs: theirs} = context
    query!(mine, "BEGIN ISOLATION LEVEL REPEATABLE READ")
    before = PostgresRows.of(path)
    # Another transaction commits in between.
    other = Keyword.put(path, :connection, {PostgresDriver, theirs})
    :ok = PostgresPersistence.save_keys(other, :"lid-mapping", "1", "meanwhile")
    refute PostgresRows.of(other) == before

    assert refused(save(path), path, "another transaction was in the way; try again") ==
             {:conflict, "40001", true}

    query!(mine, "ROLLBACK")
    assert {:ok, "meanwhile"} = PostgresPersistence.load_keys(path, :"lid-mapping", "1")
    assert :ok = save(path)
  end

  test "a store tries a commit again that another transaction was in the way of", context do
    %{path: path, mine: mine, theirs: theirs} = context
    query!(mine, "SET default_transaction_isolation = 'repeatable read'")
    store = store(path)
    lock_row!(theirs, path)
    set = Task.async(fn -> KeyStore.set(store, %{"lid-mapping": %{"1" => @secret}}) end)
    refute Task.yield(set, 200)
    query!(theirs, "COMMIT")
    assert :ok = Task.await(set)
    assert KeyStore.info(store).last_error.message =~ "40001"
    assert {:ok, @secret} = PostgresPersistence.load_keys(path, :"lid-mapping", "1")
  end

  test "a lock that is not given in time is a timeout", context do
    %{path: path, mine: mine, theirs: theirs} = context
    lock_row!(theirs, path)
    query!(mine, "SET lock_timeout = 20")
    assert refused(save(path), path, "try again") == {:timeout, "55P03", true}
    query!(theirs, "ROLLBACK")
    assert {:ok, "before"} = PostgresPersistence.load_keys(path, :"lid-mapping", "1")
    assert :ok = save(path)
  end

  test "a server without a connection left is waited for by a store", context do
    %{path: path, directory: directory, mine: mine, theirs: theirs} = context
    store = store(path)
    [[most]] = query!(theirs, "SELECT current_setting('max_connections')::bigint") |> elem(1)

    # The store loses its connection, as if the server were restarted, and others take all free ones.
    hogs = for _ <- 1..most, do: elem(PostgresDriver.connect!(directory), 1)

    full? = fn ->
      Enum.any?(hogs, &match?({:error, _}, PostgresDriver.query(&1, "SELECT 1", [])))
    end

    assert full?.()
    query!(theirs, "SELECT pg_terminate_backend(#{backend(mine)})")
    assert full?.()

    assert {kind, _code, true} = refused(save(path), path, "connection")
    assert kind in [:full, :unavailable]

    set = Task.async(fn -> KeyStore.set(store, %{"lid-mapping": %{"1" => @secret}}) end)
    refute Task.yield(set, 100)
    for hog <- hogs, do: GenServer.stop(hog)
    assert :ok = Task.await(set, 30_000)
    assert {:ok, @secret} = PostgresPersistence.load_keys(path, :"lid-mapping", "1")
  end

  test "a missing database and a refused login are distinguished", context do
    %{path: path, directory: directory} = context

    for {user, database, advice, expected} <- [
          {"test", "nowhere", "no database of that name", {:missing_database, "3D000", false}},
          {"nobody", "postgres", "user and password", {:login_refused, "28000", false}}
        ] do
      there = Keyword.put(path, :connection, PostgresDriver.connect!(directory, user, database))
      assert refused(save(there), path, advice) == expected

      assert {:error, %KeyStore.OperationError{reason: %DatabaseError{}}} =
               KeyStore.start_link(
                 persistence_module: PostgresPersistence,
                 persistence_context: there
               )
    end
  end

  test "an older schema is one to bring up, before a store writes anything", context do
    %{path: path, mine: mine} = context
    older = Keyword.put(path, :prefix, "older")
    :ok = Schema.migrate(Keyword.take(older, [:connection, :prefix]))
    query!(mine, "UPDATE older.baileys_auth_schema SET version = 0")

    assert refused(PostgresPersistence.recover(older), path, "Schema.migrate/1") ==
             {:older_schema, nil, false}

    assert {:error, %KeyStore.OperationError{reason: %DatabaseError{kind: :older_schema}}} =
             KeyStore.start_link(
               persistence_module: PostgresPersistence,
               persistence_context: older
             )

    assert PostgresRows.of(older) == {[], []}
    :ok = Schema.migrate(Keyword.take(older, [:connection, :prefix]))
    assert :ok = PostgresPersistence.recover(older)
  end

  test "a standby takes no writes until it is promoted", %{path: path, directory: directory} do
    standby = PostgresServer.start!(replica_of: directory)
    there = Keyword.put(path, :connection, PostgresDriver.connect!(standby))
    assert {:ok, "before"} = PostgresPersistence.load_keys(there, :"lid-mapping", "1")

    for write <- [
          fn -> save(there) end,
          fn -> PostgresPersistence.save_credentials(there, State.new()) end,
          fn -> PostgresPersistence.claim(there, BaileysEx.Auth.Owner.new()) end
        ] do
      assert refused(write.(), path, "connect to the primary") == {:read_only, "25006", true}
    end

    PostgresServer.ctl!(standby, ["promote"])
    # This error ends the driver.
    there = Keyword.put(path, :connection, PostgresDriver.connect!(standby))
    assert :ok = save(there)
    assert {:ok, @secret} = PostgresPersistence.load_keys(there, :"lid-mapping", "1")
  end

  @tag skip: if(@mounts?, do: false, else: "this machine lets nobody mount here")
  test "a full disk is reported, nothing is torn, and freeing space helps", context do
    directory = PostgresServer.start!(small: true)
    small = PostgresServer.start_again_beside_small_disk!(directory)
    {_module, driver} = connection = PostgresDriver.connect!(directory)
    path = Keyword.put(context.path, :connection, connection)
    query!(driver, "CREATE TABLESPACE small LOCATION '#{small}'")
    query!(driver, "SET default_tablespace = small")
    :ok = Schema.migrate(connection: connection)
    :ok = PostgresPersistence.save_keys(path, :"lid-mapping", "1", "before")
    before = PostgresRows.of(path)
    query!(driver, "CREATE TABLE ballast AS SELECT n FROM generate_series(1, 30000) AS n")
    # Bytes that the server cannot compress.
    many = for n <- 1..4_000, into: %{}, do: {n, :crypto.strong_rand_bytes(1_500)}

    assert refused(
             PostgresPersistence.commit_keys(path, %{"pre-key": many}),
             path,
             "has run out of disk"
           ) == {:full, "53100", true}

    assert PostgresRows.of(path) == before
    # Somebody frees space.
    query!(driver, "DROP TABLE ballast")
    assert :ok = save(path)
  end

  defp backend(driver) do
    {:ok, [[pid]]} = PostgresDriver.query(driver, "SELECT pg_backend_pid()::bigint", [])
    pid
  end

  defp store(path) do
    spec =
      {KeyStore,
       persistence_module: PostgresPersistence,
       persistence_context: path,
       delay_between_tries_ms: 20,
       max_commit_retries: 1_000}

    spec |> start_supervised!() |> KeyStore.wrap()
  end
end
