defmodule BaileysEx.Hostile.ContainersTest do
  # Other users' files, links and names, as containers and their volumes have them.
  use ExUnit.Case, async: true

  import BaileysEx.Auth.TempDir

  alias BaileysEx.Auth.{
    CorruptFileError,
    FilePersistence,
    Fixtures,
    Inspection,
    NativeFilePersistence,
    PersistenceMigration
  }

  alias BaileysEx.Test.Terminal

  @somebody 12_345

  setup :setup_temp_dir

  @root? match?({"0\n", 0}, System.cmd("id", ["-u"])) and System.find_executable("setpriv") != nil
  @unless_root if @root?, do: false, else: "needs root, to act as several users"

  describe "files of another user" do
    @describetag skip: @unless_root

    setup %{tmp: tmp} do
      File.chmod!(tmp, 0o755)
      path = Fixtures.copy!(:baileys, tmp)
      give(path, @somebody)
      {:ok, path: path}
    end

    test "are not damaged: whose they are is said", %{path: path, tmp: tmp} do
      File.chmod!(Path.join(path, "creds.json"), 0o600)
      File.chown!(Path.join(path, "creds.json"), 0)

      for argv <- [
            ["verify", path],
            ["migrate", path, Path.join(path, "../t")],
            ["inspect", path]
          ] do
        {output, error, 1} = as_somebody(argv)
        told = output <> error
        assert told =~ "owned by root, this is uid #{@somebody}", told
        refute told =~ "backup"
        refute told =~ "can be deleted"
      end

      copy = Path.join(tmp, "copy")
      File.mkdir!(copy)
      give(copy, @somebody)
      {_output, error, 1} = as_somebody(["snapshot", path, copy])
      assert error =~ "creds.json cannot be read: owned by root, this is uid #{@somebody}"
    end

    test "a restore says what is not theirs, and where it goes instead", %{path: path, tmp: tmp} do
      backup = Path.join(tmp, "backup")
      :ok = FilePersistence.snapshot(path, backup)
      give(backup, @somebody)
      aside = Path.join(tmp, "theirs")
      File.mkdir!(aside)
      File.chown!(aside, @somebody)

      {"", error, 1} = as_somebody(["restore", backup, path])

      assert error == """
             error: #{tmp} cannot be written to: owned by root, this is uid #{@somebody} (eacces)
             Run this as the user who owns it. If only the place beside PATH is not yours, give another one with --aside DIR. Nothing was changed.
             """

      {shown, "", 0} = as_somebody(["restore", backup, path, "--aside", Path.join(aside, "old")])
      assert shown =~ "ok  #{path} is restored"

      File.chown!(Path.join(backup, "creds.json"), 0)
      File.chmod!(Path.join(backup, "creds.json"), 0o600)
      {"", error, 1} = as_somebody(["restore", backup, path])
      assert error =~ "#{backup}/creds.json"
      assert error =~ "owned by root, this is uid #{@somebody}"
      refute error =~ "--aside"
    end

    test "a directory that is not theirs to enter, or to write to, is named", %{path: path} do
      parent = Path.dirname(path)
      target = Path.join(parent, "target")
      {"", error, 1} = as_somebody(["migrate", path, target])
      assert error =~ "#{parent} cannot be written to: owned by root, this is uid #{@somebody}"
      assert error =~ "(eacces)"
      refute error =~ "backup"

      File.chown!(path, 0)
      File.chmod!(path, 0o700)

      for command <- ["verify", "inspect"] do
        {"", error, 1} = as_somebody([command, path])
        assert error =~ "#{path} cannot be read: owned by root, this is uid #{@somebody}"
      end
    end

    test "are his whose directory it is, also when root makes them", %{path: path, tmp: tmp} do
      :ok = FilePersistence.save_keys(path, :"lid-mapping", "1", "2")
      :ok = FilePersistence.save_keys(path, :future, "1", %{})
      mine = Path.join(tmp, "mine")
      File.mkdir!(mine)
      File.chown!(mine, @somebody)
      deep = Path.join(mine, "a/b")
      :ok = NativeFilePersistence.save_credentials(deep, BaileysEx.Auth.State.new())
      copy = Path.join(mine, "copy")
      :ok = NativeFilePersistence.snapshot(deep, copy)
      json = Path.join(mine, "json")
      {:ok, _} = PersistenceMigration.migrate_native_to_compat_json(deep, json)

      for directory <- [path, deep, copy, json], name <- ["." | File.ls!(directory)] do
        assert %{uid: @somebody} = File.lstat!(Path.join(directory, name)), name
      end

      assert {:ok, %{owners: []}} = Inspection.inspect_directory(path)
      File.chown!(Path.join(path, "creds.json"), 0)
      File.chmod!(Path.join(path, "creds.json"), 0o644)

      assert {:ok, %{owners: [%{name: "creds.json", uid: 0}]}} =
               Inspection.inspect_directory(path)
    end
  end

  describe "key files that are links within the directory" do
    # The layout of a mounted secret or config map.
    setup %{tmp: tmp} do
      path = Fixtures.copy!(:baileys, tmp)
      data = Path.join(path, "..2024_01_01")
      File.mkdir!(data)

      for name <- File.ls!(path), String.ends_with?(name, ".json") do
        File.rename!(Path.join(path, name), Path.join(data, name))
        File.ln_s!(Path.join("..data", name), Path.join(path, name))
      end

      File.ln_s!("..2024_01_01", Path.join(path, "..data"))
      {:ok, path: path}
    end

    test "are read, inspected, copied and migrated, and never written", %{path: path, tmp: tmp} do
      assert {:ok, state} = FilePersistence.load_credentials(path)
      assert FilePersistence.list_keys(path) == FilePersistence.list_keys(Fixtures.path(:baileys))
      assert {:ok, %{credentials?: true}} = FilePersistence.verify(path)
      assert {:ok, %{credentials: :present, damaged: []}} = Inspection.inspect_directory(path)

      copy = Path.join(tmp, "copy")
      assert :ok = FilePersistence.snapshot(path, copy)
      loaded = Fixtures.load_all!(FilePersistence, Fixtures.path(:baileys))
      assert Fixtures.load_all!(FilePersistence, copy) == loaded

      native = Path.join(tmp, "native")
      assert {:ok, _} = PersistenceMigration.migrate_compat_json_to_native(path, native)
      assert Fixtures.load_all!(NativeFilePersistence, native) == loaded

      assert {:error, %CorruptFileError{kind: :symbolic_link} = error} =
               FilePersistence.save_credentials(path, state)

      refute Exception.message(error) =~ "backup"
      refute CorruptFileError.advice(error) =~ "backup"
    end

    test "are noticed when they lead elsewhere", %{path: path} do
      {:ok, before} = FilePersistence.load_credentials(path)
      data = Path.join(path, "..2024_01_02")
      File.cp_r!(Path.join(path, "..2024_01_01"), data)
      other = BaileysEx.Auth.State.new()
      elsewhere = Path.join(path, "../elsewhere")
      :ok = FilePersistence.save_credentials(elsewhere, other)
      File.cp!(Path.join(elsewhere, "creds.json"), Path.join(data, "creds.json"))
      File.rm!(Path.join(path, "..data"))
      File.ln_s!("..2024_01_02", Path.join(path, "..data"))
      assert {:ok, ^other} = FilePersistence.load_credentials(path)
      assert other != before
      {:ok, session} = FilePersistence.load_keys(path, :session, "15559990002.0")
      [%{index_info: %{local_identity_key: identity}} | _] = Map.values(session.sessions)
      assert identity == <<5>> <> other.signed_identity_key.public
    end

    test "are refused where they leave it", %{path: path, tmp: tmp} do
      outside = Path.join(tmp, "outside.json")
      File.cp!(Path.join(path, "creds.json"), outside)
      File.rm!(Path.join(path, "creds.json"))
      File.ln_s!("../outside.json", Path.join(path, "creds.json"))

      assert {:error, %CorruptFileError{kind: :symbolic_link}} =
               FilePersistence.load_credentials(path)

      assert {:error, %{files: [%CorruptFileError{kind: :symbolic_link}]}} =
               FilePersistence.verify(path)
    end
  end

  test "a target's name may be as long as a directory's", %{tmp: tmp} do
    source = Fixtures.copy!(:baileys, tmp)

    for length <- [226, 240, 255] do
      target = Path.join(tmp, String.duplicate("t", length))
      assert {:ok, _} = PersistenceMigration.migrate_compat_json_to_native(source, target)
      copy = Path.join(tmp, String.duplicate("c", length))
      assert :ok = NativeFilePersistence.snapshot(target, copy)
      assert {:ok, _} = NativeFilePersistence.verify(copy)
    end

    assert Enum.all?(File.ls!(tmp), &(not String.starts_with?(&1, ".")))
  end

  defp give(path, uid) do
    for name <- ["." | File.ls!(path)], do: File.chown!(Path.join(path, name), uid)
  end

  defp as_somebody(argv) do
    run = "HOME=/tmp " <> Terminal.eval(argv)
    setpriv = "setpriv --reuid #{@somebody} --regid #{@somebody} --clear-groups sh -c "
    Terminal.run(setpriv <> Terminal.quoted(run))
  end
end
