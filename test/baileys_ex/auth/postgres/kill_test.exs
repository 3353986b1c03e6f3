defmodule BaileysEx.Auth.PostgresKillTest do
  # SIGKILL in the middle of commits: of a backend process, after which the server restarts all of them and
  # recovers; of the server; and of the VM that commits. `mix test --only long` kills 210 times.
  use ExUnit.Case, async: true

  alias BaileysEx.Auth.Postgres.Schema
  alias BaileysEx.Test.{PostgresDriver, PostgresServer, PostgresWorkload, Vm}

  @moduletag :postgres
  @moduletag :capture_log
  @moduletag timeout: :infinity

  @writers 3
  @patience 60_000

  for {tag, rounds} <- [default: 2, long: 70] do
    @tag tag
    test "nothing acknowledged is lost and nothing is torn in #{3 * rounds} kills" do
      directory = PostgresServer.start!()
      :ok = Schema.migrate(connection: connection(directory))
      writers = for n <- 1..@writers, do: start(directory, "writer #{n}")

      writers =
        for _ <- 1..unquote(rounds), kill <- [:backend, :server, :client], reduce: writers do
          writers ->
            # Each of them has committed since the last kill.
            writers = Enum.map(writers, &one_more/1)
            Process.sleep(:rand.uniform(30))
            kill(kill, directory, writers)
        end

      for writer <- Enum.map(writers, &one_more/1) do
        %{last: last, account: account} = stop(writer)
        context = [connection: connection(directory), account: account]
        assert {:ok, number} = PostgresWorkload.whole(context)
        assert number >= last
      end
    end
  end

  defp kill(:client, directory, [writer | others]) do
    %{last: last, account: account} = stop(writer)
    # The writers take turns.
    others ++ [start(directory, account, last)]
  end

  defp kill(:backend, directory, writers) do
    kill_backend(connection(directory))
    writers
  end

  defp kill(:server, directory, writers) do
    PostgresServer.kill!(directory)
    PostgresServer.start_again!(directory)
    writers
  end

  # Starts a writer, which must find at least what was acknowledged before.
  defp start(directory, account, acknowledged \\ 0) do
    vm = Vm.start(Vm.call(PostgresWorkload, :count_up, [directory, account]))
    {"found", found} = line(vm)
    assert found >= acknowledged
    %{vm: vm, account: account, last: found}
  end

  # Skips lines that were printed earlier: the newest line, and then the next one.
  defp one_more(%{vm: vm} = writer) do
    writer = drain(writer)
    {"ok", number} = line(vm)
    assert number == writer.last + 1
    %{writer | last: number}
  end

  defp drain(%{vm: vm, last: last} = writer) do
    receive do
      {^vm, {:data, {:eol, line}}} ->
        assert line == "ok #{last + 1}"
        drain(%{writer | last: last + 1})
    after
      0 -> writer
    end
  end

  defp stop(%{vm: vm} = writer) do
    Vm.kill(vm)
    drain_to_end(writer)
  end

  defp drain_to_end(%{vm: vm} = writer) do
    receive do
      {^vm, {:data, {:eol, "ok " <> number}}} ->
        drain_to_end(%{writer | last: String.to_integer(number)})

      {^vm, {:data, {:noeol, _cut_off}}} ->
        drain_to_end(writer)

      {^vm, {:exit_status, _killed}} ->
        writer
    after
      @patience -> flunk("the VM is still there")
    end
  end

  defp line(vm) do
    receive do
      {^vm, {:data, {:eol, line}}} ->
        assert [_all, word, number] = Regex.run(~r/^(found|ok) (\d+)$/, line) || line
        {word, String.to_integer(number)}

      {^vm, {:exit_status, status}} ->
        flunk("the VM ended with status #{status}")
    after
      @patience -> flunk("the VM is silent")
    end
  end

  # Kills the backend process of a working writer, or of any writer if none is working at the moment.
  defp kill_backend({module, driver}) do
    sql = """
    SELECT pid::bigint FROM pg_stat_activity
    WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
    ORDER BY state = 'active' DESC, random() LIMIT 1
    """

    {:ok, [[pid]]} = module.query(driver, sql, [])
    GenServer.stop(driver)
    {_out, 0} = System.cmd("kill", ["-9", "#{pid}"])
  end

  defp connection(directory) do
    {:ok, driver} = PostgresDriver.start_link(directory)
    {PostgresDriver, driver}
  end
end
