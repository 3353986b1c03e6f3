defmodule BaileysEx.Auth.PersistenceMigrationTest do
  # One account, migrated in either direction: the promises are the same.
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

  alias BaileysEx.Test.Wait

  @directions [
    to_native: %{
      from: FilePersistence,
      to: NativeFilePersistence,
      extension: ".json",
      target_extension: ".etf",
      already_contains: :target_already_contains_native_data
    },
    to_json: %{
      from: NativeFilePersistence,
      to: FilePersistence,
      extension: ".etf",
      target_extension: ".json",
      already_contains: :target_already_contains_compat_json_data
    }
  ]

  setup :setup_temp_dir

  setup %{tmp: tmp} = context do
    direction = context[:direction] || @directions[:to_native]
    source = Path.join(tmp, "source")
    File.cp_r!(Fixtures.path(:baileys), source)
    if direction.from == NativeFilePersistence, do: make_native(source, tmp)
    {:ok, Map.merge(direction, %{source: source, target: Path.join(tmp, "target")})}
  end

  # Made from the directory of the real Baileys. That of baileys_ex lacks times, which a migration to JSON
  # would add.
  defp make_native(source, tmp) do
    native = Path.join(tmp, "made")
    {:ok, _} = PersistenceMigration.migrate_compat_json_to_native(source, native)
    File.rm_rf!(source)
    File.rename!(native, source)
  end

  defp migrate(context, source, target, opts \\ [])

  defp migrate(%{to: NativeFilePersistence}, source, target, opts),
    do: PersistenceMigration.migrate_compat_json_to_native(source, target, opts)

  defp migrate(%{to: FilePersistence}, source, target, opts),
    do: PersistenceMigration.migrate_native_to_compat_json(source, target, opts)

  for {name, direction} <- @directions do
    describe "#{name}:" do
      @describetag direction: direction

      test "brings everything over, says what, and leaves the source untouched", context do
        %{from: from, to: to, source: source, target: target} = context
        before = Fixtures.files!(source)

        assert {:ok, summary} = migrate(context, source, target)

        assert %{
                 source_backend: ^from,
                 target_backend: ^to,
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

        assert summary.bytes_read == bytes(source, context.extension)
        assert summary.bytes_written == bytes(target, context.target_extension)
        assert Fixtures.files!(source) == before
        assert Fixtures.load_all!(to, target) == Fixtures.load_all!(from, source)
      end

      test "the way back gives the account back", context do
        %{from: from, source: source, target: target, tmp: tmp} = context
        back = Path.join(tmp, "back")
        {:ok, there} = migrate(context, source, target)
        {:ok, home} = migrate(%{to: from}, target, back)
        assert home.families == there.families
        assert Fixtures.load_all!(from, back) == Fixtures.load_all!(from, source)
      end

      test "what it writes is what saving one by one writes", context do
        %{from: from, to: to, source: source, target: target, tmp: tmp} = context
        {:ok, _} = migrate(context, source, target)
        saved = Path.join(tmp, "saved")
        terms = Fixtures.load_all!(from, source)
        :ok = to.save_credentials(saved, terms.creds)

        for {{type, id}, term} <- terms, do: :ok = to.save_keys(saved, type, id, term)
        if to == NativeFilePersistence, do: :ok = to.checkpoint(saved)

        same = fn path ->
          for {name, bytes} <- Fixtures.files!(path),
              String.ends_with?(name, context.target_extension),
              not String.starts_with?(name, "."),
              into: %{},
              do: {name, comparable(bytes, context.target_extension)}
        end

        assert same.(target) == same.(saved)
      end

      test "tells how far it is", %{source: source, target: target} = context do
        parent = self()
        on_progress = &send(parent, {:progress, &1})
        {:ok, _} = migrate(context, source, target, on_progress: on_progress)
        assert_received {:progress, %{done: done, total: 99}} when done in 1..99
      end

      test "ids that names cannot tell keep their ids", context do
        %{from: from, to: to, tmp: tmp, target: target} = context
        source = Path.join(tmp, "irregular")
        ids = ["alice/device:0", "a__b"]
        for id <- ids, do: :ok = from.save_keys(source, :"lid-mapping", id, id)
        :ok = from.save_keys(source, :future, "x/y", %{"a" => <<0>>})

        assert {:error, {:no_credentials, ^source}} = migrate(context, source, target)
        refute File.exists?(target)

        assert {:ok, %{credentials?: false}} =
                 migrate(context, source, target, credentials: :optional)

        assert {:ok, %{"lid-mapping": listed, future: ["x/y"]}} = to.list_keys(target)
        assert Enum.sort(listed) == Enum.sort(ids)
        assert {:ok, %{"a" => <<0>>}} = to.load_keys(target, :future, "x/y")
      end

      test "a target may be missing or empty", %{source: source, tmp: tmp} = context do
        empty = Path.join(tmp, "empty")
        File.mkdir!(empty)
        deep = Path.join(tmp, "not/yet/there")
        for target <- [empty, deep], do: assert({:ok, _} = migrate(context, source, target))
      end

      test "a target with auth state or anything else is refused, or replaced when asked",
           context do
        %{to: to, source: source, target: target, tmp: tmp, already_contains: reason} = context
        {:ok, _} = migrate(context, source, target)
        other = Path.join(tmp, "other")
        File.mkdir!(other)
        File.write!(Path.join(other, "notes.txt"), "mine")
        before = Fixtures.files!(target)

        assert {:error, {^reason, ^target}} = migrate(context, source, target)
        assert {:error, {:target_not_empty, ^other}} = migrate(context, source, other)
        assert File.ls!(other) == ["notes.txt"]
        assert Fixtures.files!(target) == before

        for path <- [target, other] do
          assert {:ok, _} = migrate(context, source, path, overwrite?: true)
          assert {:ok, _} = to.load_keys(path, :"pre-key", 1)
          refute File.exists?(Path.join(path, "notes.txt"))
        end

        assert Enum.sort(File.ls!(tmp)) == ["other", "source", "target"]
      end

      test "a target that is a file, the source or inside it is refused", context do
        %{source: source, tmp: tmp} = context
        file = Path.join(tmp, "file")
        File.write!(file, "")

        assert {:error, {:invalid_migration_target, ^file, :enotdir}} =
                 migrate(context, source, file)

        for target <- [source, Path.join(source, "inside"), tmp] do
          assert {:error, {:invalid_migration_target, _, :einval}} =
                   migrate(context, source, target, overwrite?: true)
        end
      end

      test "a source that is missing, a file or no auth directory is an error", context do
        %{tmp: tmp, target: target, source: source, to: to} = context
        empty = Path.join(tmp, "empty")
        File.mkdir!(empty)
        file = Path.join(tmp, "file")
        File.write!(file, "")
        # The other backend's directory does not count as one of this backend.
        other = Path.join(tmp, "other")
        {:ok, _} = migrate(context, source, other)

        for {bad, reason} <- [
              {Path.join(tmp, "missing"), :enoent},
              {file, :enotdir},
              {empty, {:not_an_auth_directory, empty}},
              {other, {:not_an_auth_directory, other}}
            ] do
          assert {:error, ^reason} = migrate(context, bad, target)
          refute File.exists?(target)
        end

        assert {:ok, _} = to.load_credentials(other)
      end

      test "a source with damaged files is refused with all of them, the target as it was",
           context do
        %{source: source, target: target, tmp: tmp, extension: extension} = context
        File.write!(Path.join(source, "pre-key-1" <> extension), "")
        session = Path.join(source, "session-15559990002.0" <> extension)
        File.write!(session, binary_part(File.read!(session), 0, 200))
        {:ok, _} = migrate(context, source, target, on_corrupt: :skip)
        before = {Enum.sort(File.ls!(tmp)), Fixtures.files!(target)}

        assert {:error, %DamagedDirectoryError{files: files} = error} =
                 migrate(context, source, target, overwrite?: true)

        assert [%CorruptFileError{}, %CorruptFileError{}] = files

        assert Enum.map(files, &Path.basename(&1.path)) ==
                 ["pre-key-1" <> extension, "session-15559990002.0" <> extension]

        assert Exception.message(error) =~ "2 files"
        assert {Enum.sort(File.ls!(tmp)), Fixtures.files!(target)} == before
      end

      test "damaged keys are left out when asked, and listed", context do
        %{to: to, source: source, target: target, extension: extension} = context
        File.write!(Path.join(source, "pre-key-1" <> extension), "")

        assert {:ok, %{migrated_keys: 97, skipped: [%CorruptFileError{path: path}]}} =
                 migrate(context, source, target, on_corrupt: :skip)

        assert Path.basename(path) == "pre-key-1" <> extension
        assert {:error, :not_found} = to.load_keys(target, :"pre-key", 1)
      end

      test "damaged credentials are refused whatever is asked", context do
        %{source: source, target: target, extension: extension} = context
        File.write!(Path.join(source, "creds" <> extension), "")

        assert {:error, %DamagedDirectoryError{files: [%CorruptFileError{path: path}]}} =
                 migrate(context, source, target, on_corrupt: :skip)

        assert Path.basename(path) == "creds" <> extension
        refute File.exists?(target)
      end

      test "leftovers and foreign files are left where they are, and listed", context do
        %{source: source, target: target, extension: extension} = context
        foreign = ["README.txt", "creds#{extension}.tmp-12", "session-1#{extension}.bak"]
        for name <- foreign, do: File.write!(Path.join(source, name), "x")

        assert {:ok, %{migrated_keys: 98, ignored: ^foreign}} = migrate(context, source, target)
        for name <- foreign, do: refute(File.exists?(Path.join(target, name)))
      end

      test "given up half-way, it leaves nothing behind", context do
        %{source: source, target: target, tmp: tmp} = context
        stop = fn _ -> throw(:stop) end
        assert catch_throw(migrate(context, source, target, on_progress: stop)) == :stop
        assert File.ls!(tmp) == ["source"]
        # No lock is left either.
        assert {:ok, _} = migrate(context, source, target)
      end

      test "killed half-way, it leaves the target as it was", context do
        %{source: source, target: target, tmp: tmp} = context
        parent = self()

        hang = fn _ ->
          send(parent, :reached)
          Process.sleep(:infinity)
        end

        {pid, monitor} =
          spawn_monitor(fn -> migrate(context, source, target, on_progress: hang) end)

        assert_receive :reached, 10_000
        Process.exit(pid, :kill)
        assert_receive {:DOWN, ^monitor, :process, ^pid, :killed}

        # A separate thread removes the files, once the memory of the killed process is collected.
        Wait.until(fn -> File.ls!(tmp) == ["source"] end)

        assert {:ok, _} = migrate(context, source, target)
        assert Enum.sort(File.ls!(tmp)) == ["source", "target"]
      end
    end
  end

  # The way back meets a term without a JSON form before anything is published.
  test "terms that JSON cannot hold are damage on the way back, and say where", %{tmp: tmp} do
    source = Path.join(tmp, "native")
    :ok = NativeFilePersistence.save_credentials(source, BaileysEx.Auth.State.new())
    :ok = NativeFilePersistence.save_keys(source, :future, "1", %{a: {:tuple, :atom}})
    target = Path.join(tmp, "json")

    assert {:error, %DamagedDirectoryError{files: [%CorruptFileError{} = file]}} =
             PersistenceMigration.migrate_native_to_compat_json(source, target)

    assert Path.basename(file.path) == "future-1.etf"
    assert file.problem =~ "can be read, but has no form in the target"
    refute File.exists?(target)

    assert {:ok, %{skipped: [_], migrated_keys: 0}} =
             PersistenceMigration.migrate_native_to_compat_json(source, target, on_corrupt: :skip)

    # Credentials are never left out.
    state = BaileysEx.Auth.State.new(additional_data: %{labels: [:alpha]})
    :ok = NativeFilePersistence.save_credentials(source, state)

    assert {:error, %DamagedDirectoryError{files: files}} =
             PersistenceMigration.migrate_native_to_compat_json(source, target,
               on_corrupt: :skip,
               overwrite?: true
             )

    assert "creds.etf" in Enum.map(files, &Path.basename(&1.path))
    assert {:ok, %{additional_data: nil}} = FilePersistence.load_credentials(target)
  end

  defp bytes(path, extension) do
    for name <- File.ls!(path),
        String.ends_with?(name, extension) and not String.starts_with?(name, "."),
        reduce: 0,
        do: (sum -> sum + File.stat!(Path.join(path, name)).size)
  end

  # Maps have no fixed order in Erlang's format.
  defp comparable(bytes, ".etf"), do: :erlang.binary_to_term(bytes)
  defp comparable(bytes, ".json"), do: bytes
end
