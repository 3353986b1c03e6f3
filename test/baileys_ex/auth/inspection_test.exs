defmodule BaileysEx.Auth.InspectionTest do
  use ExUnit.Case, async: true

  import BaileysEx.Auth.TempDir

  alias BaileysEx.Auth.{
    CorruptFileError,
    FilePersistence,
    Fixtures,
    Inspection,
    Lock,
    NativeFilePersistence,
    State
  }

  setup :setup_temp_dir

  @dialects %{baileys: :baileys, explicit: :explicit, legacy: :legacy, native: :native}

  for {form, dialect} <- @dialects do
    test "tells what a #{form} directory is, and whose", %{tmp: tmp} do
      path = Fixtures.copy!(unquote(form), tmp)
      assert {:ok, report} = Inspection.inspect_directory(path)
      assert report.path == path
      assert report.backend == Fixtures.backend(unquote(form))
      assert report.dialect == unquote(dialect)
      assert report.credentials == :present
      assert report.registered?

      assert report.account == %{
               id: "15551230001:7@s.whatsapp.net",
               name: "Zoë 🦊",
               lid: "900000000001:7@lid"
             }

      assert report.damaged == []

      assert Map.delete(report.pre_keys, :ages) ==
               %{made: 40, stored: 39, unused: 39, not_uploaded: 0, used: 1}
    end
  end

  test "counts files and bytes as they are on disk", %{tmp: tmp} do
    path = Fixtures.copy!(:baileys, tmp)
    {:ok, report} = Inspection.inspect_directory(path)
    {:ok, keys} = FilePersistence.list_keys(path)

    assert Map.new(keys, fn {type, ids} -> {type, length(ids)} end) ==
             report.families
             |> Map.delete(:creds)
             |> Map.new(fn {type, count} -> {type, count.files} end)

    size = fn name -> File.stat!(Path.join(path, name)).size end
    assert report.families.creds == %{files: 1, bytes: size.("creds.json")}

    # `sender-key-memory` is a different family.
    sender_keys = path |> File.ls!() |> Enum.filter(&(&1 =~ ~r/^sender-key-(?!memory)/))
    assert report.families[:"sender-key"].bytes == sender_keys |> Enum.map(size) |> Enum.sum()
  end

  test "a mixture of dialects is recognised file by file", %{tmp: tmp} do
    path = Fixtures.copy!(:baileys, tmp)
    legacy = Fixtures.path(:legacy)
    session = "session-15559990002.0.json"
    File.cp!(Path.join(legacy, session), Path.join(path, session))
    {:ok, report} = Inspection.inspect_directory(path)
    assert report.dialect == :mixed
    assert %{legacy: 1, baileys: baileys} = report.dialects
    assert baileys > 1
  end

  test "keys that look the same in every dialect show none", %{tmp: tmp} do
    :ok = FilePersistence.save_keys(tmp, :"lid-mapping", "1", "2")
    assert {:ok, report} = Inspection.inspect_directory(tmp)
    assert %{dialect: :unknown, credentials: :absent, account: nil, registered?: nil} = report
    assert report.pre_keys == nil
  end

  test "names every file that is damaged, unknown, foreign or left over", %{tmp: tmp} do
    path = Fixtures.copy!(:baileys, tmp)
    File.write!(Path.join(path, "session-1.0.json"), "")
    File.write!(Path.join(path, "poll-secret-1.json"), "{}")
    File.write!(Path.join(path, "creds.json.tmp-17"), "")
    File.write!(Path.join(path, "notes.txt"), "")
    File.mkdir!(Path.join(path, "old"))

    {:ok, report} = Inspection.inspect_directory(path)
    assert [%CorruptFileError{path: damaged}] = report.damaged
    assert damaged == Path.join(path, "session-1.0.json")
    assert report.unknown == ["poll-secret-1.json"]
    assert report.leftovers == ["creds.json.tmp-17"]
    assert report.foreign == ["notes.txt", "old"]
  end

  test "damaged credentials are not taken for a fresh account", %{tmp: tmp} do
    path = Fixtures.copy!(:native, tmp)
    File.write!(Path.join(path, "creds.etf"), "")
    {:ok, report} = Inspection.inspect_directory(path)
    assert report.credentials == :damaged
    assert report.account == nil
    assert [%CorruptFileError{}] = report.damaged
  end

  test "an invalid counter of pre-keys does not stop it", %{tmp: tmp} do
    path = Fixtures.copy!(:native, tmp)
    {:ok, state} = NativeFilePersistence.load_credentials(path)

    for counter <- [nil, "x", 4.0] do
      state = %{state | first_unuploaded_pre_key_id: counter}
      :ok = NativeFilePersistence.save_credentials(path, state)

      assert {:ok, %{credentials: :present, pre_keys: nil, families: families}} =
               Inspection.inspect_directory(path)

      assert families[:"pre-key"].files == 39
    end
  end

  test "an unknown backend is refused, with the choices", %{tmp: tmp} do
    error = assert_raise ArgumentError, fn -> Inspection.inspect_directory(tmp, backend: :foo) end

    for module <- [FilePersistence, NativeFilePersistence] do
      assert Exception.message(error) =~ inspect(module)
    end
  end

  test "flags files that users other than the owner can read", %{tmp: tmp} do
    path = Path.join(tmp, "auth")
    :ok = NativeFilePersistence.save_credentials(path, State.new())
    :ok = NativeFilePersistence.save_keys(path, :"lid-mapping", "1", "2")
    assert {:ok, %{permissions: []}} = Inspection.inspect_directory(path)

    File.chmod!(path, 0o750)
    File.chmod!(Path.join(path, "creds.etf"), 0o604)
    {:ok, report} = Inspection.inspect_directory(path)

    assert report.permissions == [
             %{name: ".", mode: 0o750},
             %{name: "creds.etf", mode: 0o604}
           ]
  end

  test "shows the journal as it was before looking", %{tmp: tmp} do
    path = Path.join(tmp, "auth")
    for id <- 0..3, do: :ok = NativeFilePersistence.save_keys(path, :"lid-mapping", id, "x")
    {:ok, report} = Inspection.inspect_directory(path)
    assert %{exists?: true, commits: 3, torn?: false} = report.journal
    assert report.journal.bytes > 0
  end

  test "reports a journal with a damaged end like one that a crash cut short", %{tmp: tmp} do
    path = Path.join(tmp, "auth")
    :ok = NativeFilePersistence.save_credentials(path, State.new())
    :ok = NativeFilePersistence.save_keys(path, :"lid-mapping", "1", "2")
    :ok = NativeFilePersistence.save_keys(path, :"lid-mapping", "3", "4")
    journal = Path.join(path, ".baileys_ex.journal")
    whole = File.read!(journal)
    {:ok, %{journal: %{bytes: used, torn?: false}}} = Inspection.inspect_directory(path)
    at = used - 10
    before = binary_part(whole, 0, at)
    <<byte, rest::binary>> = binary_part(whole, at, byte_size(whole) - at)

    for damaged <- [before, before <> <<Bitwise.bxor(byte, 1)>> <> rest] do
      # Uses another directory, because the engine remembers what it has written to this one.
      copy = Path.join(tmp, "copy-#{byte_size(damaged)}")
      File.cp_r!(path, copy)
      File.write!(Path.join(copy, ".baileys_ex.journal"), damaged)
      {:ok, report} = Inspection.inspect_directory(copy)
      assert %{torn?: true, commits: 1} = report.journal
      assert report.keys == %{"lid-mapping": 1}
    end
  end

  test "keys that are in the journal alone are counted, and their directory is found", %{tmp: tmp} do
    path = Path.join(tmp, "ada")
    :ok = NativeFilePersistence.save_credentials(path, State.new())
    :ok = NativeFilePersistence.commit_keys(path, %{"lid-mapping": %{"1" => "2", "3" => "4"}})

    assert {:ok, %{keys: %{"lid-mapping": 2}, families: families}} =
             Inspection.inspect_directory(path)

    refute Map.has_key?(families, :"lid-mapping")

    File.rm!(Path.join(path, "creds.etf"))
    assert Inspection.directories(tmp) == {:ok, ["ada"]}
    assert {:ok, [%{result: {:ok, report}}]} = Inspection.inspect_all(tmp)
    assert {report.credentials, report.keys} == {:absent, %{"lid-mapping": 2}}

    # The remains of a deleted account are not an account.
    :ok = NativeFilePersistence.delete_auth_state(path)
    assert Inspection.directories(tmp) == {:ok, []}
  end

  describe "looking at what another VM may be using" do
    setup %{tmp: tmp} do
      written = Path.join(tmp, "written")
      # The first commit goes to the files at once; the later ones are only in the journal.
      :ok = NativeFilePersistence.save_credentials(written, State.new())
      :ok = NativeFilePersistence.save_credentials(written, State.new(me: %{id: "1@x"}))
      :ok = NativeFilePersistence.save_keys(written, :"lid-mapping", "1", "2")
      :ok = NativeFilePersistence.delete_keys(written, :"lid-mapping", "1")

      # The disk as a power cut may leave it: a file that was only renamed is torn or has its old content.
      path = Path.join(tmp, "crashed")
      File.cp_r!(written, path)
      File.write!(Path.join(path, "creds.etf"), "")
      File.write!(Path.join(path, "lid-mapping-1.etf"), "")
      File.write!(Path.join(path, ".baileys_ex.tmp-17"), "half")
      {:ok, path: path}
    end

    test "reads what was committed, and writes nothing", %{path: path} do
      before = Fixtures.files!(path)
      assert {:ok, report} = Inspection.inspect_directory(path)
      assert {:ok, %{credentials?: true, families: families}} = NativeFilePersistence.verify(path)
      assert Fixtures.files!(path) == before

      assert families == %{}
      assert report.damaged == []
      assert %{credentials: :present, account: %{id: "1@x"}} = report
      assert report.leftovers == [".baileys_ex.tmp-17"]
      assert report.journal.commits == 3
    end

    test "waits for nobody", %{path: path} do
      test = self()

      spawn_link(fn ->
        Lock.run({NativeFilePersistence, path}, fn ->
          send(test, :held)
          Process.sleep(:infinity)
        end)
      end)

      assert_receive :held
      assert {:ok, _} = Inspection.inspect_directory(path)
      assert {:ok, _} = NativeFilePersistence.verify(path)
    end

    test "does not keep its owner from going on", %{path: path} do
      {:ok, _} = Inspection.inspect_directory(path)
      :ok = NativeFilePersistence.save_keys(path, :"lid-mapping", "3", "4")
      {:ok, _} = NativeFilePersistence.verify(path)
      :ok = NativeFilePersistence.save_keys(path, :"lid-mapping", "5", "6")
      assert NativeFilePersistence.load_keys(path, :"lid-mapping", "3") == {:ok, "4"}
      assert {:ok, %{families: %{"lid-mapping": 2}}} = NativeFilePersistence.verify(path)
    end
  end

  test "shows when keys changed", %{tmp: tmp} do
    path = Fixtures.copy!(:baileys, tmp)
    for name <- File.ls!(path), do: File.touch!(Path.join(path, name), 1_700_000_000)
    File.touch!(Path.join(path, "creds.json"), 1_600_000_000)
    File.touch!(Path.join(path, "pre-key-1.json"), 1_800_000_000)
    {:ok, report} = Inspection.inspect_directory(path)
    assert report.oldest_change == ~U[2020-09-13 12:26:40Z]
    assert report.newest_change == ~U[2027-01-15 08:00:00Z]
  end

  test "recognises what is not an auth directory, and what is two", %{tmp: tmp} do
    missing = Path.join(tmp, "missing")
    assert Inspection.inspect_directory(missing) == {:error, :enoent}
    refute File.exists?(missing)

    assert Inspection.detect(tmp) == {:error, {:not_an_auth_directory, tmp}}
    File.write!(Path.join(tmp, "readme.txt"), "")
    assert Inspection.inspect_directory(tmp) == {:error, {:not_an_auth_directory, tmp}}
    assert Inspection.detect(Path.join(tmp, "readme.txt")) == {:error, :enotdir}

    :ok = FilePersistence.save_credentials(tmp, State.new())
    assert Inspection.detect(tmp) == {:ok, FilePersistence}
    native = Path.join(tmp, "native")
    :ok = NativeFilePersistence.save_credentials(native, State.new())
    File.cp!(Path.join(native, "creds.etf"), Path.join(tmp, "creds.etf"))
    assert Inspection.detect(tmp) == {:error, {:ambiguous_auth_directory, tmp}}

    assert {:ok, %{backend: NativeFilePersistence, foreign: foreign}} =
             Inspection.inspect_directory(tmp, backend: NativeFilePersistence)

    assert "creds.json" in foreign
  end

  test "a name that is not text does not stop it", %{tmp: tmp} do
    path = Fixtures.copy!(:baileys, tmp)
    :ok = :file.write_file(path <> "/" <> <<"note-", 0xFF>>, "")
    assert {:ok, %{foreign: [name]}} = Inspection.inspect_directory(path)
    assert String.valid?(name)
  end

  test "tells whose store has claimed the directory", %{tmp: tmp} do
    path = Fixtures.copy!(:native, tmp)
    assert {:ok, %{owner: nil}} = Inspection.inspect_directory(path)
    {:ok, pid} = BaileysEx.Auth.KeyStore.start_link(persistence_context: path)
    assert {:ok, %{owner: owner, foreign: []}} = Inspection.inspect_directory(path)
    assert {owner.os_process, owner.counter} == {System.pid(), 1}
    GenServer.stop(pid)
    assert {:ok, %{owner: nil}} = Inspection.inspect_directory(path)
  end

  test "holds no key material", %{tmp: tmp} do
    path = Fixtures.copy!(:native, tmp)
    {:ok, state} = NativeFilePersistence.load_credentials(path)
    {:ok, report} = Inspection.inspect_directory(path)
    printed = inspect(report, limit: :infinity, printable_limit: :infinity)

    for secret <- [state.noise_key.private, state.signed_identity_key.private] do
      refute printed =~ Base.encode64(secret)
      refute printed =~ inspect(secret)
    end

    refute printed =~ state.adv_secret_key
  end
end
