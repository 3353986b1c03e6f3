defmodule BaileysEx.Auth.PostgresKillTest do
  # Backends of the server are killed with SIGKILL in the middle of commits; each makes the server
  # start all of them again, and recover.
  use ExUnit.Case, async: true

  alias BaileysEx.Auth.{DatabaseError, PostgresPersistence}
  alias BaileysEx.Auth.Postgres.Schema
  alias BaileysEx.Test.{PostgresDriver, PostgresServer}

  @moduletag :postgres
  @moduletag :capture_log

  @writers 3

  test "nothing acknowledged is lost and nothing is torn when backends are killed" do
    kill_in_commits(5)
  end

  @tag :long
  @tag timeout: :infinity
  test "nothing acknowledged is lost and nothing is torn in 200 kills" do
    kill_in_commits(200)
  end

  defp kill_in_commits(kills) do
    directory = PostgresServer.start!()
    :ok = Schema.migrate(connection: connection(directory))
    stop = :atomics.new(1, [])

    writers =
      for n <- 1..@writers do
        context = [connection: connection(directory), account: "writer #{n}"]
        {context, Task.async(fn -> write(context, 1, 0, stop) end)}
      end

    for _ <- 1..kills do
      Process.sleep(50 + :rand.uniform(100))
      assert kill_backend(connection(directory))
    end

    :atomics.put(stop, 1, 1)

    broken =
      for {context, task} <- writers do
        {acknowledged, broken} = Task.await(task, 60_000)
        assert acknowledged > 0

        {:ok, found} =
          patient(fn -> PostgresPersistence.load_many(context, :session, ~w(a b c)) end)

        # All three are of one commit, and of none before the last that was acknowledged.
        assert [{number, _bytes}] = found |> Map.values() |> Enum.uniq()
        assert map_size(found) == 3
        assert number >= acknowledged
        broken
      end

    assert Enum.sum(broken) > 0
  end

  # Numbers in order, the last that was acknowledged, and how often there was no answer.
  defp write(context, number, broken, stop) do
    value = {number, :binary.copy(<<number::32>>, 500)}

    case PostgresPersistence.commit_keys(context, %{session: Map.new(~w(a b c), &{&1, value})}) do
      :ok ->
        if :atomics.get(stop, 1) == 1,
          do: {number, broken},
          else: write(context, number + 1, broken, stop)

      {:error, %DatabaseError{} = error} ->
        assert DatabaseError.transient?(error)
        Process.sleep(5)
        # As a store does: the same again.
        write(context, number, broken + 1, stop)
    end
  end

  # The backend of a writer that is at work; where none is for a moment, of any.
  defp kill_backend({module, driver}) do
    sql = """
    SELECT pid::bigint FROM pg_stat_activity
    WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
    ORDER BY state = 'active' DESC, random() LIMIT 1
    """

    {:ok, [[pid]]} =
      patient(fn ->
        with {:ok, []} <- module.query(driver, sql, []), do: {:error, :nobody_is_connected}
      end)

    GenServer.stop(driver)
    {_out, status} = System.cmd("kill", ["-9", "#{pid}"], stderr_to_stdout: true)
    status == 0
  end

  defp patient(fun, left \\ 1_000) do
    with {:error, _reason} when left > 0 <- fun.() do
      Process.sleep(10)
      patient(fun, left - 1)
    end
  end

  defp connection(directory) do
    {:ok, driver} = PostgresDriver.start_link(directory)
    {PostgresDriver, driver}
  end
end
