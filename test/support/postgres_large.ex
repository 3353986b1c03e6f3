defmodule BaileysEx.Test.PostgresLarge do
  @moduledoc """
  Accounts of many keys in PostgreSQL. The server itself makes and compares them; separate VMs, whose
  arguments are texts, migrate them.
  """

  alias BaileysEx.Auth.{
    BaileysJSON,
    FilePersistence,
    NativeFilePersistence,
    PersistenceMigration,
    PostgresPersistence,
    State
  }

  alias BaileysEx.Test.{JSON, PostgresDriver}

  @mark "00000000"

  @doc "Fills an account with this many different keys, each of about `members` times 36 bytes."
  def fill!(context, count, members \\ 100) do
    :ok = PostgresPersistence.save_credentials(context, State.new())
    [before, behind] = members |> members() |> :erlang.term_to_binary() |> String.split(@mark)

    sql = """
    INSERT INTO baileys_auth_keys (account, type, id, value)
    SELECT $1::text, 'sender-key-memory', n || '@g.us',
      $3::bytea || convert_to(lpad(n::text, 8, '0'), 'UTF8') || $4::bytea
    FROM generate_series(1, $2::bigint) AS n
    """

    [] = query(context, sql, [context[:account], count, before, behind])
    :ok
  end

  # The members who have a group's sender key.
  defp members(count) do
    Map.new([@mark | Enum.map(2..count//1, &to_string/1)], fn name ->
      {"#{name}.15559990002@s.whatsapp.net", true}
    end)
  end

  @doc "Returns the bytes of an account's values."
  def bytes(context) do
    sql =
      "SELECT sum(octet_length(value))::bigint FROM baileys_auth_keys WHERE account = $1::text"

    [[bytes]] = query(context, sql, [context[:account]])
    bytes
  end

  @doc "Returns whether two accounts hold the same keys, and how many the first one has."
  def same_keys(context, other) do
    sql = """
    SELECT
      (SELECT count(*) FROM baileys_auth_keys WHERE account = $1::text),
      (SELECT count(*) FROM baileys_auth_keys WHERE account = $2::text),
      (SELECT count(*) FROM baileys_auth_keys AS one JOIN baileys_auth_keys AS other
        USING (type, id, value) WHERE one.account = $1::text AND other.account = $2::text)
    """

    [[mine, others, same]] = query(context, sql, [context[:account], other[:account]])
    {mine == same and others == same, mine}
  end

  @doc "Returns all names in the tables, with the number of their keys."
  def accounts(context) do
    sql = """
    SELECT account, count(id) FROM baileys_auth_accounts FULL JOIN baileys_auth_keys USING (account)
    GROUP BY account
    """

    for [account, count] <- query(context, sql, []), into: %{}, do: {account, count}
  end

  def query(context, sql, params) do
    {module, handle} = context[:connection]
    {:ok, rows} = module.query(handle, sql, params)
    rows
  end

  @doc """
  Migrates, and prints `done DONE TOTAL` after each step. At the end it prints either `ok KEYS` and the
  maximum growth of the VM's memory in kilobytes, or the error. A side is `postgres:NAME`, `json:PATH`,
  `native:PATH` or `small rows:COUNT`.
  """
  @spec migrate(String.t(), String.t(), String.t()) :: :ok
  def migrate(directory, from, to) do
    {:ok, _} = Application.ensure_all_started(:baileys_ex_auth)
    :ok = :logger.set_primary_config(:level, :none)
    [from, to] = Enum.map([from, to], &side(directory, &1))
    before = status("VmRSS")
    on_progress = &IO.puts("done #{&1.done} #{&1.total}")
    result = PersistenceMigration.migrate(from, to, overwrite?: true, on_progress: on_progress)

    case result do
      {:ok, summary} -> IO.puts("ok #{summary.migrated_keys} #{status("VmHWM") - before}")
      {:error, error} -> IO.puts("error #{inspect(error)}")
    end
  end

  defp side(directory, "postgres:" <> name) do
    {:ok, driver} = PostgresDriver.start_link(directory)
    {PostgresPersistence, connection: {PostgresDriver, driver}, account: name}
  end

  defp side(_directory, "json:" <> path), do: {FilePersistence, path}
  defp side(_directory, "native:" <> path), do: {NativeFilePersistence, path}

  defp side(_directory, "small rows:" <> count), do: rows(String.to_integer(count), 1)

  @doc "Returns rows of another store with this many similar keys, as they come from a cursor."
  def rows(count, members \\ 100) do
    {:ok, creds} = BaileysJSON.encode(:creds, State.new())
    members = JSON.encode(members(members))
    keys = Stream.map(1..count, &{"sender-key-memory-#{&1}@g.us", members <> " "})
    Stream.concat([{"creds", creds}], keys)
  end

  defp status(field) do
    [_, kilobytes] = Regex.run(~r/#{field}:\s+(\d+) kB/, File.read!("/proc/self/status"))
    String.to_integer(kilobytes)
  end
end
