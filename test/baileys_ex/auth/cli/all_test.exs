defmodule BaileysEx.Auth.CLI.AllTest do
  # `--all`, with 500 accounts, ten of which have ten different problems. Standard error is captured for the
  # whole VM.
  use ExUnit.Case, async: false

  import BaileysEx.Auth.TempDir

  alias BaileysEx.Auth.{FilePersistence, Fixtures, Inspection, NativeFilePersistence}
  alias BaileysEx.Auth.CLI.Terminal
  alias BaileysEx.Test.{Cli, JSON, ManyAccounts}

  setup :setup_temp_dir

  # Nothing here changes an account.
  setup_all do
    {:ok, tmp: tmp} = setup_temp_dir(%{})
    {:ok, ManyAccounts.make!(tmp)}
  end

  defp cli(argv, columns \\ 80), do: Cli.run(argv, %{Terminal.plain() | columns: columns})

  test "inspect shows a row an account, and names each of ten problems", context do
    for columns <- [80, 60] do
      assert {1, text, ""} = cli(["inspect", "--all", context.root], columns)
      lines = String.split(text, "\n")
      {table, ["" | rest]} = Enum.split_while(lines, &(&1 != ""))
      assert length(table) == length(context.sound ++ context.problems) + 1
      for line <- table, do: assert(String.length(line) <= columns, line)
      assert hd(table) =~ ~r/name .*paired .*keys .*disk .*damaged/
      names = for "  " <> row <- tl(table), do: row |> String.split() |> hd()
      assert Enum.sort(names) == Enum.sort(context.sound ++ context.problems)
      assert hd(rest) == "500 accounts, 2 paired, 10 with a problem"
      [_, problems] = String.split(text, "problems (10)\n")
      for name <- context.problems, do: assert(problems =~ "  #{name}: ")
    end
  end

  test "inspect --json has everything for a script", context do
    assert {1, json, ""} = cli(["inspect", "--all", context.root, "--json", "--sort", "damaged"])
    document = JSON.decode!(json)
    assert document["root"] == context.root
    assert %{"accounts" => 500, "with_problem" => 10} = document["totals"]
    assert %{"growing" => [], "without_account" => ["empty"]} = document
    # These are copies of one directory.
    assert [%{"names" => ["cut-key", "link-as-key"]}] = document["same_device"]

    members =
      ~w(account backend damaged disk_bytes keys name newest_change owner paired path problem)

    for account <- document["accounts"], do: assert(Enum.sort(Map.keys(account)) == members)
    assert %{"damaged" => 1} = hd(document["accounts"])
    {with_problem, sound} = Enum.split_with(document["accounts"], & &1["problem"])
    assert Enum.sort(Enum.map(with_problem, & &1["name"])) == context.problems

    {du, 0} = System.cmd("du", ["-s", "-B1", Path.join(context.root, "account-1")])
    expected = du |> String.split() |> hd() |> String.to_integer()
    one = Enum.find(sound, &(&1["name"] == "account-1"))

    assert %{"backend" => "native", "keys" => 4, "paired" => false, "disk_bytes" => ^expected} =
             one
  end

  test "inspect names the accounts with more keys of a type than expected: no problem of them",
       context do
    root = Path.join(context.tmp, "growing")
    File.mkdir!(root)
    File.cp_r!(Path.join(context.root, "account-1"), Path.join(root, "ada"))
    eve = Path.join(root, "eve")
    File.cp_r!(Fixtures.path(:native), eve)
    old = System.os_time(:second) - 40 * 86_400
    for file <- Path.wildcard(Path.join(eve, "lid-mapping-*")), do: File.touch!(file, old)

    assert {0, text, ""} = cli(["inspect", "--all", root])
    refute text =~ "many keys"

    for columns <- [80, 60] do
      assert {0, text, ""} = cli(["inspect", "--all", root, "--warn-above", "38"], columns)
      [_, growing] = String.split(text, "many keys of one type (see the guide, Growth) (2)\n")

      assert String.split(growing, "\n", trim: true) == [
               "  eve: lid-mapping: 42, 42 of them not written for 30 days",
               "  eve: pre-key: 39, 0 of them not written for 30 days"
             ]
    end

    by_type = "lid-mapping=3,pre-key=39"
    assert {0, json, ""} = cli(["inspect", "--all", root, "--warn-above", by_type, "--json"])
    document = JSON.decode!(json)
    for account <- document["accounts"], do: assert(account["problem"] == nil)

    assert document["growing"] == [
             %{
               "name" => "eve",
               "path" => eve,
               "type" => "lid-mapping",
               "keys" => 42,
               "above" => 3,
               "older" => 42
             },
             %{
               "name" => "ada",
               "path" => Path.join(root, "ada"),
               "type" => "lid-mapping",
               "keys" => 4,
               "above" => 3,
               "older" => 0
             }
           ]
  end

  test "inspect names directories without an account, and copies of one device", context do
    root = Path.join(context.tmp, "mounted")
    File.mkdir!(root)
    File.cp_r!(Fixtures.path(:native), Path.join(root, "ada"))
    File.cp_r!(Fixtures.path(:baileys), Path.join(root, "ada-old"))
    File.ln_s!("/mnt/none", Path.join(root, "bob"))
    for name <- ["eve", "lost+found", ".hidden"], do: File.mkdir!(Path.join(root, name))
    File.cp!(Path.join(root, "ada/creds.etf"), Path.join(root, "lost+found/creds.etf"))
    File.cp_r!(Path.join(context.root, "account-1"), Path.join(root, "two\nlines"))

    for columns <- [80, 60] do
      assert {1, text, ""} = cli(["inspect", "--all", root], columns)
      assert text =~ "\n4 accounts, 2 paired, 1 with a problem\n"
      assert text =~ "\n  bob: #{root}/bob is a link to /mnt/none, which is not there\n"

      assert text =~
               "only one of them may be used (1)\n  15551230001:7@s.whatsapp.net: ada, ada-old\n"

      assert text =~ "without an account (1)\n  eve: holds no credentials"
      assert text =~ ~r/^  two\?lines +/m
      refute text =~ "lost+found"
    end

    assert {1, "", error} = cli(["inspect", Path.join(root, "bob")])
    assert error =~ "is a link to /mnt/none, which is not there"

    for command <- ["verify", "snapshot", "migrate"] do
      target = if command == "verify", do: [], else: [Path.join(context.tmp, "of-#{command}")]
      assert {1, text, ""} = cli([command, "--all", root | target])
      assert [_, failed] = String.split(text, "failed (1)\n")
      assert failed =~ ~r/^  bob: .*(is a link to|no such file)/
    end

    File.rm!(Path.join(root, "bob"))
    assert {0, json, ""} = cli(["inspect", "--all", root, "--json"])

    assert %{"same_device" => [%{"names" => ["ada", "ada-old"]}], "without_account" => ["eve"]} =
             JSON.decode!(json)
  end

  test "inspect sorts by what is asked for", context do
    sorted = fn column, member ->
      {1, json, ""} = cli(["inspect", "--all", context.root, "--json", "--sort", column])
      for account <- JSON.decode!(json)["accounts"], value = account[member], do: value
    end

    assert sorted.("keys", "keys") == Enum.sort(sorted.("name", "keys"), :desc)
    assert sorted.("disk", "disk_bytes") == Enum.sort(sorted.("name", "disk_bytes"), :desc)
    assert sorted.("name", "name") == Enum.sort(sorted.("keys", "name"))
    assert {2, "", error} = cli(["inspect", "--all", context.root, "--sort", "x"])
    assert error =~ "disk"
    assert {2, "", error} = cli(["inspect", context.root, "--sort", "name"])
    assert error =~ "--all"
  end

  test "verify goes on after failures, and lists them all at the end", context do
    assert {1, text, ""} = cli(["verify", "--all", context.root])
    assert text =~ "500 accounts: 490 verified, 10 failed"
    [_, failed] = String.split(text, "failed (10)\n")
    for name <- context.problems, do: assert(failed =~ "  #{name}: ")
    assert failed =~ "/bad-key: 1 file cannot be read: "

    assert {1, json, ""} = cli(["verify", "--all", context.root, "--json"])
    document = JSON.decode!(json)
    assert %{"accounts" => 500, "ok" => 490, "failed" => 10, "skipped" => 0} = document["totals"]
    failed = for %{"status" => "failed"} = account <- document["accounts"], do: account
    assert Enum.map(failed, & &1["name"]) == context.problems
    for account <- failed, do: assert(account["problem"] != "")
  end

  test "snapshot goes on after failures, and leaves what is done when it is run again", context do
    target = Path.join(context.tmp, "backup")
    assert {1, text, ""} = cli(["snapshot", "--all", context.root, target])
    [_, failed] = String.split(text, ~r/failed \(\d+\)\n/)
    assert failed =~ "  of-both-kinds: "
    assert Bitwise.band(File.stat!(target).mode, 0o777) == 0o700

    one = Path.join(target, "account-7")
    before = Fixtures.files!(one)
    inode = File.stat!(one).inode
    expected = Fixtures.load_all!(NativeFilePersistence, Path.join(context.root, "account-7"))
    assert Fixtures.load_all!(NativeFilePersistence, one) == expected

    # Only the missing ones are copied now.
    File.rm_rf!(Path.join(target, "account-9"))
    assert {1, text, ""} = cli(["snapshot", "--all", context.root, target])
    assert text =~ ~r/500 accounts: 1 copied, 49\d skipped/
    assert Fixtures.files!(one) == before
    assert File.stat!(one).inode == inode
  end

  test "migrate goes on after failures, and leaves what is done when it is run again", context do
    target = Path.join(context.tmp, "json")
    argv = ["migrate", "--all", context.root, target, "--to", "json"]
    assert {1, json, ""} = cli(argv ++ ["--json"])
    document = JSON.decode!(json)
    status = fn name -> Enum.find(document["accounts"], &(&1["name"] == name))["status"] end
    for name <- context.sound, do: assert(status.(name) == "ok")
    # They are already JSON, whatever else is wrong with them.
    for name <- ["cut-key", "link-as-key"], do: assert(status.(name) == "skipped")

    for name <- ["bad-creds-etf", "bad-key", "no-creds", "of-both-kinds", "bad-journal"],
        do: assert(status.(name) == "failed")

    one = Path.join(target, "account-3")
    {:ok, keys} = FilePersistence.list_keys(one)
    assert length(keys[:"lid-mapping"]) == 4
    refute File.exists?(Path.join(target, "bad-key"))

    assert {1, json, ""} = cli(argv ++ ["--skip-corrupt", "--json"])
    document = JSON.decode!(json)
    assert document["totals"]["skipped"] >= 490
    done = for %{"status" => "ok", "name" => name} <- document["accounts"], do: name
    assert "bad-key" in done
  end

  test "restore goes on after failures, and leaves what is done when it is run again", context do
    root = Path.join(context.tmp, "restored")
    argv = ["restore", "--all", context.root, root]
    assert {1, text, ""} = cli(argv)
    assert text =~ "500 accounts: 490 restored, 10 failed\n"
    [_, failed] = String.split(text, "failed (10)\n")
    for name <- context.problems, do: assert(failed =~ "  #{name}: ")
    assert Enum.sort(File.ls!(root)) == Enum.sort(context.sound)

    # One account has gone on since the snapshot, one is missing, and one holds less.
    [one, gone, less] = for n <- [7, 8, 9], do: Path.join(root, "account-#{n}")
    :ok = NativeFilePersistence.save_keys(one, :"lid-mapping", "since", "then")
    File.rm_rf!(gone)
    :ok = NativeFilePersistence.delete_keys(less, :"lid-mapping", "1")
    left = File.stat!(Path.join(root, "account-3/creds.etf")).inode

    assert {1, text, ""} = cli(argv)
    assert text =~ "500 accounts: 3 restored, 487 skipped, 10 failed\n"

    assert text =~
             "skipped (487)\n  holds what its snapshot does already: 487 accounts\n  --json names each"

    refute text =~ "account-3:"
    assert {1, json, ""} = cli(argv ++ ["--json"])

    assert %{"status" => "skipped", "reason" => "holds what its snapshot does already"} =
             Enum.find(JSON.decode!(json)["accounts"], &(&1["name"] == "account-3"))

    assert File.stat!(Path.join(root, "account-3/creds.etf")).inode == left
    load = &Fixtures.load_all!(NativeFilePersistence, &1)

    for path <- [one, gone, less],
        do: assert(load.(path) == load.(Path.join(context.root, Path.basename(path))))

    # The old content is kept, and does not count as another account.
    assert [aside] = Path.wildcard(Path.join(root, ".account-7.set-aside-*"), match_dot: true)
    assert {:ok, "then"} = NativeFilePersistence.load_keys(aside, :"lid-mapping", "since")
    assert {:ok, names} = Inspection.directories(root)
    assert names == Enum.sort(context.sound)

    assert {2, "", error} = cli(argv ++ ["--aside", root <> "-aside"])
    assert error =~ "--aside is for one directory"
  end

  test "a few that are skipped are named, each with its reason", context do
    [root, target] = for name <- ["few", "few-copied"], do: Path.join(context.tmp, name)
    File.mkdir!(root)

    for n <- 1..10 do
      File.cp_r!(Path.join(context.root, "account-#{n}"), Path.join(root, "account-#{n}"))
    end

    assert {0, _text, ""} = cli(["snapshot", "--all", root, target])
    assert {0, text, ""} = cli(["snapshot", "--all", root, target])
    assert [_, skipped] = String.split(text, "skipped (10)\n")
    assert length(String.split(skipped, "\n", trim: true)) == 10
    for n <- 1..10, do: assert(skipped =~ "  account-#{n}: is in TARGET already\n")
  end

  test "a parent directory suggests --all, and an empty one is reported as empty", context do
    for command <- ["inspect", "verify", "snapshot", "migrate", "restore"] do
      target = if command in ["inspect", "verify"], do: [], else: [context.tmp <> "/x"]
      assert {1, "", error} = cli([command, context.root | target])
      assert error =~ "--all", command
      assert {1, "", error} = cli([command, "--all", Path.join(context.root, "empty") | target])
      assert error =~ "holds no auth directory"
      assert {1, "", error} = cli([command, "--all", context.tmp <> "/none" | target])
      assert error =~ "enoent"
    end

    refute File.exists?(context.tmp <> "/x")
  end
end
