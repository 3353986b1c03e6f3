defmodule BaileysEx.Auth.PersistenceMigrationTest do
  use ExUnit.Case, async: true

  import BaileysEx.Auth.TempDir

  alias BaileysEx.Auth.{
    CorruptFileError,
    DamagedDirectoryError,
    FilePersistence,
    Fixtures,
    NativeFilePersistence,
    PersistenceMigration
  }

  setup :setup_temp_dir

  setup %{tmp: tmp} do
    {:ok, source: Fixtures.copy!(:baileys, tmp), target: Path.join(tmp, "native")}
  end

  test "brings everything over, says what, and leaves the source untouched",
       %{source: source, target: target} do
    before = Fixtures.files!(source)

    assert {:ok, summary} = PersistenceMigration.migrate_compat_json_to_native(source, target)

    assert %{
             source_backend: FilePersistence,
             target_backend: NativeFilePersistence,
             source_path: ^source,
             target_path: ^target,
             migrated_keys: 98,
             credentials?: true,
             skipped: [],
             ignored: []
           } = summary

    assert summary.families == %{
             session: 2,
             "pre-key": 39,
             "sender-key": 4,
             "sender-key-memory": 1,
             "app-state-sync-key": 2,
             "app-state-sync-version": 2,
             "lid-mapping": 42,
             "device-list": 2,
             tctoken: 3,
             "identity-key": 1
           }

    assert Fixtures.files!(source) == before

    assert Fixtures.load_all!(NativeFilePersistence, target) ==
             Fixtures.load_all!(FilePersistence, source)
  end

  test "there and back gives the account back", %{source: source, target: target, tmp: tmp} do
    back = Path.join(tmp, "back")
    {:ok, there} = PersistenceMigration.migrate_compat_json_to_native(source, target)
    {:ok, home} = PersistenceMigration.migrate_native_to_compat_json(target, back)
    assert home.families == there.families
    assert home.source_backend == NativeFilePersistence

    assert Fixtures.load_all!(FilePersistence, back) ==
             Fixtures.load_all!(FilePersistence, source)
  end

  test "what it writes is what saving one by one writes", %{source: source, target: target} do
    {:ok, _} = PersistenceMigration.migrate_compat_json_to_native(source, target)

    for {key, term} <- Fixtures.load_all!(FilePersistence, source) do
      file =
        case key do
          :creds -> "creds"
          {type, id} -> "#{type}-#{id |> String.replace("/", "__") |> String.replace(":", "-")}"
        end

      bytes = File.read!(Path.join(target, file <> ".etf"))
      assert :erlang.binary_to_term(bytes) == term
    end
  end

  test "tells how far it is", %{source: source, target: target} do
    parent = self()
    on_progress = &send(parent, {:progress, &1})

    {:ok, _} =
      PersistenceMigration.migrate_compat_json_to_native(source, target, on_progress: on_progress)

    assert_received {:progress, %{done: done, total: 99}} when done in 1..99
  end

  test "ids that names cannot tell keep their ids", %{tmp: tmp, target: target} do
    source = Path.join(tmp, "irregular")
    ids = ["alice/device:0", "a__b"]
    for id <- ids, do: :ok = FilePersistence.save_keys(source, :"lid-mapping", id, id)
    :ok = FilePersistence.save_keys(source, :future, "x/y", %{"a" => <<0>>})

    {:ok, _} = PersistenceMigration.migrate_compat_json_to_native(source, target)

    assert {:ok, %{"lid-mapping": listed, future: ["x/y"]}} =
             NativeFilePersistence.list_keys(target)

    assert Enum.sort(listed) == Enum.sort(ids)
  end

  describe "the target" do
    test "may be missing or empty", %{source: source, tmp: tmp} do
      empty = Path.join(tmp, "empty")
      File.mkdir!(empty)
      deep = Path.join(tmp, "not/yet/there")

      for target <- [empty, deep] do
        assert {:ok, _} = PersistenceMigration.migrate_compat_json_to_native(source, target)
      end
    end

    test "with native files or anything else is refused, or replaced when asked",
         %{source: source, target: target, tmp: tmp} do
      {:ok, _} = PersistenceMigration.migrate_compat_json_to_native(source, target)
      other = Path.join(tmp, "other")
      File.mkdir!(other)
      File.write!(Path.join(other, "notes.txt"), "mine")

      assert {:error, {:target_already_contains_native_data, ^target}} =
               PersistenceMigration.migrate_compat_json_to_native(source, target)

      assert {:error, {:target_not_empty, ^other}} =
               PersistenceMigration.migrate_compat_json_to_native(source, other)

      assert File.ls!(other) == ["notes.txt"]

      for path <- [target, other] do
        assert {:ok, _} =
                 PersistenceMigration.migrate_compat_json_to_native(source, path, overwrite?: true)

        assert {:ok, _} = NativeFilePersistence.load_keys(path, :"pre-key", 1)
        refute File.exists?(Path.join(path, "notes.txt"))
      end

      assert Enum.sort(File.ls!(tmp)) == ["baileys", "native", "other"]
    end

    test "that is a file, the source or inside it is refused", %{source: source, tmp: tmp} do
      file = Path.join(tmp, "file")
      File.write!(file, "")

      assert {:error, {:invalid_migration_target, ^file, :enotdir}} =
               PersistenceMigration.migrate_compat_json_to_native(source, file)

      for target <- [source, Path.join(source, "native"), tmp] do
        assert {:error, {:invalid_migration_target, _, :einval}} =
                 PersistenceMigration.migrate_compat_json_to_native(source, target,
                   overwrite?: true
                 )
      end
    end
  end

  describe "the source" do
    test "that is missing, a file or no auth directory is an error", %{tmp: tmp, target: target} do
      empty = Path.join(tmp, "empty")
      File.mkdir!(empty)
      file = Path.join(tmp, "file")
      File.write!(file, "")

      for {source, reason} <- [
            {Path.join(tmp, "missing"), :enoent},
            {file, :enotdir},
            {empty, {:not_an_auth_directory, empty}}
          ] do
        assert {:error, ^reason} =
                 PersistenceMigration.migrate_compat_json_to_native(source, target)

        refute File.exists?(target)
      end
    end

    test "with damaged files is refused with all of them, and the target stays as it was",
         %{source: source, target: target, tmp: tmp} do
      File.write!(Path.join(source, "pre-key-1.json"), "")
      File.write!(Path.join(source, "session-15559990002.0.json"), ~s({"_sessions":{"A))
      before = File.ls!(tmp)

      assert {:error, %DamagedDirectoryError{files: files} = error} =
               PersistenceMigration.migrate_compat_json_to_native(source, target)

      assert [%CorruptFileError{}, %CorruptFileError{}] = files

      assert Enum.map(files, &Path.basename(&1.path)) ==
               ~w(pre-key-1.json session-15559990002.0.json)

      assert Exception.message(error) =~ "2 files"
      assert File.ls!(tmp) == before
    end

    test "with damaged keys is brought over without them when asked",
         %{source: source, target: target} do
      File.write!(Path.join(source, "pre-key-1.json"), "")

      assert {:ok, %{migrated_keys: 97, skipped: [%CorruptFileError{}]}} =
               PersistenceMigration.migrate_compat_json_to_native(source, target,
                 on_corrupt: :skip
               )

      assert {:error, :not_found} = NativeFilePersistence.load_keys(target, :"pre-key", 1)
    end

    test "with damaged credentials is refused whatever is asked",
         %{source: source, target: target} do
      File.write!(Path.join(source, "creds.json"), "")

      assert {:error, %DamagedDirectoryError{files: [%CorruptFileError{path: path}]}} =
               PersistenceMigration.migrate_compat_json_to_native(source, target,
                 on_corrupt: :skip
               )

      assert Path.basename(path) == "creds.json"
      refute File.exists?(target)
    end

    test "with leftovers and foreign files is brought over without them",
         %{source: source, target: target} do
      for name <- ["creds.json.tmp-12", "session-1.json.bak", "README.txt"] do
        File.write!(Path.join(source, name), "x")
      end

      assert {:ok, %{migrated_keys: 98, ignored: ignored}} =
               PersistenceMigration.migrate_compat_json_to_native(source, target)

      assert "README.txt" in ignored and "session-1.json.bak" in ignored
    end
  end

  test "given up half-way, leaves nothing behind", %{source: source, target: target, tmp: tmp} do
    assert catch_throw(
             PersistenceMigration.migrate_compat_json_to_native(source, target,
               on_progress: fn _ -> throw(:stop) end
             )
           ) == :stop

    assert File.ls!(tmp) == ["baileys"]
  end
end
