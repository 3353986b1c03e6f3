defmodule BaileysEx.Hostile.VolumesTest do
  # Targets that are mount points, lie on a lower layer, or are reached by a link: they stay the same
  # directory. The crash explorer of the engine covers crashes on the way.
  use ExUnit.Case, async: true

  import BaileysEx.Auth.TempDir

  alias BaileysEx.Auth.{FilePersistence, Fixtures, KeyStore, NativeFilePersistence}
  alias BaileysEx.Auth.{NotOwnerError, PersistenceMigration, Restore, State}
  alias BaileysEx.Test.{Mounts, Terminal}

  @unless_mounts if Mounts.allowed?(), do: false, else: "this machine lets nobody mount here"
  @overlay "mount -t tmpfs none $1; cd $1; mkdir l u w m; " <>
             "mount -t overlay overlay -o lowerdir=l,upperdir=u,workdir=w m"
  @unless_overlay if Mounts.allowed?(@overlay), do: false, else: "this machine has no overlayfs"

  setup :setup_temp_dir

  setup %{tmp: tmp} do
    {:ok, source: Fixtures.copy!(:baileys, tmp), target: Path.join(tmp, "target")}
  end

  describe "a mount point" do
    @describetag skip: @unless_mounts

    test "is the target of a migration and of a snapshot, empty or not", context do
      %{source: source, target: target, tmp: tmp} = context
      File.mkdir!(target)
      copy = Path.join(tmp, "copy")
      File.mkdir!(copy)

      script = """
      mount -t tmpfs none #{target}; mount -t tmpfs none #{copy}
      mkdir #{target}/lost+found; chown 1000:1001 #{target}; chmod 2750 #{target}
      stat -c 'before %i %u:%g %a' #{target}
      #{Terminal.eval(["migrate", source, target, "--verify"])}
      #{Terminal.eval(["snapshot", target, copy])}
      #{Terminal.eval(["verify", copy])}
      #{Terminal.eval(["migrate", source, target, "--overwrite", "--verify"])}
      stat -c 'after %i %u:%g %a' #{target}
      ls -A #{target} | grep -v etf
      mount | grep -c ' #{target} '
      """

      {shown, "", 0} = Terminal.run("unshare -m sh -ec #{Terminal.quoted(script)}")
      assert [[_, before]] = Regex.scan(~r/^before (.*)$/m, shown)
      assert [[_, ^before]] = Regex.scan(~r/^after (.*)$/m, shown)
      assert before =~ "1000:1001 2750"
      assert length(Regex.scan(~r/and verified/, shown)) == 2
      assert shown =~ "credentials and 98 keys can be read"
      assert String.ends_with?(shown, ".baileys_ex.lock\nlost+found\n1\n")
    end

    test "that somebody else's files are in is refused before the work", context do
      %{source: source, target: target} = context
      File.mkdir!(target)

      script = """
      mount -t tmpfs none #{target}; touch #{target}/notes.txt
      #{Terminal.eval(["migrate", source, target])}
      """

      {"", error, 1} = Terminal.run("unshare -m sh -ec #{Terminal.quoted(script)}")
      assert error =~ "#{target} is not empty"
    end

    test "is restored, and what it held is kept aside whole", context do
      %{target: target, tmp: tmp} = context
      before = Fixtures.copy!(:native, tmp)
      [backup, aside] = for name <- ["backup", "aside"], do: Path.join(tmp, name)
      :ok = NativeFilePersistence.snapshot(before, backup)
      :ok = NativeFilePersistence.save_keys(before, :"lid-mapping", "after", "the snapshot")
      File.mkdir!(target)

      script = """
      mount -t tmpfs none #{target}
      cp -r #{before}/. #{target}
      mkdir #{target}/lost+found; chown 1000:1001 #{target}; chmod 2750 #{target}
      stat -c 'before %i %u:%g %a' #{target}
      #{Terminal.eval(["restore", backup, target, "--aside", aside])}
      #{Terminal.eval(["verify", target])}
      stat -c 'after %i %u:%g %a' #{target}
      stat -c 'file %u:%g %a' #{target}/creds.etf
      ls -A #{target} | grep -v etf
      mount | grep -c ' #{target} '
      cp -r #{target} #{tmp}/seen
      """

      {shown, "", 0} = Terminal.run("unshare -m sh -ec #{Terminal.quoted(script)}")
      assert shown =~ "ok  #{target} is restored"
      assert [[_, stat]] = Regex.scan(~r/^before (.*)$/m, shown)
      assert [[_, ^stat]] = Regex.scan(~r/^after (.*)$/m, shown)
      assert stat =~ "1000:1001 2750"
      # Created by root, and given to the owner of the directory.
      assert shown =~ ~r/^file 1000:100[01] 600$/m
      assert String.ends_with?(shown, ".baileys_ex.lock\nlost+found\n1\n")

      load = &Fixtures.load_all!(NativeFilePersistence, &1)
      assert load.(Path.join(tmp, "seen")) == load.(backup)
      assert load.(aside) == load.(before)
    end

    test "in a read-only file system is restored where its old content has a place", context do
      %{tmp: tmp} = context
      before = Fixtures.copy!(:native, tmp)
      backup = Path.join(tmp, "backup")
      :ok = NativeFilePersistence.snapshot(before, backup)
      path = Path.join(tmp, "root/ada")
      File.mkdir!(Path.dirname(path))

      script = """
      mount -t tmpfs none #{tmp}/root; mkdir #{path}
      mount -t tmpfs none #{path}; cp -r #{before}/. #{path}
      mount -o remount,ro #{tmp}/root
      #{Terminal.eval(["restore", backup, path])} || echo "exit $?"
      #{Terminal.eval(["restore", backup, path, "--aside", Path.join(tmp, "aside")])}
      """

      assert {shown, error, 0} = Terminal.run("unshare -m sh -ec #{Terminal.quoted(script)}")

      assert error =~
               ~r"^error: #{tmp}/root/\.ada\.set-aside-\S+ cannot be written to: read-only "

      assert error =~ "If only the place beside PATH is, give another one with --aside DIR."
      assert "exit 1\nok  " <> _restored = shown
    end

    test "that is read-only is a backup to restore from", context do
      %{target: target, tmp: tmp} = context
      path = Fixtures.copy!(:native, tmp)
      backup = Path.join(tmp, "backup")
      File.mkdir!(backup)

      script = """
      mount -t tmpfs none #{backup}
      #{Terminal.eval(["snapshot", path, Path.join(backup, "ada")])}
      mount -o remount,ro #{backup}
      #{Terminal.eval(["restore", Path.join(backup, "ada"), target])}
      """

      {shown, "", 0} = Terminal.run("unshare -m sh -ec #{Terminal.quoted(script)}")
      assert shown =~ "ok  #{target} is restored"

      assert Fixtures.load_all!(NativeFilePersistence, target) ==
               Fixtures.load_all!(NativeFilePersistence, path)
    end
  end

  describe "a directory of a lower layer of overlayfs" do
    @describetag skip: @unless_overlay

    test "is replaced", %{source: source, tmp: tmp} do
      {:ok, _} =
        PersistenceMigration.migrate_compat_json_to_native(source, Path.join(tmp, "image"))

      mount = Path.join(tmp, "mount")
      File.mkdir!(mount)

      script = """
      mount -t tmpfs none #{mount}; cd #{mount}; mkdir l u w m
      cp -r #{tmp}/image l/auth; touch l/auth/pre-key-777.etf
      mount -t overlay overlay -o lowerdir=l,upperdir=u,workdir=w m
      cd #{tmp}
      #{Terminal.eval(["migrate", source, Path.join(mount, "m/auth"), "--overwrite", "--verify"])}
      """

      assert {shown, "", 0} = Terminal.run("unshare -m sh -ec #{Terminal.quoted(script)}")
      assert shown =~ "and verified"
    end
  end

  test "a link to a directory leads to the target", %{source: source, target: target, tmp: tmp} do
    real = Path.join(tmp, "volume")
    File.mkdir!(real)
    File.ln_s!("volume", target)
    assert {:ok, _} = PersistenceMigration.migrate_compat_json_to_native(source, target)
    assert {:ok, _} = NativeFilePersistence.verify(real)
    assert %{type: :symlink} = File.lstat!(target)

    assert {:error, {:target_already_contains_native_data, ^target}} =
             PersistenceMigration.migrate_compat_json_to_native(source, target)

    assert {:ok, _} =
             PersistenceMigration.migrate_compat_json_to_native(source, target, overwrite?: true)

    File.ln_s!("nowhere", Path.join(tmp, "dangling"))
    dangling = Path.join(tmp, "dangling")

    assert {:error, {:invalid_migration_target, ^dangling, :enoent}} =
             PersistenceMigration.migrate_compat_json_to_native(source, dangling)
  end

  test "a target that exists stays the same directory, of the other form, too", context do
    %{source: source, target: target, tmp: tmp} = context
    :ok = FilePersistence.save_credentials(target, State.new())
    File.chmod!(target, 0o2750)
    before = File.stat!(target)

    assert {:ok, _} =
             PersistenceMigration.migrate_compat_json_to_native(source, target, overwrite?: true)

    now = File.stat!(target)
    assert {now.inode, now.mode} == {before.inode, before.mode}
    assert {:ok, %{credentials?: true}} = NativeFilePersistence.verify(target)
    refute File.exists?(Path.join(target, "creds.json"))

    empty = Path.join(tmp, "empty")
    File.mkdir!(empty)
    inode = File.stat!(empty).inode
    assert :ok = NativeFilePersistence.snapshot(target, empty)
    assert File.stat!(empty).inode == inode
    assert {:ok, _} = NativeFilePersistence.verify(empty)
  end

  test "a target that holds only what a killed one left unfinished is empty", context do
    %{source: source, target: target, tmp: tmp} = context
    left = ".baileys_ex.tmp-0123456789abcdef-0"
    [copy, restored] = for name <- ["copy", "restored"], do: Path.join(tmp, name)

    for path <- [target, copy, restored] do
      File.mkdir!(path)
      File.write!(Path.join(path, left), "half")
    end

    assert {:ok, _} = PersistenceMigration.migrate_compat_json_to_native(source, target)
    assert :ok = NativeFilePersistence.snapshot(target, copy)
    assert {:ok, %{set_aside: nil}} = Restore.run(copy, restored)
    for path <- [target, copy, restored], do: refute(left in File.ls!(path))
  end

  test "a store on a target that is replaced has lost it, and never writes into the new one",
       context do
    %{source: source, target: target} = context
    :ok = NativeFilePersistence.save_credentials(target, State.new())
    {:ok, pid} = KeyStore.start_link(persistence_context: target)
    store = KeyStore.wrap(pid)
    :ok = KeyStore.set(store, %{"lid-mapping": %{"old" => "1"}})

    ExUnit.CaptureLog.capture_log(fn ->
      {:ok, _} =
        PersistenceMigration.migrate_compat_json_to_native(source, target, overwrite?: true)

      error =
        assert_raise KeyStore.OperationError, fn ->
          KeyStore.set(store, %{"lid-mapping": %{"new" => "2"}})
        end

      assert %NotOwnerError{} = error.reason
    end)

    assert {:error, :not_found} = NativeFilePersistence.load_keys(target, :"lid-mapping", "old")
    assert {:error, :not_found} = NativeFilePersistence.load_keys(target, :"lid-mapping", "new")
    assert {:ok, _} = NativeFilePersistence.verify(target)
  end
end
