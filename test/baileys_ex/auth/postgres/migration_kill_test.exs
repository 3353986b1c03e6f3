defmodule BaileysEx.Auth.PostgresMigrationKillTest do
  # The server is killed with SIGKILL in the middle of migrations that replace an account.
  use ExUnit.Case, async: true

  alias BaileysEx.Auth.{DatabaseError, PersistenceMigration, PostgresPersistence, State}
  alias BaileysEx.Auth.Postgres.Schema
  alias BaileysEx.Test.{PostgresDriver, PostgresRows, PostgresServer}

  @moduletag :postgres
  @moduletag :capture_log
  @kills 6

  test "a target whose migration was killed is as it was, or is complete, and takes the next one" do
    server = PostgresServer.start!()
    :ok = Schema.migrate(connection: connection(server))
    source = [connection: connection(server), account: "new"]
    target = [connection: connection(server), account: "ada"]

    for {account, keys} <- [{source, 1..20_000}, {target, 10_000..10_050}] do
      :ok = PostgresPersistence.save_credentials(account, State.new())
      values = Map.new(keys, &{&1, key()})
      :ok = PostgresPersistence.commit_keys(account, %{"pre-key": values})
    end

    [old, new] = Enum.map([target, source], &PostgresRows.of/1)
    {all_ms, {:ok, _}} = timed(fn -> migrate(source, Keyword.put(target, :account, "warm")) end)

    cut =
      for n <- 1..@kills do
        # All through it, and mostly in the statement at its end.
        migration = Task.async(fn -> migrate(source, target) end)
        Process.sleep(div(all_ms * n, @kills + 1))
        PostgresServer.kill!(server)
        result = Task.await(migration, 60_000)
        PostgresServer.start_again!(server)

        with {:error, error} <- result, do: assert(%DatabaseError{kind: :unavailable} = error)
        rows = patient(fn -> PostgresRows.of(target) end)
        assert rows in [old, new]
        if match?({:ok, _}, result), do: assert(rows == new)
        assert patient(fn -> PostgresRows.of(source) end) == new
        rows == old
      end

    assert Enum.any?(cut)
    assert {:ok, %{migrated_keys: 20_000}} = migrate(source, target)
    assert PostgresRows.of(target) == new
  end

  defp migrate(source, target) do
    PersistenceMigration.migrate(
      {PostgresPersistence, source},
      {PostgresPersistence, target},
      overwrite?: true
    )
  end

  defp key, do: %{public: :crypto.strong_rand_bytes(32), private: :crypto.strong_rand_bytes(32)}

  defp timed(fun) do
    {microseconds, result} = :timer.tc(fun)
    {div(microseconds, 1000), result}
  end

  # The first statement after the server has come back finds the old connection gone.
  defp patient(fun, left \\ 100) do
    fun.()
  rescue
    _error in MatchError ->
      if left == 0, do: flunk("the server does not come back")
      Process.sleep(50)
      patient(fun, left - 1)
  end

  defp connection(server) do
    {:ok, driver} = PostgresDriver.start_link(server)
    {PostgresDriver, driver}
  end
end
