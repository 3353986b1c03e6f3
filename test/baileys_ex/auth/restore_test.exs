defmodule BaileysEx.Auth.RestoreTest do
  use ExUnit.Case, async: true

  import BaileysEx.Auth.TempDir
  import ExUnit.CaptureLog

  alias BaileysEx.Auth.{CorruptFileError, DamagedDirectoryError, FilePersistence, Fixtures}
  alias BaileysEx.Auth.KeyStore.OperationError
  alias BaileysEx.Auth.{Inspection, KeyStore, NativeFilePersistence, NotOwnerError, Restore}

  alias BaileysEx.Test.Vm

  @moduletag timeout: 300_000

  setup :setup_temp_dir

  setup %{tmp: tmp} do
    {:ok, root: Path.join(tmp, "accounts"), backup: Path.join(tmp, "backup")}
  end

  # Returns a directory, a snapshot of it, and what has changed since.
  defp account(form, backend, %{root: root, backup: backup}) do
    path = Path.join(root, "ada")
    File.mkdir_p!(root)
    File.cp_r!(Fixtures.path(form), path)
    :ok = backend.snapshot(path, backup)
    :ok = backend.save_keys(path, :"lid-mapping", "after", "the snapshot")
    path
  end

  defp contents(path) do
    for file <- Path.wildcard(Path.join(path, "**"), match_dot: true),
        File.regular?(file),
        Path.basename(file) != ".baileys_ex.lock",
        into: %{},
        do: {Path.relative_to(file, path), File.read!(file)}
  end

  for {form, backend} <- [native: NativeFilePersistence, baileys: FilePersistence] do
    test "a damaged #{form} directory gets the snapshot's content, and its own is set aside",
         context do
      backend = unquote(backend)
      path = account(unquote(form), backend, context)
      expected = Fixtures.load_all!(backend, context.backup)
      replace!(creds(path), "damaged")
      File.write!(Path.join(path, ".baileys_ex.journal"), <<7::4096>>)
      File.mkdir!(Path.join(path, ".baileys_ex.set-aside-1"))
      File.write!(Path.join(path, ".baileys_ex.set-aside-1/of-a-repair"), "kept")
      before = contents(path)

      assert {:ok, %{backend: ^backend, path: ^path, set_aside: aside}} =
               Restore.run(context.backup, path)

      assert Fixtures.load_all!(backend, path) == expected
      assert {:error, :not_found} = backend.load_keys(path, :"lid-mapping", "after")
      assert {:ok, _report} = backend.verify(path)
      assert contents(aside) == before
      # There is no additional account.
      assert Inspection.directories(context.root) == {:ok, ["ada"]}
      assert Fixtures.load_all!(backend, context.backup) == expected
      :ok = backend.save_keys(path, :"lid-mapping", "after", "the restore")
      assert {:error, :not_found} = backend.load_keys(context.backup, :"lid-mapping", "after")
    end
  end

  # Replaces a file, because directory and snapshot share files.
  defp replace!(file, content) do
    File.rm!(file)
    File.write!(file, content)
  end

  defp creds(path), do: hd(Path.wildcard(Path.join(path, "creds.*")))

  test "nothing is set aside if there was nothing", context do
    path = account(:native, NativeFilePersistence, context)
    expected = Fixtures.load_all!(NativeFilePersistence, context.backup)

    for name <- ["absent", "empty"] do
      target = Path.join(context.root, name)
      if name == "empty", do: File.mkdir!(target)
      assert {:ok, %{set_aside: nil}} = Restore.run(context.backup, target)
      assert Fixtures.load_all!(NativeFilePersistence, target) == expected
    end

    assert Enum.sort(File.ls!(context.root)) == ["absent", Path.basename(path), "empty"]
  end

  for {form, backend} <- [native: NativeFilePersistence, baileys: FilePersistence] do
    test "a #{form} account that was deleted is restored in its place", context do
      backend = unquote(backend)
      path = account(unquote(form), backend, context)
      :ok = backend.delete_auth_state(path)
      assert {:ok, _restored} = Restore.run(context.backup, path)

      assert Fixtures.load_all!(backend, path) == Fixtures.load_all!(backend, context.backup)
    end

    test "a #{form} directory is compared with a snapshot", context do
      backend = unquote(backend)
      path = account(unquote(form), backend, context)
      # The newest commits of a native directory are in its journal.
      refute Restore.restored?(context.backup, path)
      {:ok, _restored} = Restore.run(context.backup, path)
      assert Restore.restored?(context.backup, path)
      :ok = backend.save_keys(path, :"lid-mapping", "after", "the restore")
      refute Restore.restored?(context.backup, path)
      {:ok, _restored} = Restore.run(context.backup, path)
      {:ok, keys} = backend.list_keys(path)
      :ok = backend.delete_keys(path, :session, hd(keys[:session]))
      refute Restore.restored?(context.backup, path)
      refute Restore.restored?(context.backup, Path.join(context.tmp, "absent"))
    end
  end

  test "an equal but damaged directory does not count as restored", context do
    path = account(:native, NativeFilePersistence, context)
    {:ok, _restored} = Restore.run(context.backup, path)
    for place <- [path, context.backup], do: replace!(Path.join(place, "creds.etf"), "damaged")
    refute Restore.restored?(context.backup, path)
  end

  test "a store that has the directory loses it, and does not write into it", context do
    path = account(:native, NativeFilePersistence, context)

    {:ok, pid} = KeyStore.start_link(persistence_context: path)
    store = KeyStore.wrap(pid)

    :ok = KeyStore.set(store, %{"lid-mapping": %{"by" => "the store"}})
    assert {:ok, _restored} = Restore.run(context.backup, path)

    late = fn -> KeyStore.set(store, %{"lid-mapping": %{"late" => "x"}}) end

    capture_log(fn ->
      assert %OperationError{reason: %NotOwnerError{}} = assert_raise(OperationError, late)
    end)

    assert {:error, :not_found} = NativeFilePersistence.load_keys(path, :"lid-mapping", "late")
    assert {:error, :not_found} = NativeFilePersistence.load_keys(path, :"lid-mapping", "by")
  end

  @kills 24

  test "killed at any moment, the directory is as it was or restored, and nothing is lost",
       context do
    path = account(:native, NativeFilePersistence, context)
    restored = Fixtures.load_all!(NativeFilePersistence, context.backup)
    old = Fixtures.load_all!(NativeFilePersistence, path)
    template = Path.join(context.tmp, "template")
    :ok = NativeFilePersistence.snapshot(path, template)

    for n <- 1..@kills do
      path = Path.join(context.root, "killed-#{n}")
      File.cp_r!(template, path)
      aside = Path.join(context.tmp, "aside-#{n}")
      killed_while_it_restores(context.backup, path, aside, n)

      # If it exists at all, it is complete.
      kept? = File.exists?(aside)
      if kept?, do: assert(Fixtures.load_all!(NativeFilePersistence, aside) == old)

      case Fixtures.load_all!(NativeFilePersistence, path) do
        ^old -> :ok
        ^restored -> assert kept?
      end

      # The restore can be repeated.
      assert {:ok, %{set_aside: <<_, _::binary>>}} = Restore.run(context.backup, path)
      assert Fixtures.load_all!(NativeFilePersistence, path) == restored
    end
  end

  # The kill comes later with every round.
  defp killed_while_it_restores(backup, path, aside, round) do
    [backup, path, aside] = for word <- [backup, path, aside], do: "<<\"#{word}\">>"

    vm =
      Vm.start(
        "'Elixir.Application':ensure_all_started(baileys_ex_auth), io:format(\"go~n\"), " <>
          "'#{Restore}':run(#{backup}, #{path}, [{aside, #{aside}}])"
      )

    receive do
      {^vm, {:data, {:eol, "go"}}} -> :ok
    after
      60_000 -> flunk("the VM did not start")
    end

    Process.sleep(round * 4)
    Vm.kill(vm)
    assert_receive {^vm, {:exit_status, _status}}, 60_000
  end

  describe "nothing is changed, and nothing set aside, if" do
    setup context do
      path = account(:native, NativeFilePersistence, context)
      before = contents(context.root)
      {:ok, path: path, unchanged: fn -> assert contents(context.root) == before end}
    end

    test "the snapshot is damaged", context do
      replace!(Path.join(context.backup, "creds.etf"), "")
      assert {:error, %DamagedDirectoryError{}} = Restore.run(context.backup, context.path)
      context.unchanged.()
    end

    test "the snapshot has no credentials", context do
      File.rm!(Path.join(context.backup, "creds.etf"))
      assert {:error, {:no_credentials, _backup}} = Restore.run(context.backup, context.path)
      context.unchanged.()
    end

    test "the directory is of the other form", context do
      json = Fixtures.copy!(:baileys, context.tmp)

      assert {:error, {:other_form, _path, NativeFilePersistence}} =
               Restore.run(json, context.path)

      context.unchanged.()
    end

    test "the directory does not belong to an account", context do
      other = Path.join(context.tmp, "documents")
      File.mkdir!(other)
      File.write!(Path.join(other, "letter"), "dear")
      assert {:error, {:target_not_empty, ^other}} = Restore.run(context.backup, other)
      assert contents(other) == %{"letter" => "dear"}
    end

    test "one of the directories holds another", context do
      link = Path.join(context.tmp, "link")
      File.ln_s!(context.path, link)
      inside = Path.join(context.tmp, "around")
      File.cp_r!(context.path, inside)
      File.cp_r!(context.backup, Path.join(inside, "backup"))

      for {snapshot, path, opts} <- [
            {context.path, link, []},
            {Path.join(inside, "backup"), inside, []},
            {context.backup, context.path, [aside: Path.join(context.path, "aside")]},
            {context.backup, context.path, [aside: Path.join(context.backup, "aside")]}
          ],
          do: assert({:error, {:overlap, _, _}} = Restore.run(snapshot, path, opts))

      context.unchanged.()
    end

    test "the place for the old content exists", context do
      aside = Path.join(context.tmp, "aside")
      File.write!(aside, "mine")

      assert {:error, {:set_aside_exists, ^aside}} =
               Restore.run(context.backup, context.path, aside: aside)

      assert File.read!(aside) == "mine"
      context.unchanged.()
    end

    test "a link in the directory cannot be kept", context do
      link = Path.join(context.path, "note")
      File.ln_s!("/etc/hostname", link)
      assert {:error, %CorruptFileError{path: ^link}} = Restore.run(context.backup, context.path)
      File.rm!(link)
      context.unchanged.()
    end
  end
end
