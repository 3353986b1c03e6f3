defmodule BaileysEx.Auth.CLI.ImportTest do
  # Standard error is captured for the whole VM.
  use ExUnit.Case, async: false

  import BaileysEx.Auth.TempDir

  alias BaileysEx.Auth.{FilePersistence, Fixtures, NativeFilePersistence}
  alias BaileysEx.Test.{Cli, JSON}

  setup :setup_temp_dir

  setup %{tmp: tmp} do
    source = Fixtures.copy!(:baileys, tmp)
    dump = Path.join(tmp, "dump.jsonl")
    {0, _, ""} = cli(["export", source, dump, "--prefix", "ada:", "--creds-name", "auth_creds"])

    {:ok,
     source: source,
     dump: dump,
     target: Path.join(tmp, "native"),
     expected: Fixtures.load_all!(FilePersistence, source)}
  end

  defp cli(argv), do: Cli.run(argv)

  defp loaded(path), do: Fixtures.load_all!(NativeFilePersistence, path)

  # Runs a command in a shell, with bytes on its standard input and output.
  defp shell!(command) do
    ebin = Application.app_dir(:baileys_ex_auth, "ebin")
    run = "elixir -pa #{ebin} -e 'BaileysEx.Auth.CLI.main(System.argv())' --"
    {output, 0} = System.cmd("sh", ["-c", String.replace(command, "CLI", run)])
    output
  end

  test "takes rows in every form that a dump may have", context do
    rows = for line <- File.stream!(context.dump), do: JSON.decode!(line)
    line = fn rows, form -> Enum.map_join(rows, "\n", &JSON.encode(form.(&1))) end

    creds = hd(rows)["value"]
    [_ | keys] = rows

    grouped =
      for %{"name" => "ada:" <> name, "value" => value} <- keys, reduce: %{} do
        grouped ->
          {:ok, {family, id}} = BaileysEx.Auth.PersistenceMigration.Names.parse(name)
          Map.update(grouped, family, %{id => value}, &Map.put(&1, id, value))
      end

    document = JSON.encode(%{"creds" => creds, "keys" => grouped})

    forms = [
      File.read!(context.dump),
      line.(rows, & &1),
      line.(rows, &[&1["name"], &1["value"]]),
      line.(rows, &[&1["name"], JSON.encode(&1["value"])]),
      line.(rows, &Map.put(&1, "id", 7)) |> String.replace("\n", "\r\n\r\n"),
      "\uFEFF" <> line.(Enum.reverse(rows), & &1) <> "\n\n",
      document,
      JSON.encode(document),
      # As a tool for people prints it.
      "\n" <> String.replace(document, ",", ",\n  ")
    ]

    for {form, n} <- Enum.with_index(forms) do
      file = Path.join(context.tmp, "form-#{n}")
      File.write!(file, form)
      target = "#{context.target}-#{n}"
      assert {0, text, ""} = cli(["import", file, target, "--verify"])
      assert text =~ "imported in"
      assert text =~ "and verified"
      assert loaded(target) == context.expected
    end
  end

  test "says everything as JSON, too", context do
    assert {0, json, ""} = cli(["import", context.dump, context.target, "--json"])

    assert %{
             "source_backend" => "json",
             "target_backend" => "native",
             "migrated_keys" => 98,
             "prefix" => "ada:",
             "other_rows" => 0,
             "credentials" => true
           } = JSON.decode!(json)
  end

  test "brings one account of a table, into either form", context do
    eve = context.dump |> File.read!() |> String.replace(~s("name":"ada:), ~s("name":"eve:))
    File.write!(context.dump, eve, [:append])
    assert {1, "", error} = cli(["import", context.dump, context.target])
    assert error =~ ~s("ada:", "eve:")
    assert error =~ "--prefix"

    for to <- ["native", "json"] do
      target = "#{context.target}-#{to}"
      argv = ["import", context.dump, target, "--to", to, "--prefix", "eve:"]
      assert {0, text, ""} = cli(argv)
      assert text =~ ~r/other rows +99/
      backend = if to == "json", do: FilePersistence, else: NativeFilePersistence
      assert Fixtures.load_all!(backend, target) == context.expected
    end
  end

  test "names damaged rows by line and by name, with what to do, and skips keys only", context do
    lines = [~s({"name":"ada:pre-key-1"), ~s({"name":"ada:pre-key-7001","value":{"a-secret":1}})]
    File.write!(context.dump, Enum.join(lines, "\n"), [:append])
    assert {1, "", error} = cli(["import", context.dump, context.target])
    assert error =~ "#{context.dump}, line 100"
    assert error =~ "ada:pre-key-7001"
    assert error =~ "Nothing was imported."
    assert error =~ "--skip-corrupt"
    refute error =~ "a-secret"
    refute File.exists?(context.target)

    assert {0, text, ""} = cli(["import", context.dump, context.target, "--skip-corrupt"])
    assert text =~ "left out, cannot be read (2)"
    assert loaded(context.target) == context.expected

    # This also holds if the damage is in the first line.
    rest = context.dump |> File.read!() |> String.split("\n", parts: 2) |> List.last()
    File.write!(context.dump, "{\"name\":\n" <> rest)
    assert {1, "", error} = cli(["import", context.dump, context.target <> "2", "--skip-corrupt"])
    assert error =~ "line 1:"
  end

  test "an occupied target is left alone, until --overwrite", context do
    assert {0, _, ""} = cli(["import", context.dump, context.target])
    before = Fixtures.files!(context.target)
    assert {1, "", error} = cli(["import", context.dump, context.target])
    assert error =~ "--overwrite"
    assert Fixtures.files!(context.target) == before
    assert {0, _, ""} = cli(["import", context.dump, context.target, "--overwrite"])
  end

  test "goes through pipes, byte by byte", context do
    name = "lid-mapping-é"
    File.write!(context.dump, ~s(["ada:#{name}","ü"]\n), [:append])
    shell!("cat #{context.dump} | CLI import - #{context.target} --json")
    shell!("CLI export #{context.target} - > #{context.dump}-2")
    # Output after the import consists of characters again.
    told = shell!("LC_ALL=C.UTF-8 CLI import - #{context.target}-2☃ < #{context.dump}-2")
    assert told =~ "-2☃"
    File.rename!(context.target <> "-2☃", context.target <> "-2")
    assert loaded(context.target <> "-2") == loaded(context.target)

    assert {:ok, "ü"} =
             NativeFilePersistence.load_keys(context.target <> "-2", :"lid-mapping", "é")

    names = for line <- File.stream!(context.dump <> "-2"), do: JSON.decode!(line)["name"]
    assert name in names
  end

  test "an export is whole, for its owner's eyes only, and replaces nothing unasked", context do
    assert %{mode: mode} = File.stat!(context.dump)
    assert Bitwise.band(mode, 0o777) == 0o600
    before = File.read!(context.dump)
    assert {1, "", error} = cli(["export", context.source, context.dump])
    assert error =~ "--overwrite"

    File.write!(Path.join(context.source, "pre-key-9999.json"), "{")
    argv = ["export", context.source, context.dump, "--overwrite"]
    assert {1, "", error} = cli(argv)
    assert error =~ "pre-key-9999.json"
    assert File.read!(context.dump) == before
    assert Enum.sort(File.ls!(context.tmp)) == ["baileys", "dump.jsonl"]

    assert {0, json, ""} = cli(argv ++ ["--skip-corrupt", "--text", "--json"])
    assert %{"rows" => 99, "backend" => "json"} = JSON.decode!(json)

    assert [%{"name" => "creds", "value" => text} | _] =
             Enum.map(File.stream!(context.dump), &JSON.decode!/1)

    assert is_map(JSON.decode!(text))

    assert {2, "", error} = cli(["export", context.source, "-", "--sender-keys", "x"])
    assert error =~ "array or buffer"
    assert {2, json, ""} = cli(["export", context.source, "-", "--json"])
    assert json =~ "standard output"
  end
end
