defmodule BaileysEx.Auth.PostgresTransactionTest do
  # Inside a transaction of the application, as with an Ecto repository: plain functions take part in it, and
  # a store sees none of it before the commit.
  use ExUnit.Case, async: true

  import BaileysEx.Test.PostgresDriver, only: [start_with_tables: 1]

  alias BaileysEx.Auth.{DatabaseError, KeyStore, NotOwnerError, Owner, PostgresPersistence}
  alias BaileysEx.Auth.KeyStore.OperationError
  alias BaileysEx.Test.PostgresDriver

  @moduletag :postgres
  # The driver's processes log errors when the server ends.
  @moduletag :capture_log

  defmodule Pool do
    @moduledoc false
    # Two connections: one for transactions, used by their process, and one for everybody else.
    @behaviour BaileysEx.Auth.Postgres.Connection

    @impl true
    def query({outside, inside} = pool, sql, params) do
      if in_transaction?(pool), do: told(inside, sql, params), else: told(outside, sql, params)
    end

    @impl true
    def in_transaction?(pool), do: Process.get(pool) == :transaction

    def transaction({_outside, inside} = pool, fun) do
      {:ok, []} = PostgresDriver.query(inside, "BEGIN", [])
      Process.put(pool, :transaction)
      sql = fun.()
      Process.delete(pool)
      {:ok, []} = PostgresDriver.query(inside, sql, [])
      :ok
    end

    # Loses one answer.
    def lose_next_answer, do: Process.put(:lose, true)

    defp told(driver, sql, params) do
      answer = PostgresDriver.query(driver, sql, params)
      if Process.delete(:lose), do: {:error, :unavailable}, else: answer
    end
  end

  setup_all :start_with_tables

  setup %{directory: directory} do
    [outside, inside] = for _ <- 1..2, do: elem(PostgresDriver.connect!(directory), 1)
    pool = {outside, inside}
    path = [connection: {Pool, pool}, account: "ada #{System.unique_integer([:positive])}"]
    :ok = save(path, "before")
    {:ok, pool: pool, path: path}
  end

  defp save(path, value), do: PostgresPersistence.save_keys(path, :"lid-mapping", "1", value)
  defp load(path), do: PostgresPersistence.load_keys(path, :"lid-mapping", "1")

  defp store(path) do
    opts = [persistence_module: PostgresPersistence, persistence_context: path]
    {:ok, pid} = KeyStore.start_link(opts ++ [max_commit_retries: 1])
    KeyStore.wrap(pid)
  end

  defp append(store, text, meanwhile \\ fn -> :ok end) do
    KeyStore.transaction(store, "lid-mapping", fn tx ->
      %{"1" => value} = KeyStore.get(tx, :"lid-mapping", ["1"])
      meanwhile.()
      KeyStore.set(tx, %{"lid-mapping": %{"1" => value <> text}})
    end)
  end

  test "plain functions are a part of it", %{pool: pool, path: path} do
    Pool.transaction(pool, fn ->
      :ok = save(path, "inside")
      assert load(path) == {:ok, "inside"}
      "ROLLBACK"
    end)

    assert load(path) == {:ok, "before"}
  end

  test "a store does not read what is rolled back, nor remember it", context do
    %{pool: pool, path: path} = context
    store = store(path)

    Pool.transaction(pool, fn ->
      :ok = save(path, "inside")
      assert KeyStore.get(store, :"lid-mapping", ["1"]) == %{"1" => "before"}
      assert KeyStore.get(store, :"lid-mapping", ["1", "2"]) == %{"1" => "before"}
      "ROLLBACK"
    end)

    assert KeyStore.get(store, :"lid-mapping", ["1"]) == %{"1" => "before"}
    assert :ok = append(store, " after")
    assert load(path) == {:ok, "before after"}
  end

  for {how, look} <- [
        "a save": quote(do: fn _path -> :ok end),
        "a save and a look": quote(do: &PostgresPersistence.owner/1)
      ] do
    test "#{how} that is committed while a store works is not written over", context do
      %{pool: pool, path: path} = context
      store = store(path)
      test = self()

      theirs =
        Task.async(fn ->
          Pool.transaction(pool, fn ->
            :ok = save(path, "theirs")
            unquote(look).(path)
            send(test, :saved)
            receive(do: (:commit -> "COMMIT"))
          end)
        end)

      assert_receive :saved, 5_000

      commit = fn ->
        send(theirs.pid, :commit)
        :ok = Task.await(theirs)
      end

      assert_raise OperationError, ~r/changed_meanwhile/, fn -> append(store, " mine", commit) end
      assert load(path) == {:ok, "theirs"}
      assert :ok = append(store, " mine")
      assert load(path) == {:ok, "theirs mine"}
    end
  end

  test "a store that is started in one keeps its claim when it is rolled back", context do
    %{pool: pool, path: path} = context
    test = self()

    Pool.transaction(pool, fn ->
      send(test, {:store, store(path)})
      "ROLLBACK"
    end)

    assert_received {:store, store}
    assert {:ok, %Owner{}} = PostgresPersistence.owner(path)
    assert :ok = append(store, " after")
    assert load(path) == {:ok, "before after"}
  end

  test "after a lost answer, a rollback costs the claim of the VM nothing", context do
    %{pool: pool, path: path} = context
    :ok = PostgresPersistence.claim(path, Owner.new())
    Pool.lose_next_answer()
    assert {:error, %DatabaseError{kind: :unavailable}} = save(path, "lost")

    Pool.transaction(pool, fn ->
      :ok = save(path, "inside")
      "ROLLBACK"
    end)

    assert :ok = save(path, "after")
    assert load(path) == {:ok, "after"}
    elsewhere = Keyword.put(path, :connection, {PostgresDriver, elem(pool, 0)})
    :ok = PostgresPersistence.claim(elsewhere, Owner.new())
    assert {:error, %NotOwnerError{}} = save(path, "late")
  end
end
