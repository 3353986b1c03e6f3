defmodule BaileysEx.Auth.Postgres.Schema do
  @moduledoc """
  The tables of `BaileysEx.Auth.PostgresPersistence`, and their versions.

  With Ecto, in a migration of the application:

      defmodule MyApp.Repo.Migrations.AddBaileysAuth do
        use Ecto.Migration

        def up do
          Enum.each(BaileysEx.Auth.Postgres.Schema.up(from: 0, to: 1), &execute/1)
        end

        def down, do: Enum.each(BaileysEx.Auth.Postgres.Schema.down(), &execute/1)
      end

  Without Ecto, once at deployment: `BaileysEx.Auth.Postgres.Schema.migrate(conn: MyApp.Pool)`.

  There are three tables, in the schema that `:prefix` names (`"public"` by default): `baileys_auth_accounts`
  with the credentials and the owner, `baileys_auth_keys` with a row for each key, and `baileys_auth_schema`
  with the version. Values are in the external term format.
  """

  alias BaileysEx.Auth.{DatabaseError, Options}
  alias BaileysEx.Auth.Postgres.Account

  @version 1

  @doc """
  The version of the tables that this library writes and reads.

      iex> BaileysEx.Auth.Postgres.Schema.version()
      1
  """
  @spec version() :: pos_integer()
  def version, do: @version

  @doc """
  Returns the statements that lead from one version to another. Execute them in order and in one transaction.

      iex> hd(BaileysEx.Auth.Postgres.Schema.up(prefix: "whatsapp"))
      ~s(CREATE SCHEMA IF NOT EXISTS "whatsapp")

  Options:

    * `:from`: the current version; by default 0, which means nothing
    * `:to`: the version to reach; by default `version/0`
    * `:prefix`: the name of the schema that holds the tables; `"public"` by default
    * `:create_schema`: whether to create that schema too, if it does not exist. This requires a privilege
      that an application's role need not have, even if the schema already exists: give `false` in that case.
      By default `true`, and `false` for `"public"`

  Raises `ArgumentError` for versions that do not exist or are in the wrong order.
  """
  @spec up(keyword()) :: [String.t()]
  def up(opts \\ []) do
    Options.check!(opts, [:from, :to, :prefix, :create_schema])
    prefix = Account.prefix!(opts)
    from = Keyword.get(opts, :from, 0)
    to = Keyword.get(opts, :to, @version)

    if not (from in 0..@version and to in from..@version) do
      raise ArgumentError, "expected versions from 0 to #{@version}, :to not before :from"
    end

    create_schema(prefix, Keyword.get(opts, :create_schema, prefix != "public")) ++
      Enum.flat_map(Enum.drop(1..@version, from), fn
        version when version <= to -> version(version, prefix)
        _later -> []
      end)
  end

  @doc """
  Returns the statements that remove everything, including the accounts. The option is `:prefix`, as for
  `up/1`.

      iex> hd(BaileysEx.Auth.Postgres.Schema.down())
      ~s(DROP TABLE "public".baileys_auth_keys)
  """
  @spec down(keyword()) :: [String.t()]
  def down(opts \\ []) do
    Options.check!(opts, [:prefix, :account, :repo, :conn, :connection])
    prefix = Account.prefix!(opts)
    for table <- ~w(keys accounts schema), do: ~s(DROP TABLE "#{prefix}".baileys_auth_#{table})
  end

  @doc """
  Brings the schema to the newest version. It takes the options of the context of
  `BaileysEx.Auth.PostgresPersistence`, without `:account`, and `:create_schema` as in `up/1`.

      :ok = BaileysEx.Auth.Postgres.Schema.migrate(conn: MyApp.Pool)

  If the schema already has that version, nothing changes. Run it on one node at a time. A failed statement is
  `{:error, %BaileysEx.Auth.DatabaseError{}}`.
  """
  @spec migrate(keyword()) :: :ok | {:error, DatabaseError.t()}
  def migrate(opts) do
    {of_schema, opts} = Keyword.split(opts, [:create_schema])

    account = %Account{
      connection: Account.connection!(opts),
      name: "*",
      prefix: Account.prefix!(opts)
    }

    opts
    |> Keyword.take([:prefix])
    |> Keyword.merge(of_schema)
    |> up()
    |> Enum.find_value(:ok, fn sql ->
      with {:ok, _rows} <- Account.query(account, sql, []), do: nil
    end)
  end

  @doc false
  @spec check(Account.t()) :: :ok | {:error, DatabaseError.t()}
  def check(account) do
    sql = ~s[SELECT max(version) FROM "#{account.prefix}".baileys_auth_schema]

    case Account.query(account, sql, []) do
      {:ok, [[@version]]} -> :ok
      {:ok, [[nil]]} -> wrong(account, :missing_table)
      {:ok, [[newer]]} when newer > @version -> wrong(account, :newer_schema)
      {:ok, _older} -> wrong(account, :older_schema)
      error -> error
    end
  end

  defp wrong(account, kind) do
    {:error, %DatabaseError{place: Account.place(account), kind: kind}}
  end

  defp create_schema(prefix, true), do: [~s(CREATE SCHEMA IF NOT EXISTS "#{prefix}")]
  defp create_schema(_prefix, false), do: []

  defp create_schema(_prefix, _other),
    do: raise(ArgumentError, "expected :create_schema to be true or false")

  # Published versions never change; a later version is another clause.
  defp version(1, prefix) do
    [
      """
      CREATE TABLE IF NOT EXISTS "#{prefix}".baileys_auth_accounts (
        account text PRIMARY KEY,
        creds bytea,
        sender_keys text,
        changes bigint NOT NULL DEFAULT 0,
        owner_id text,
        owner_counter bigint NOT NULL DEFAULT 0,
        owner_fence bigint NOT NULL DEFAULT 0,
        owner_node text,
        owner_os_process text,
        owner_host text,
        owner_since_ms bigint,
        inserted_at timestamptz NOT NULL DEFAULT now()
      )
      """,
      """
      CREATE TABLE IF NOT EXISTS "#{prefix}".baileys_auth_keys (
        account text NOT NULL,
        type text NOT NULL,
        id text NOT NULL,
        value bytea NOT NULL,
        PRIMARY KEY (account, type, id)
      )
      """,
      """
      CREATE TABLE IF NOT EXISTS "#{prefix}".baileys_auth_schema (version bigint PRIMARY KEY)
      """,
      ~s[INSERT INTO "#{prefix}".baileys_auth_schema (version) VALUES (1) ON CONFLICT DO NOTHING]
    ]
  end
end
