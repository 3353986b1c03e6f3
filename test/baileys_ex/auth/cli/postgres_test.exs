defmodule BaileysEx.Auth.CLI.PostgresTest do
  # Commands on accounts in PostgreSQL, by the repository that `--repo` names.
  use ExUnit.Case, async: false

  import BaileysEx.Auth.TempDir

  alias BaileysEx.Auth.{Fixtures, Inspection, NativeFilePersistence, PostgresPersistence}
  alias BaileysEx.Auth.Postgres.Schema
  alias BaileysEx.Test.{Cli, JSON, PostgresRows, PostgresServer, Repository}

  @moduletag :postgres
  @moduletag :capture_log
  @repo ["--repo", "BaileysEx.Test.Repository"]

  defmodule Broken do
    @moduledoc false
    # Like a repository whose pool rejects its configuration.
    def __adapter__, do: __MODULE__
    def config, do: []
    def ensure_all_started(_config, :temporary), do: {:ok, []}

    def start_link(pool_size: 2),
      do:
        Supervisor.start_link([%{id: 1, start: {__MODULE__, :pool, []}}], strategy: :one_for_one)

    def pool, do: raise(ArgumentError, "the password is hunter2")
  end

  defmodule Misconfigured do
    @moduledoc false
    def __adapter__, do: __MODULE__
    def config, do: raise(ArgumentError, "the password is hunter2")
  end

  defmodule Unnamed do
    @moduledoc false
    # Like a repository of Ecto.
    def __adapter__, do: Ecto.Adapters.Postgres
    def config, do: :persistent_term.get(__MODULE__, [])
  end

  setup_all do
    directory = PostgresServer.start!()
    Repository.connect(directory)
    {:ok, _driver} = Repository.start_link(pool_size: 2)
    :ok = Schema.migrate(repo: Repository)
    :ok
  end

  setup :setup_temp_dir

  setup %{tmp: tmp} do
    name = "ada #{System.unique_integer([:positive])}"

    {:ok,
     json: Fixtures.copy!(:baileys, tmp),
     name: name,
     account: [repo: Repository, account: name],
     argument: "postgres:#{name}",
     shown: "account #{name} in PostgreSQL"}
  end

  defp cli(argv), do: Cli.run(argv ++ @repo)

  defp rows(account) do
    PostgresRows.of(account ++ [connection: {__MODULE__, nil}])
  end

  # For `PostgresRows`.
  def query(nil, sql, params) do
    with {:ok, %{rows: rows}} <-
           Repository.query(sql, params, log: false, telemetry_event: nil, cache_statement: ""),
         do: {:ok, rows}
  end

  test "a directory is migrated to an account and back, verified", context do
    %{json: json, argument: argument, shown: shown, account: account, tmp: tmp} = context
    native = Path.join(tmp, "native")

    assert {0, text, ""} = cli(["migrate", json, argument, "--verify"])
    assert text =~ "and verified"
    assert text =~ "#{shown} (postgres,"
    assert text =~ ~r/^  total +98$/m

    assert {1, "", error} = cli(["migrate", json, argument])
    assert error =~ shown
    assert error =~ "--overwrite"

    assert {0, document, ""} = cli(["migrate", argument, native, "--verify", "--json"])

    assert %{"source_backend" => "postgres", "target_backend" => "native", "verified" => true} =
             JSON.decode!(document)

    assert Fixtures.load_all!(NativeFilePersistence, native) ==
             Fixtures.load_all!(PostgresPersistence, account)

    back = Path.join(tmp, "back")
    assert {0, _, ""} = cli(["migrate", argument, back, "--to", "json"])
    assert {0, _, ""} = Cli.run(["verify", back])
  end

  test "verify reports all rows that cannot be read, and migrate leaves them out", context do
    %{json: json, argument: argument, name: name, tmp: tmp} = context
    {0, _, ""} = cli(["migrate", json, argument])
    assert {0, text, ""} = cli(["verify", argument])
    assert text =~ "credentials and 98 keys can be read"

    sql = """
    UPDATE baileys_auth_keys SET value = '\\x8368'
    WHERE account = $1::text AND type = 'pre-key' AND id IN ('20', '21')
    """

    {:ok, _} = query(nil, sql, [name])
    assert {1, "", error} = cli(["verify", argument])
    for id <- ["20", "21"], do: assert(error =~ ~s(pre-key "#{id}"))
    assert error =~ "backup of the database"
    target = Path.join(tmp, "target")

    assert {1, document, ""} = cli(["migrate", argument, target, "--json"])

    assert %{"error" => %{"code" => "damaged_account", "files" => [_, %{"path" => path}]}} =
             JSON.decode!(document)

    assert path =~ "pre-key-2"
    refute File.exists?(target)
    assert {0, text, ""} = cli(["migrate", argument, target, "--skip-corrupt"])
    assert text =~ "left out, cannot be read (2)\n  pre-key-20: "
  end

  test "inspect shows what it holds, who has it and what is damaged, and no key", context do
    %{json: json, argument: argument, account: account, name: name, shown: shown} = context
    {0, _, ""} = cli(["migrate", json, argument])
    owner = BaileysEx.Auth.Owner.new()
    :ok = PostgresPersistence.claim(account, owner)

    {:ok, of_directory} = Inspection.inspect_directory(json)
    assert {:ok, report} = Inspection.inspect_account(account)

    for member <- [:credentials, :account, :registered?, :paired?, :sessions] do
      assert report[member] == of_directory[member]
    end

    # Rows have no times.
    assert report.pre_keys == %{of_directory.pre_keys | ages: nil}

    {[[creds]], rows} = rows(account)
    bytes = rows |> Enum.map(fn [_type, _id, value] -> byte_size(value) end) |> Enum.sum()
    assert report.families |> Map.values() |> Enum.map(& &1.bytes) |> Enum.sum() == bytes
    assert report.families[:"lid-mapping"].keys == 42
    assert report.owner.id == owner.id

    assert {0, text, ""} = cli(["inspect", argument])
    assert text =~ shown
    assert text =~ ~r/^  total +98 /m
    assert text =~ to_string(report.owner)

    assert text =~ ~r/^  sessions used  /m
    refute text =~ "pre-keys made"
    refute text =~ "many keys"
    assert {0, text, ""} = cli(["inspect", argument, "--warn-above", "lid-mapping=41"])
    assert text =~ "many keys of one type (see the guide, Growth) (1)\n  lid-mapping: 42\n"
    {:ok, report} = Inspection.inspect_account(account, warn_above: 40)
    assert report.growing == [%{type: :"lid-mapping", keys: 42, above: 40, older: nil}]

    sql = "UPDATE baileys_auth_keys SET value = '\\x8368' WHERE account = $1::text AND id = '20'"
    {:ok, _} = query(nil, sql, [name])
    assert {1, text, ""} = cli(["inspect", argument])
    assert text =~ "1 row"
    assert text =~ "damaged (1)\n  pre-key-20: "
    assert {1, document, ""} = cli(["inspect", argument, "--json"])

    assert %{"backend" => "postgres", "damaged" => [%{"path" => "pre-key-20"}]} =
             JSON.decode!(document)

    {:ok, state} = PostgresPersistence.load_credentials(account)
    secret = state.noise_key.private
    for shown <- [text, document], do: refute(shown =~ Base.encode64(secret))
    assert creds =~ secret

    for command <- ["inspect", "verify"] do
      assert {1, "", error} = cli([command, argument <> "m"])
      assert error =~ "holds no credentials and no keys"
      assert error =~ "Check the name of the account"
    end
  end

  test "snapshot copies it to a native directory", context do
    %{json: json, argument: argument, account: account, tmp: tmp} = context
    {0, _, ""} = cli(["migrate", json, argument])
    copy = Path.join(tmp, "copy")
    assert {0, text, ""} = cli(["snapshot", argument, copy])
    assert text =~ copy

    assert Fixtures.load_all!(NativeFilePersistence, copy) ==
             Fixtures.load_all!(PostgresPersistence, account)

    assert {1, "", error} = cli(["snapshot", argument, copy])
    assert error =~ copy
  end

  test "delete removes all of it, and nothing if the name is misspelt", context do
    %{json: json, argument: argument, account: account, shown: shown} = context
    {0, _, ""} = cli(["migrate", json, argument])
    before = rows(account)
    assert {2, "", error} = cli(["delete", argument])
    assert error =~ "--yes"
    assert {1, "", error} = cli(["delete", argument <> "m", "--yes"])
    assert error =~ "#{shown |> String.replace(" in", "m in")} holds no credentials and no keys"
    assert rows(account) == before

    assert {0, text, ""} = cli(["delete", argument, "--yes"])
    assert text =~ "#{shown} is deleted"
    assert {[[nil]], []} = rows(account)
  end

  test "impossible options are refused with what is missing, without a password", context do
    %{json: json, argument: argument} = context

    for {argv, message} <- [
          {["verify", argument], "--repo MyApp.Repo"},
          {["verify", argument, "--repo", "x"], "name of a module"},
          {["verify", "postgres:"] ++ @repo, "name of the account"},
          {["verify", json] ++ @repo, "go with postgres:ACCOUNT"},
          {["verify", "--all", json] ++ @repo, "go with postgres:ACCOUNT"},
          {["verify", argument, "--backend", "json"] ++ @repo, "for a directory"},
          {["verify", argument, "--schema", "a b"] ++ @repo, ":prefix"},
          {["migrate", json, argument, "--to", "json"] ++ @repo, "--to is for a TARGET"},
          {["migrate", "--all", json, argument] ++ @repo, "--all is for directories"}
        ] do
      assert {2, "", error} = Cli.run(argv)
      assert error =~ message
    end

    assert {1, "", error} = Cli.run(["verify", argument, "--repo", "No.Such.Repo"])
    assert error =~ "No.Such.Repo is not an Ecto repository"

    assert {1, document, ""} = cli(["verify", argument, "--schema", "elsewhere", "--json"])
    assert %{"error" => %{"code" => "database", "message" => text}} = JSON.decode!(document)
    assert text =~ "tables are missing"

    # The original reason contains the password.
    directory = Repository.config()[:directory]
    Repository.connect(nil)
    assert {1, "", error} = cli(["verify", argument])
    Repository.connect(directory)
    assert error =~ "could not be started"
    refute error =~ "hunter2"
  end

  test "a repository that does not start is told, and ends nothing else", %{argument: argument} do
    for {repo, exception} <- [{Broken, ""}, {Misconfigured, " (ArgumentError)"}] do
      assert {1, "", error} = Cli.run(["verify", argument, "--repo", inspect(repo)])
      assert error =~ "#{inspect(repo)} could not be started#{exception}\n"
      refute error =~ "hunter2"
    end

    refute_received {:EXIT, _pid, _reason}
  end

  test "a repository that names no database is told so", %{argument: argument} do
    on_exit(fn -> :persistent_term.erase(Unnamed) end)

    for config <- [[], [database: nil], [database: ""]] do
      :persistent_term.put(Unnamed, config)
      assert {1, "", error} = Cli.run(["verify", argument, "--repo", inspect(Unnamed)])
      assert error =~ "#{inspect(Unnamed)} names no database"
      assert error =~ "Set :database, or :url"
    end
  end

  test "an application that a repository needs and has not is named", %{argument: argument} do
    on_exit(fn -> :persistent_term.erase(Unnamed) end)
    :persistent_term.put(Unnamed, database: "auth")
    verify = fn repo -> Cli.run(["verify", argument, "--repo", inspect(repo)]) end

    # Ecto is not available here.
    assert {1, "", error} = verify.(Unnamed)
    assert error =~ "#{inspect(Unnamed)} needs the application :ecto_sql"
    assert error =~ "dependencies of your application"

    of_ecto = [applications: [:kernel, :stdlib, :a_driver_that_is_missing]]
    :ok = :application.load({:application, :ecto_sql, of_ecto})
    on_exit(fn -> :application.unload(:ecto_sql) end)
    assert {1, "", error} = verify.(Unnamed)
    assert error =~ "needs the application :a_driver_that_is_missing"
    assert {1, "", error} = verify.(Repository)
    assert error =~ "needs the application :a_driver_that_is_missing"
  end
end
