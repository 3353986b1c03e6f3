defmodule BaileysEx.Hostile.WrongSourceTest do
  # Directories that are not what the caller takes them for: an error, never an empty account.
  use ExUnit.Case, async: true

  import BaileysEx.Auth.TempDir
  import ExUnit.CaptureIO

  alias BaileysEx.Auth.{
    CLI,
    FilePersistence,
    Fixtures,
    Inspection,
    KeyStore,
    NativeFilePersistence,
    PersistenceMigration,
    Restore
  }

  alias BaileysEx.Signal.{Curve, SessionRecord, Store}

  @backends [{FilePersistence, :baileys}, {NativeFilePersistence, :native}]

  setup :setup_temp_dir

  for {backend, fixture} <- @backends do
    describe "#{inspect(backend)}:" do
      @describetag backend: backend, fixture: fixture

      test "of two paths, an error of the operating system says which it is about", context do
        %{backend: backend, fixture: fixture, tmp: tmp} = context
        source = Fixtures.copy!(fixture, tmp)

        {from, to} =
          {{backend, source},
           if(backend == FilePersistence, do: NativeFilePersistence, else: FilePersistence)}

        file = Path.join(tmp, "file")
        File.write!(file, "")
        inside = Path.join(source, "note")
        File.write!(inside, "")
        backup = Path.join(tmp, "backup")
        :ok = backend.snapshot(source, backup)
        old = Path.join(tmp, "old")
        :ok = backend.snapshot(source, old)

        # A path inside the source counts as a problem of the target.
        assert backend.snapshot(source, Path.join(inside, "x")) ==
                 {:error, {:invalid_snapshot_target, Path.join(inside, "x"), :enotdir}}

        # A directory that nobody can create.
        for {target, posix} <- [{"/proc/auth", :enoent}, {Path.join(file, "x"), :enotdir}] do
          assert backend.snapshot(source, target) ==
                   {:error, {:invalid_snapshot_target, target, posix}}

          for {path, opts} <- [{target, []}, {old, [aside: target]}] do
            assert Restore.run(backup, path, opts) ==
                     {:error, {:invalid_restore_target, target, posix}}
          end

          assert Restore.run(target, old) ==
                   {:error, {:unreadable_snapshot, target, posix}}

          assert PersistenceMigration.migrate(from, {to, target}) ==
                   {:error, {:invalid_migration_target, target, posix}}
        end
      end

      test "a path where nothing is", %{backend: backend, tmp: tmp} do
        missing = Path.join(tmp, "missing")
        copy = Path.join(tmp, "copy")
        assert backend.list_keys(missing) == {:error, :enoent}
        assert backend.verify(missing) == {:error, :enoent}
        assert backend.snapshot(missing, copy) == {:error, :enoent}
        assert File.ls!(tmp) == []

        {:ok, pid} =
          KeyStore.start_link(persistence_module: backend, persistence_context: missing)

        assert KeyStore.clear(KeyStore.wrap(pid)) == :ok
        GenServer.stop(pid)
        File.rm_rf!(missing)

        {:ok, pid} =
          KeyStore.start_link(persistence_module: backend, persistence_context: missing)

        File.rm_rf!(missing)
        assert KeyStore.clear(KeyStore.wrap(pid)) == :ok
      end

      test "the other backend's directory, with credentials or without", context do
        %{backend: backend, fixture: fixture, tmp: tmp} = context
        {_other, its} = List.keyfind(@backends -- [{backend, fixture}], its_fixture(fixture), 1)
        path = Fixtures.copy!(its, tmp)
        copy = Path.join(tmp, "copy")

        for _ <- 1..2 do
          for call <- [
                fn -> backend.list_keys(path) end,
                fn -> backend.verify(path) end,
                fn -> backend.snapshot(path, copy) end
              ] do
            assert {:error, {:unexpected_persistence_backend, ^backend, _name}} = call.()
          end

          for name <- File.ls!(path),
              String.starts_with?(name, [".", "creds."]),
              do: File.rm!(Path.join(path, name))
        end

        refute File.exists?(copy)
      end

      test "an existing directory of nothing is empty", %{backend: backend, tmp: tmp} do
        assert backend.list_keys(tmp) == {:ok, %{}}
        assert {:ok, %{credentials?: false}} = backend.verify(tmp)
      end

      test "keys without credentials", %{backend: backend, tmp: tmp, fixture: fixture} do
        path = Fixtures.copy!(fixture, tmp)
        for name <- File.ls!(path), name =~ ~r/^creds\./, do: File.rm!(Path.join(path, name))
        assert backend.verify(path) == {:error, {:no_credentials, path}}
        assert {:ok, %{credentials?: false}} = backend.verify(path, credentials: :optional)
        assert {:ok, %{credentials: :absent}} = Inspection.inspect_directory(path)

        for {command, code} <- [
              {["verify", path], 1},
              {["inspect", path], 1},
              {["verify", path, "--without-credentials"], 0},
              {["inspect", path, "--without-credentials"], 0}
            ] do
          capture_io(:stderr, fn ->
            capture_io(fn -> assert CLI.run(command) == code end)
          end)
        end
      end
    end
  end

  test "an overwritten target never loses its credentials to a source without any", %{tmp: tmp} do
    source = Path.join(tmp, "source")
    target = Fixtures.copy!(:native, tmp)
    :ok = FilePersistence.save_keys(source, :"lid-mapping", "1", "2")
    before = Fixtures.files!(target)

    assert {:error, {:no_credentials, ^source}} =
             PersistenceMigration.migrate_compat_json_to_native(source, target, overwrite?: true)

    assert Fixtures.files!(target) == before
  end

  describe "a source that changes while it is read:" do
    setup %{tmp: tmp} do
      source = Fixtures.copy!(:baileys, tmp)
      {:ok, source: source, target: Path.join(tmp, "target")}
    end

    for {what, name} <- [
          written: "creds.json",
          gone: "pre-key-11.json",
          added: "pre-key-999.json"
        ] do
      test "a file is #{what}", %{source: source, target: target} do
        name = unquote(name)

        migrate = fn opts ->
          change = fn %{done: done} -> if done > 0, do: change(unquote(what), source, name) end
          opts = [on_progress: change] ++ opts
          PersistenceMigration.migrate_compat_json_to_native(source, target, opts)
        end

        assert migrate.([]) == {:error, {:source_changed, source, [name]}}
        refute File.exists?(target)

        File.rm_rf!(source)
        File.cp_r!(Fixtures.path(:baileys), source)
        assert {:ok, %{changed: [^name]}} = migrate.(on_change: :ignore)
        assert {:ok, _report} = NativeFilePersistence.verify(target)
      end
    end

    test "nothing is said where nothing changed", %{source: source, target: target} do
      assert {:ok, %{changed: []}} =
               PersistenceMigration.migrate_compat_json_to_native(source, target)
    end
  end

  test "unknown options are refused with the choices, and no value is shown", %{tmp: tmp} do
    secret = "hunter2"

    for call <- [
          fn opts -> KeyStore.start_link(opts) end,
          fn opts -> Store.start_link(opts) end,
          fn opts -> Store.start_link([module: KeyStore] ++ opts) end,
          fn opts -> FilePersistence.load_credentials(tmp, opts) end,
          fn opts -> FilePersistence.use_multi_file_auth_state(tmp, opts) end,
          fn opts -> NativeFilePersistence.use_native_file_auth_state(tmp, opts) end,
          fn opts -> FilePersistence.verify(tmp, opts) end,
          fn opts -> NativeFilePersistence.verify(tmp, opts) end,
          fn opts -> Inspection.inspect_directory(tmp, opts) end,
          fn opts -> PersistenceMigration.migrate_compat_json_to_native(tmp, tmp, opts) end,
          fn opts -> PersistenceMigration.migrate_native_to_compat_json(tmp, tmp, opts) end,
          fn opts -> Curve.generate_key_pair(opts) end,
          fn opts -> Curve.signed_key_pair(Curve.generate_key_pair(), 1, opts) end,
          fn opts -> SessionRecord.close_session(SessionRecord.new(), "key", opts) end,
          fn opts -> SessionRecord.close_open_session(SessionRecord.new(), opts) end,
          fn opts -> BaileysEx.Auth.Adoption.plan(tmp, opts) end,
          fn opts -> BaileysEx.Auth.Postgres.Schema.up(opts) end,
          fn opts -> BaileysEx.Auth.Postgres.Schema.down(opts) end
        ] do
      message = assert_raise(ArgumentError, fn -> call.(persistence_path: secret) end).message
      assert message =~ "unknown options [:persistence_path]; there are [:"
      refute message =~ secret
    end

    for wrong <- [
          [on_corrupt: :skp],
          [overwrite?: :yes],
          [on_change: nil],
          [unknown: true],
          [credentials: false]
        ] do
      assert_raise ArgumentError, ~r/expected :.* to be .* or /, fn ->
        PersistenceMigration.migrate_compat_json_to_native(tmp, tmp, wrong)
      end
    end
  end

  defp its_fixture(:baileys), do: :native
  defp its_fixture(:native), do: :baileys

  defp change(:gone, source, name), do: File.rm(Path.join(source, name))

  defp change(:added, source, name) do
    File.cp!(Path.join(source, "pre-key-10.json"), Path.join(source, name))
  end

  # As Node.js writes it: in place.
  defp change(:written, source, name), do: File.write!(Path.join(source, name), "{}", [:append])
end
