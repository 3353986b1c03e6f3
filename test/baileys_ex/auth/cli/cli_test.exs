defmodule BaileysEx.Auth.CLITest do
  # Standard output is captured per process, but standard error for the whole VM.
  use ExUnit.Case, async: false

  import BaileysEx.Auth.TempDir

  alias BaileysEx.Auth.{Fixtures, NativeFilePersistence, State}
  alias BaileysEx.Test.{Cli, JSON}

  @commands ~w(inspect migrate verify snapshot restore repair import export delete)

  setup :setup_temp_dir

  describe "every command" do
    for command <- @commands do
      test "#{command} --help shows usage, options and exit codes" do
        assert {0, help, ""} = cli([unquote(command), "--help"])
        assert help =~ "mix baileys.auth.#{unquote(command)} "
        assert help =~ "--json"
        for code <- 0..2, do: assert(help =~ "* #{code} - ")
        # Must fit a terminal of the usual width, and the task's documentation.
        assert help |> String.split("\n") |> Enum.all?(&(String.length(&1) <= 100))
        task = Mix.Task.get!("baileys.auth.#{unquote(command)}")
        assert {:docs_v1, _, _, _, %{"en" => ^help}, _, _} = Code.fetch_docs(task)
        assert Mix.Task.shortdoc(task)
      end

      test "#{command} refuses wrong usage with exit code 2, and names its mistake" do
        command = unquote(command)
        assert {2, "", error} = cli([command])
        assert error =~ "expects"
        assert {2, "", error} = cli([command, "a", "b", "c"])
        assert error =~ "expects"
        assert {2, "", error} = cli([command, "--no-such-option", "a"])
        assert error =~ "--no-such-option"

        option = if command in ["migrate", "import"], do: "--to", else: "--backend"
        assert {2, "", error} = cli([command, "a", option])
        assert error =~ "#{option} needs a value"
        assert {2, "", error} = cli([command, "a", "--no-such-option"])
        assert error =~ "unknown option --no-such-option"

        # An unset variable of the shell would otherwise stand for the current directory.
        assert {2, "", error} = cli([command, ""])
        assert error =~ "an argument is empty"

        assert {2, json, ""} = cli([command, "--json"])
        assert %{"error" => %{"code" => "usage"}} = JSON.decode!(json)
      end

      test "#{command} of a missing directory is a problem, and makes none", %{tmp: tmp} do
        missing = Path.join(tmp, "missing")
        with_target = ["migrate", "snapshot", "restore", "import", "export"]
        target = if unquote(command) in with_target, do: [missing <> "-2"], else: []
        assert {1, "", error} = cli([unquote(command), missing | target])
        assert error =~ "error: "
        assert error =~ missing
        assert File.ls!(tmp) == []

        assert {1, json, ""} = cli([unquote(command), missing, "--json" | target])
        assert %{"error" => %{"code" => code, "advice" => _} = error} = JSON.decode!(json)
        assert error["message"] =~ missing
        assert code in ["enoent", "unreadable_snapshot", "not_an_auth_directory"]
      end
    end

    test "that does not exist is wrong usage" do
      assert {2, "", error} = cli(["frobnicate"])
      assert error =~ "inspect, migrate, repair, restore, snapshot, verify"
      assert {2, "", _} = cli([])
      assert {0, help, ""} = cli(["--help"])
      assert help =~ "Commands:"
    end
  end

  describe "inspect" do
    test "shows the account and a table by family", %{tmp: tmp} do
      path = Fixtures.copy!(:baileys, tmp)
      assert {0, shown, ""} = cli(["inspect", path])
      assert shown =~ ~r/backend +json\n/
      assert shown =~ ~r/dialect +Baileys\n/
      assert shown =~ ~r/account +15551230001:7@s.whatsapp.net  Zoë 🦊\n/
      assert shown =~ ~r/registered +yes\n/
      assert shown =~ ~r/pre-keys +39 unused, 0 not uploaded yet, 1 used, 40 made\n/
      assert shown =~ ~r/^  last written within +a day +a week +30 days +before$/m
      assert shown =~ ~r/^  known within +a day +a week +30 days +before +unknown$/m
      assert shown =~ ~r/^  pre-keys made +40 +0 +0 +0 +0$/m
      assert shown =~ ~r/^    and used +1 +0 +0 +0 +0$/m
      assert shown =~ ~r/^  sessions used +\d/m

      tables =
        for line <- String.split(shown, "\n"), line =~ ~r/^  .*(\d|before|unknown)$/, do: line

      for line <- tables, do: assert(String.length(line) <= 60, line)
      refute shown =~ "many keys"
      assert {0, shown, ""} = cli(["inspect", path, "--warn-above", "41"])
      assert shown =~ "lid-mapping: 42, 0 of them"
      refute shown =~ "pre-key: 39, "
      assert {0, shown, ""} = cli(["inspect", path, "--warn-above", "session=9, pre-key=38"])
      assert shown =~ "pre-key: 39, 0 of them"
      refute shown =~ "lid-mapping: 42, "
      assert shown =~ ~r/damaged +none\n/
      assert shown =~ ~r/^  lid-mapping +42 +507$/m
      assert shown =~ ~r/^  total +99 +20,337$/m
      refute shown =~ "\e"
    end

    test "an invalid --warn-above is wrong usage, even for a missing directory", %{
      tmp: tmp
    } do
      for {value, problem} <- [
            {"few", "a number of keys"},
            {"", "a number of keys"},
            {"5,6", "a number of keys"},
            {"sessions=5", ~s(names "sessions", which is no type)},
            {"session=few", "no number of keys, 0 or more, for session"},
            {"session=5,pre-key", "no number of keys, 0 or more, for pre-key"},
            {"session=5,session=6", ~s(names "session" twice)}
          ],
          all <- [[], ["--all"]] do
        argv = ["inspect", Path.join(tmp, "missing"), "--warn-above=#{value}" | all]
        assert {2, "", error} = cli(argv)
        assert error =~ "inspect: --warn-above "
        assert error =~ problem
      end
    end

    test "--json has everything in it", %{tmp: tmp} do
      path = Fixtures.copy!(:legacy, tmp)
      File.write!(Path.join(path, "notes.txt"), "")
      assert {0, json, ""} = cli(["inspect", "--json", path])
      report = JSON.decode!(json)

      assert %{
               "path" => ^path,
               "backend" => "json",
               "dialect" => "legacy",
               "registered" => true,
               "account" => %{"name" => "Zoë 🦊"},
               "families" => %{"creds" => %{"files" => 1}},
               "pre_keys" => %{"unused" => 39},
               "foreign" => ["notes.txt"],
               "journal" => %{"exists" => false},
               "damaged" => []
             } = report

      assert {:ok, _, 0} = DateTime.from_iso8601(report["newest_change"])
    end

    test "names damaged files, with exit code 1", %{tmp: tmp} do
      path = Fixtures.copy!(:baileys, tmp)
      File.write!(Path.join(path, "session-1.0.json"), ~S({"_sessions": 7}))
      assert {1, shown, ""} = cli(["inspect", path])
      assert shown =~ "damaged (1)\n  session-1.0.json: session.sessions: "

      assert {1, json, ""} = cli(["inspect", path, "--json"])
      assert %{"damaged" => [%{"member" => "session.sessions"}]} = JSON.decode!(json)
    end

    test "a file's name cannot speak to the terminal", %{tmp: tmp} do
      path = Fixtures.copy!(:baileys, tmp)
      File.write!(Path.join(path, "a\e]0;owned\a.txt"), "")
      assert {0, shown, ""} = cli(["inspect", path])
      assert shown =~ "a?]0;owned?.txt"
      refute shown =~ "\e"
    end

    test "shows credentials whose text and counters are damaged", %{tmp: tmp} do
      path = Fixtures.copy!(:native, tmp)
      {:ok, state} = NativeFilePersistence.load_credentials(path)
      me = %{id: <<"1", 0xFF, 0xFE, "@x">>, name: <<"Zo", 0xC3>>, lid: <<0x80>>}
      damaged = %{state | me: me, registered: {:no, :boolean}, first_unuploaded_pre_key_id: nil}
      :ok = NativeFilePersistence.save_credentials(path, damaged)

      assert {1, shown, ""} = cli(["inspect", path])
      assert shown =~ ~r/account +1\?@x  Zo\?\n/
      assert shown =~ ~r/lid +\?\n/
      assert shown =~ ~r/registered +no\n/
      assert shown =~ ~r/pre-keys +the credentials do not say/

      assert {1, json, ""} = cli(["inspect", path, "--json"])
      assert %{"pre_keys" => nil, "registered" => false} = JSON.decode!(json)
    end

    test "a directory of both kinds asks which", %{tmp: tmp} do
      path = Fixtures.copy!(:baileys, tmp)
      File.cp!(Path.join(Fixtures.path(:native), "creds.etf"), Path.join(path, "creds.etf"))
      assert {1, "", error} = cli(["inspect", path])
      assert error =~ "--backend"
      assert {0, shown, ""} = cli(["inspect", path, "--backend", "native"])
      assert shown =~ "Erlang terms"
      assert {2, "", error} = cli(["inspect", path, "--backend", "sql"])
      assert error =~ "--backend is native or json"
    end
  end

  describe "migrate" do
    test "to native and back, with a summary", %{tmp: tmp} do
      source = Fixtures.copy!(:baileys, tmp)
      native = Path.join(tmp, "native")
      back = Path.join(tmp, "back")
      assert {0, shown, ""} = cli(["migrate", source, native, "--verify"])
      assert shown =~ "and verified"
      assert shown =~ ~r/^  total +98$/m
      refute shown =~ "\r"

      assert {0, json, ""} = cli(["migrate", native, back, "--to", "json", "--json"])

      assert %{
               "source_backend" => "native",
               "target_backend" => "json",
               "target_path" => ^back,
               "migrated_keys" => 98,
               "verified" => false,
               "skipped" => []
             } = JSON.decode!(json)

      assert {0, _, ""} = cli(["verify", back])
    end

    test "an occupied target is left alone, until --overwrite", %{tmp: tmp} do
      source = Fixtures.copy!(:baileys, tmp)
      target = Path.join(tmp, "target")
      File.mkdir!(target)
      File.write!(Path.join(target, "mine"), "")

      assert {1, "", error} = cli(["migrate", source, target])
      assert error =~ "--overwrite"
      assert File.ls!(target) == ["mine"]

      assert {0, _, ""} = cli(["migrate", source, target, "--overwrite"])
      refute File.exists?(Path.join(target, "mine"))
    end

    test "damage is named with what to do next; --skip-corrupt leaves it out", %{tmp: tmp} do
      source = Fixtures.copy!(:baileys, tmp)
      File.write!(Path.join(source, "session-1.0.json"), "")
      target = Path.join(tmp, "target")

      assert {1, "", error} = cli(["migrate", source, target])
      assert error =~ "session-1.0.json"
      assert error =~ "--skip-corrupt"
      refute File.exists?(target)

      assert {1, json, ""} = cli(["migrate", source, target, "--json"])
      assert %{"error" => %{"files" => [%{"path" => damaged}]}} = JSON.decode!(json)
      assert damaged == Path.join(source, "session-1.0.json")

      assert {0, shown, ""} = cli(["migrate", source, target, "--skip-corrupt"])
      assert shown =~ "left out, cannot be read (1)\n  session-1.0.json: "
      {:ok, keys} = NativeFilePersistence.list_keys(target)
      assert length(keys.session) == 2
    end

    test "a native source without --to json says so", %{tmp: tmp} do
      source = Fixtures.copy!(:native, tmp)
      assert {1, "", error} = cli(["migrate", source, Path.join(tmp, "target")])
      assert error =~ "--to json"
      assert {2, "", error} = cli(["migrate", source, Path.join(tmp, "target"), "--to", "sql"])
      assert error =~ "--to is native or json"
    end
  end

  describe "verify" do
    test "says how much can be read", %{tmp: tmp} do
      path = Fixtures.copy!(:native, tmp)
      assert {0, shown, ""} = cli(["verify", path])
      assert shown =~ ~r/^ok  .*: credentials and 98 keys can be read/
      assert {0, json, ""} = cli(["verify", path, "--json"])
      assert %{"backend" => "native", "credentials" => true} = JSON.decode!(json)
    end

    test "reports every damaged file at once", %{tmp: tmp} do
      path = Fixtures.copy!(:native, tmp)
      for name <- ["creds.etf", "pre-key-2.etf"], do: File.write!(Path.join(path, name), "")
      assert {1, "", error} = cli(["verify", path])
      assert error =~ "creds.etf"
      assert error =~ "pre-key-2.etf"
      assert error =~ "backup"
    end
  end

  describe "delete" do
    test "asks nobody with --yes, and is refused where nobody can be asked", %{tmp: tmp} do
      path = Fixtures.copy!(:native, tmp)
      before = Fixtures.load_all!(NativeFilePersistence, path)
      assert {2, "", error} = cli(["delete", path])
      assert error =~ "--yes"
      assert {2, json, ""} = cli(["delete", path, "--json"])
      assert json =~ "--yes"
      assert Fixtures.load_all!(NativeFilePersistence, path) == before

      File.write!(Path.join(path, "notes.txt"), "mine")
      assert {0, json, ""} = cli(["delete", path, "--yes", "--json"])
      assert %{"backend" => "native", "deleted_keys" => keys} = JSON.decode!(json)
      assert keys == map_size(before) - 1
      assert NativeFilePersistence.list_keys(path) == {:ok, %{}}

      refute Enum.any?(
               File.ls!(path),
               &(Path.extname(&1) == ".etf" and not String.starts_with?(&1, "."))
             )

      assert File.read!(Path.join(path, "notes.txt")) == "mine"
      assert {1, "", error} = cli(["delete", path, "--yes"])
      assert error =~ "holds no credentials and no keys"
    end
  end

  test "snapshot copies what can be opened at once", %{tmp: tmp} do
    path = Fixtures.copy!(:native, tmp)
    target = Path.join(tmp, "snapshot")
    assert {0, shown, ""} = cli(["snapshot", path, target])
    assert shown =~ target

    assert Fixtures.load_all!(NativeFilePersistence, target) ==
             Fixtures.load_all!(NativeFilePersistence, path)

    assert {1, "", error} = cli(["snapshot", path, target])
    assert error =~ "does not exist yet"
    assert error =~ "error: #{target}: "
    assert {1, json, ""} = cli(["snapshot", path, target, "--json"])
    assert %{"error" => %{"code" => "enotempty"}} = JSON.decode!(json)
  end

  test "of two paths, the one that the operating system refuses is named", %{tmp: tmp} do
    for {fixture, to} <- [native: "json", baileys: "native"] do
      path = Fixtures.copy!(fixture, tmp)

      # A directory that nobody can create, not even root.
      for command <- [["snapshot"], ["migrate", "--to", to]] do
        assert {1, "", error} = cli(command ++ [path, "/proc/auth"])
        assert error =~ "error: /proc/auth cannot be written to: "
        refute error =~ path
      end

      missing = Path.join(tmp, "missing")
      assert {1, "", error} = cli(["snapshot", missing, Path.join(tmp, "copy")])
      assert error =~ "error: #{missing}: no such file or directory"
      refute error =~ "copy"
      assert {1, "", error} = cli(["snapshot", path, path])
      assert error =~ "#{path} would be copied into itself"
    end
  end

  test "restore puts a snapshot back, and says where the old content is", %{tmp: tmp} do
    path = Fixtures.copy!(:native, tmp)
    backup = Path.join(tmp, "backup")
    {0, _shown, ""} = cli(["snapshot", path, backup])
    File.rm!(Path.join(path, "creds.etf"))

    assert {0, shown, ""} = cli(["restore", backup, path])
    assert shown =~ "#{path} is restored\n"
    assert shown =~ ~r/from +#{backup}\n/
    [aside] = Regex.run(~r/set aside +(.*)\n/, shown, capture: :all_but_first)
    refute File.exists?(Path.join(aside, "creds.etf"))
    assert File.exists?(Path.join(aside, "session-15559990002.0.etf"))
    assert {0, _shown, ""} = cli(["verify", path])

    aside = Path.join(tmp, "aside")
    assert {0, json, ""} = cli(["restore", backup, path, "--aside", aside, "--json"])
    assert %{"set_aside" => ^aside, "backend" => "native"} = JSON.decode!(json)
    assert {1, "", error} = cli(["restore", backup, path, "--aside", aside])
    assert error =~ "Give another --aside"

    for {argv, said} <- [
          {["restore", Path.join(tmp, "missing"), path],
           "#{tmp}/missing cannot be read: no such"},
          {["restore", backup, "/proc/auth"], "/proc/auth cannot be written to: no such"},
          {["restore", backup, path, "--aside", "/proc/x"],
           "/proc/x cannot be written to: no such"}
        ] do
      assert {1, "", error} = cli(argv)
      assert error =~ "error: " <> said
    end

    manifest = Path.join(backup, ".baileys_ex_native_file_persistence.etf")
    known = File.read!(manifest)
    File.rm!(manifest)

    File.write!(manifest, "")
    assert {1, "", error} = cli(["restore", backup, path])
    assert error =~ "the manifest of the snapshot cannot be read"
    File.write!(manifest, known)

    json = Fixtures.copy!(:baileys, tmp)
    assert {1, "", error} = cli(["restore", json, path])
    assert error =~ "#{path} is a directory of the backend native, and the snapshot is not"

    # The directory that contains all accounts, given by mistake.
    root = Path.join(tmp, "accounts")
    File.mkdir!(root)
    File.cp_r!(path, Path.join(root, "ada"))
    assert {1, "", error} = cli(["restore", backup, root])
    assert error =~ "Give the directory of one account, such as #{root}/ada. Nothing was changed."

    keys_only = Path.join(tmp, "keys-only")
    File.cp_r!(backup, keys_only)
    File.rm!(Path.join(keys_only, "creds.etf"))
    assert {1, "", error} = cli(["restore", keys_only, path])
    assert error =~ "Give a snapshot of the whole account. Nothing was changed."

    assert {2, "", error} = cli(["restore", backup, "postgres:ada"])
    assert error =~ "mix baileys.auth.migrate SNAPSHOT postgres:ACCOUNT --overwrite"
    refute File.exists?("postgres:ada")

    assert {1, "", error} = cli(["restore", path, path])
    assert error =~ "are the same directory"
    File.write!(Path.join(backup, "creds.etf"), "")
    assert {1, "", error} = cli(["restore", backup, path])
    assert error =~ "creds.etf"
    assert error =~ "Nothing was changed."
  end

  test "one file, row or key is in the singular", %{tmp: tmp} do
    path = Path.join(tmp, "one")
    :ok = NativeFilePersistence.save_credentials(path, State.new())
    assert {0, shown, ""} = cli(["export", path, Path.join(tmp, "dump")])
    assert shown =~ "  1 row written to #{tmp}/dump\n"

    :ok = NativeFilePersistence.save_keys(path, :"lid-mapping", "1", "2")
    asks = %{BaileysEx.Auth.CLI.Terminal.plain() | interactive?: true}
    assert {1, shown, _not_agreed} = Cli.run(["delete", path], asks)
    assert shown =~ "with 1 key.\n"

    :ok = NativeFilePersistence.checkpoint(path)
    File.write!(Path.join(path, "lid-mapping-1.etf"), "")
    assert {1, "", error} = cli(["verify", path])
    assert error =~ "#{path}: 1 file cannot be read:\n"

    assert {1, "", error} = cli(["verify", tmp])
    assert error =~ "but the directories of 1 account\n"
  end

  # Returns the exit code, standard output and standard error.
  defp cli(argv), do: Cli.run(argv)
end
