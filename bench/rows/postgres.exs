defmodule Bench.Postgres do
  @moduledoc false
  # PostgreSQL against bare statements of the same bytes over the same connection. The server is the
  # tests' own, on the system's temporary directory.

  alias Bench.{Accounts, Measure, Report}
  alias BaileysEx.Auth.{FilePersistence, Owner, PersistenceMigration, PostgresPersistence}
  alias BaileysEx.Auth.Postgres.Schema
  alias BaileysEx.Test.{PostgresDriver, PostgresServer}

  @upsert """
  INSERT INTO bare (account, type, id, value)
  SELECT $1::text, new.type, new.id, new.value
  FROM unnest($2::text[], $3::text[], $4::bytea[]) AS new (type, id, value)
  ON CONFLICT (account, type, id) DO UPDATE SET value = excluded.value
  """

  @keys 10_000

  @spec run(Bench.Saves.context()) :: [Report.row()]
  def run(context) do
    case PostgresServer.missing() do
      nil ->
        unslowed(fn -> with_server(&rows(context, &1)) end)

      reason ->
        IO.puts(:stderr, "#{reason}: rows of PostgreSQL are left out.")
        []
    end
  end

  defp with_server(fun) do
    {:ok, server} = PostgresServer.start_link([])
    directory = GenServer.call(server, :directory)
    {:ok, driver} = PostgresDriver.start_link(directory)

    try do
      fun.(%{driver: driver, directory: directory, connection: {PostgresDriver, driver}})
    after
      GenServer.stop(driver)
      GenServer.stop(server)
    end
  end

  # The library that slows the flushes of this VM must not affect the server, which runs as another user and
  # cannot load it.
  defp unslowed(fun) do
    preload = System.get_env("LD_PRELOAD")
    System.delete_env("LD_PRELOAD")
    result = fun.()
    if preload, do: System.put_env("LD_PRELOAD", preload)
    result
  end

  defp rows(%{rounds: rounds}, %{driver: driver} = server) do
    :ok = Schema.migrate(connection: server.connection)
    query(driver, "CREATE TABLE bare (LIKE baileys_auth_keys INCLUDING ALL)", [])
    account = [connection: server.connection, account: "ada"]
    # In the way that a store writes.
    :ok = PostgresPersistence.claim(account, Owner.new())

    [
      save(rounds, driver, account),
      commit(rounds, driver, account),
      load(rounds, driver, account),
      migration(rounds, server)
    ]
  end

  defp save(rounds, driver, account) do
    session = Accounts.session()
    bytes = Accounts.native_bytes(session)

    [
      Measure.times(200, fn n ->
        query(driver, @upsert, ["ada", ["session"], ["#{rem(n, 10)}.0"], [bytes]])
      end),
      Measure.times(200, fn n ->
        commit(account, %{session: %{"#{rem(n, 10)}.0" => session}})
      end)
    ]
    |> row(rounds, "PostgreSQL save of 1 key", "bare upsert", {:at_most, 1.4})
  end

  defp commit(rounds, driver, account) do
    keys = Accounts.pre_keys(1..812)
    {ids, values} = keys |> Enum.sort() |> Enum.unzip()
    bytes = Enum.map(values, &Accounts.native_bytes/1)
    types = List.duplicate("pre-key", 812)

    [
      Measure.times(5, fn -> query(driver, @upsert, ["ada", types, ids, bytes]) end),
      Measure.times(5, fn -> commit(account, %{"pre-key": keys}) end)
    ]
    |> row(rounds, "PostgreSQL commit of 812 keys", "bare unnest upsert", {:at_most, 1.5})
  end

  defp load(rounds, driver, account) do
    ids = Enum.map(1..300, &Integer.to_string/1)

    bare =
      "SELECT id, value FROM bare WHERE account = $1::text AND type = $2::text AND id = ANY ($3::text[])"

    [
      Measure.times(20, fn ->
        [_ | _] = query(driver, bare, ["ada", "pre-key", ids])
      end),
      Measure.times(20, fn ->
        {:ok, found} = PostgresPersistence.load_many(account, :"pre-key", ids)
        300 = map_size(found)
      end)
    ]
    |> row(rounds, "PostgreSQL load of 300 keys", "bare query", {:at_most, 1.5})
  end

  defp migration(rounds, %{driver: driver, directory: directory} = server) do
    json = Accounts.json("json", @keys)
    # The server reads it itself: the driver of the tests cannot COPY.
    file = Path.join(directory, "copy")

    copy = fn name ->
      File.write!(file, for(path <- Path.wildcard(json <> "/*"), do: line(name, path)))
      query(driver, "COPY bare FROM '#{file}'", [])
    end

    migrate = fn name ->
      target = {PostgresPersistence, connection: server.connection, account: name}

      {:ok, %{migrated_keys: @keys}} =
        PersistenceMigration.migrate({FilePersistence, json}, target)
    end

    name = fn -> "account #{System.unique_integer([:positive])}" end

    [Measure.once(name, copy), Measure.once(name, migrate)]
    |> row(
      min(rounds, 3),
      "migration of 10,000 keys, JSON to PostgreSQL",
      "reading the files + COPY",
      {:at_most, 2.0}
    )
  end

  defp line(name, path) do
    bytes = path |> File.read!() |> Base.encode16(case: :lower)
    [name, "\t", "file", "\t", Path.basename(path), "\t", "\\\\x", bytes, "\n"]
  end

  defp commit(account, changes) do
    :ok = PostgresPersistence.commit_keys_unless_changed(account, changes, nil)
  end

  defp query(driver, sql, params) do
    {:ok, rows} = PostgresDriver.query(driver, sql, params)
    rows
  end

  defp row(sides, rounds, work, reference, target) do
    sides
    |> Measure.sides(rounds)
    |> then(&Report.times(work, reference, &1, target))
    |> Report.print()
  end
end
