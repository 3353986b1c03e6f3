defmodule BaileysEx.Auth.PostgresMigrationKillTest do
  # SIGKILL in the middle of migrations that replace an account: of the server, and of the VM that migrates.
  use ExUnit.Case, async: true

  alias BaileysEx.Auth.{DatabaseError, PersistenceMigration, PostgresPersistence, State}
  alias BaileysEx.Auth.Postgres.Schema
  alias BaileysEx.Test.{PostgresDriver, PostgresLarge, PostgresRows, PostgresServer, Vm}

  @moduletag :postgres
  @moduletag :capture_log
  @moduletag timeout: :infinity

  # 12 MB: three pages, and five batches before the last.
  @keys 3_000

  setup do
    server = PostgresServer.start!()
    :ok = Schema.migrate(connection: connection(server))
    source = [connection: connection(server), account: "new"]
    target = [connection: connection(server), account: "ada"]
    PostgresLarge.fill!(source, @keys)
    :ok = PostgresPersistence.save_credentials(target, State.new())
    # Some of them also exist in the source.
    values = Map.new(2_990..3_010, &{"#{&1}@g.us", %{"old" => true}})
    :ok = PostgresPersistence.commit_keys(target, %{"sender-key-memory": values})
    {:ok, server: server, source: source, target: target, old: PostgresRows.of(target)}
  end

  for {tag, kills} <- [default: 5, long: 40] do
    @tag tag
    test "#{kills} kills of the server leave the target as it was, or complete", context do
      %{server: server, source: source, target: target} = context

      killed(context, unquote(kills), fn part, delay_ms ->
        {test, ref} = {self(), make_ref()}
        report = &if &1.done >= part * &1.total, do: send(test, ref)
        migration = Task.async(fn -> migrate(source, target, report) end)
        assert_receive ^ref, 60_000
        Process.sleep(delay_ms)
        PostgresServer.kill!(server)
        result = Task.await(migration, 60_000)
        PostgresServer.start_again!(server)
        with {:error, error} <- result, do: assert(%DatabaseError{kind: :unavailable} = error)
        match?({:ok, _summary}, result)
      end)
    end

    @tag tag
    test "#{kills} kills of the client leave the target as it was, or complete", context do
      sides = [context.server, "postgres:new", "postgres:ada"]

      killed(context, unquote(kills), fn part, delay_ms ->
        vm = Vm.start(Vm.call(PostgresLarge, :migrate, sides))
        reached(vm, part)
        Process.sleep(delay_ms)
        Vm.kill(vm)
        ended(vm, false)
      end)
    end
  end

  defp reached(vm, part) do
    receive do
      {^vm, {:data, {:eol, "done " <> numbers}}} ->
        [done, total] = numbers |> String.split() |> Enum.map(&String.to_integer/1)
        if done < part * total, do: reached(vm, part)

      {^vm, {:exit_status, status}} ->
        flunk("the VM ended with status #{status}")
    after
      60_000 -> flunk("the VM is silent")
    end
  end

  # Returns whether it had reported that it was done.
  defp ended(vm, done?) do
    receive do
      {^vm, {:data, {_eol, line}}} -> ended(vm, done? or line =~ ~r/^ok #{@keys} /)
      {^vm, {:exit_status, _status}} -> done?
    after
      60_000 -> flunk("the VM is still there")
    end
  end

  # Every second kill hits the final statement.
  defp killed(%{source: source, target: target, old: old}, kills, kill) do
    new = PostgresRows.of(source)
    end_ms = end_ms(source, Keyword.put(target, :account, "warm"))

    seen =
      for n <- 1..kills do
        done? =
          if rem(n, 2) == 0,
            do: kill.(1, :rand.uniform(end_ms)),
            else: kill.(n / (kills + 1), 0)

        rows = patient(fn -> PostgresRows.of(target) end)
        assert rows in [old, new]
        if done?, do: assert(rows == new)
        assert patient(fn -> PostgresRows.of(source) end) == new
        staged = PostgresLarge.accounts(target)[<<1>> <> "ada"]
        {rows == old, is_integer(staged) and staged > 0}
      end

    assert {true, _staged?} = hd(seen)
    # One of the kills hit a migration with staged keys.
    assert Enum.any?(seen, fn {_old?, staged?} -> staged? end)

    assert {:ok, %{migrated_keys: @keys}} = migrate(source, target)
    assert PostgresRows.of(target) == new
    accounts = PostgresLarge.accounts(target)
    assert Enum.sort(Map.keys(accounts)) == ["ada", "new", "warm"]
    assert accounts["ada"] == @keys
  end

  # Returns the time from the last key to the end.
  defp end_ms(source, target) do
    {:ok, _} = migrate(source, target, fn _ -> Process.put(:last, System.monotonic_time()) end)
    took = System.monotonic_time() - Process.get(:last)
    max(1, System.convert_time_unit(took, :native, :millisecond))
  end

  defp migrate(source, target, on_progress \\ fn _progress -> :ok end) do
    PersistenceMigration.migrate(
      {PostgresPersistence, source},
      {PostgresPersistence, target},
      overwrite?: true,
      on_progress: on_progress
    )
  end

  # The first statement after the server's return finds the old connection closed.
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
