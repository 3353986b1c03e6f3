defmodule BaileysEx.Auth.PostgresClaimTest do
  # The promises of a store's claim across connections, and its cost in statements.
  use ExUnit.Case, async: true

  import BaileysEx.Test.PostgresDriver, only: [start_with_tables: 1]

  alias BaileysEx.Auth.{DatabaseError, KeyStore, Owner, PostgresPersistence, State}
  alias BaileysEx.Auth.Postgres.Statements
  alias BaileysEx.Test.PostgresDriver

  @moduletag :postgres
  @moduletag :capture_log

  setup_all :start_with_tables

  setup %{directory: directory} do
    account = "ada #{System.unique_integer([:positive])}"
    {PostgresDriver, driver} = mine = PostgresDriver.connect!(directory)
    theirs = [connection: PostgresDriver.connect!(directory), account: account]
    {:ok, mine: [connection: mine, account: account], theirs: theirs, driver: driver}
  end

  defp query(context, sql) do
    {module, driver} = context[:connection]
    {:ok, _rows} = module.query(driver, sql, [])
  end

  test "a write whose answer was lost never comes over a later one", context do
    %{mine: mine, theirs: theirs, driver: driver} = context
    lose_answer(mine, theirs, driver)
    again = %{"lid-mapping": %{"c" => "2"}}

    second =
      Task.async(fn -> PostgresPersistence.commit_keys_unless_changed(mine, again, nil) end)

    refute Task.yield(second, 200)

    finish(mine, theirs)
    assert :ok = Task.await(second)

    assert {:ok, %{"b" => "1", "c" => "2"}} =
             PostgresPersistence.load_many(mine, :"lid-mapping", ["b", "c"])
  end

  test "nothing is read while a write whose answer was lost can still happen", context do
    %{mine: mine, theirs: theirs, driver: driver} = context
    lose_answer(mine, theirs, driver)
    ids = ["b", "c"]
    read = Task.async(fn -> PostgresPersistence.load_many(mine, :"lid-mapping", ids) end)
    refute Task.yield(read, 200)
    finish(mine, theirs)
    assert {:ok, %{"b" => "1", "c" => "1"}} = Task.await(read)
  end

  test "credentials and keys that were sent before an answer was lost are late after the next ones",
       %{mine: mine, theirs: theirs, driver: driver} do
    owner = Owner.new()
    :ok = PostgresPersistence.claim(mine, owner)
    [old, new] = [State.new(), State.new()]
    :ok = PostgresPersistence.save_credentials(mine, old)

    query(theirs, "BEGIN")
    query(theirs, "SELECT 1 FROM baileys_auth_accounts WHERE #{of(mine)} FOR UPDATE")
    first = Task.async(fn -> PostgresPersistence.save_credentials(mine, old) end)
    refute Task.yield(first, 200)
    cut(driver)
    assert {:error, %DatabaseError{kind: :unavailable}} = Task.await(first)
    query(theirs, "COMMIT")
    :ok = PostgresPersistence.save_credentials(mine, new)
    :ok = PostgresPersistence.save_keys(mine, :"lid-mapping", "b", "new")

    # As the network could still deliver it.
    {module, other} = theirs[:connection]
    sent = [mine[:account], owner.id, 0]
    bytes = :erlang.term_to_binary("old")

    for {statement, params} <- [
          {Statements.put_owned_creds("public"), [:erlang.term_to_binary(old)]},
          {Statements.commit("public", false), [nil, ["lid-mapping"], ["b"], [bytes]]},
          {Statements.commit_counted("public", false), [nil, ["lid-mapping"], ["b"], [bytes]]}
        ] do
      assert {:ok, []} = module.query(other, statement, sent ++ params)
    end

    assert {:ok, ^new} = PostgresPersistence.load_credentials(theirs)
    assert {:ok, "new"} = PostgresPersistence.load_keys(theirs, :"lid-mapping", "b")
  end

  defp lose_answer(mine, theirs, driver) do
    :ok = PostgresPersistence.claim(mine, Owner.new())
    :ok = PostgresPersistence.commit_keys(mine, %{"lid-mapping": %{"b" => "0", "c" => "0"}})

    # The server is still executing this: it has locked the account's row and has written one of two keys.
    # (The driver of these tests ends a statement only with its answer.)
    query(theirs, "BEGIN")
    query(theirs, "SELECT 1 FROM baileys_auth_accounts WHERE #{of(mine)} FOR SHARE")

    query(
      theirs,
      "UPDATE baileys_auth_keys SET value = '\\x836d0000000131' WHERE #{of(mine)} AND id = 'b'"
    )

    changes = %{"lid-mapping": %{"b" => "1", "c" => "1"}}

    first =
      Task.async(fn -> PostgresPersistence.commit_keys_unless_changed(mine, changes, nil) end)

    refute Task.yield(first, 200)
    cut(driver)
    assert {:error, %DatabaseError{kind: :unavailable}} = Task.await(first)
  end

  defp finish(mine, theirs) do
    query(
      theirs,
      "UPDATE baileys_auth_keys SET value = '\\x836d0000000131' WHERE #{of(mine)} AND id = 'c'"
    )

    query(theirs, "COMMIT")
  end

  defp of(context), do: "account = '#{context[:account]}'"

  # Returns the connection that the driver waits for.
  defp cut(driver) do
    {:monitors, [process: connection]} = Process.info(driver, :monitors)
    Process.exit(connection, :kill)
  end

  test "a store sees others' changes, and commits nothing based on older values",
       %{mine: mine, theirs: theirs} do
    keys = start_store(mine)
    :ok = KeyStore.set(keys, %{"lid-mapping": %{"1" => "mine", "2" => "other"}})
    :ok = PostgresPersistence.save_keys(theirs, :"lid-mapping", "1", "theirs")

    assert_raise KeyStore.OperationError, ~r/chang/, fn ->
      KeyStore.transaction(keys, "1", fn tx ->
        %{"1" => value} = KeyStore.get(tx, :"lid-mapping", ["1"])
        KeyStore.set(tx, %{"lid-mapping": %{"1" => value <> "!"}})
      end)
    end

    KeyStore.transaction(keys, "1", fn tx ->
      %{"1" => value} = KeyStore.get(tx, :"lid-mapping", ["1"])
      KeyStore.set(tx, %{"lid-mapping": %{"1" => value <> "!"}})
    end)

    assert {:ok, "theirs!"} = PostgresPersistence.load_keys(theirs, :"lid-mapping", "1")

    # A key that nobody else has changed is committed all the same.
    :ok = PostgresPersistence.save_keys(theirs, :"lid-mapping", "1", "again")
    %{"2" => "other"} = KeyStore.get(keys, :"lid-mapping", ["2"])
    :ok = KeyStore.set(keys, %{"lid-mapping": %{"2" => "more"}})
    assert {:ok, "more"} = PostgresPersistence.load_keys(theirs, :"lid-mapping", "2")
  end

  test "each operation takes the statements that are stated", %{mine: mine, driver: driver} do
    many = fn type, ids -> %{type => Map.new(ids, &{to_string(&1), "value #{&1}"})} end
    owner = Owner.new()
    state = State.new()
    three_hundred = Enum.map(1..300, &to_string/1)

    for {operation, statements} <- [
          {fn -> PostgresPersistence.save_keys(mine, :"pre-key", 1, "value") end, 1},
          {fn -> PostgresPersistence.commit_keys(mine, many.(:"pre-key", 1..812)) end, 1},
          {fn -> PostgresPersistence.delete_keys(mine, :"pre-key", 1) end, 1},
          {fn -> PostgresPersistence.load_keys(mine, :"pre-key", 2) end, 1},
          {fn -> PostgresPersistence.load_many(mine, :"pre-key", three_hundred) end, 1},
          {fn -> PostgresPersistence.list_keys(mine) end, 1},
          {fn -> PostgresPersistence.save_credentials(mine, state) end, 1},
          {fn -> PostgresPersistence.load_credentials(mine) end, 1},
          # The statements: the previous claim, and the new claim.
          {fn -> PostgresPersistence.claim(mine, owner) end, 2},
          {fn -> PostgresPersistence.save_keys(mine, :"pre-key", 1, "value") end, 1},
          {fn -> PostgresPersistence.save_credentials(mine, state) end, 1},
          {fn -> PostgresPersistence.owner(mine) end, 1},
          {fn -> PostgresPersistence.release(mine, owner) end, 1},
          # The statements: the list, and the commit.
          {fn -> PostgresPersistence.clear(mine) end, 2},
          # The statements: the version of the schema, the previous claim, and the new claim.
          {fn -> Process.put(:keys, start_store(mine)) end, 3}
        ] do
      assert {_index, ^statements} = {operation, counted(driver, operation)}
    end

    keys = Process.get(:keys)

    for {operation, statements} <- [
          {fn -> KeyStore.set(keys, many.(:session, 1..812)) end, 1},
          {fn -> KeyStore.get(keys, :session, three_hundred) end, 0},
          {fn -> KeyStore.get(keys, :"pre-key", three_hundred) end, 1},
          {fn -> transaction(keys, "900") end, 2},
          {fn -> transaction(keys, "1") end, 1}
        ] do
      assert {_index, ^statements} = {operation, counted(driver, operation)}
    end
  end

  defp transaction(keys, id) do
    KeyStore.transaction(keys, id, fn tx ->
      KeyStore.get(tx, :session, [id])
      KeyStore.set(tx, %{session: %{id => "new"}})
    end)
  end

  defp counted(driver, operation) do
    before = PostgresDriver.count(driver)
    operation.()
    PostgresDriver.count(driver) - before
  end

  defp start_store(context) do
    {KeyStore, persistence_module: PostgresPersistence, persistence_context: context}
    |> start_supervised!()
    |> KeyStore.wrap()
  end
end
