defmodule BaileysEx.Hostile.PathsTest do
  # Paths that do not lead to an auth directory: each function says so, and changes nothing.
  use ExUnit.Case, async: true

  import BaileysEx.Auth.TempDir

  alias BaileysEx.Auth.{Accounts, FilePersistence, Fixtures, Inspection, KeyStore}

  alias BaileysEx.Auth.{
    NativeFilePersistence,
    Owner,
    PersistenceMigration,
    Repair,
    Restore,
    State
  }

  alias BaileysEx.Test.Vm

  setup :setup_temp_dir

  @moduletag :capture_log

  # Longer than any call of the operating system accepts.
  @deep "deep/" <> String.duplicate("a/", 3_000)

  setup %{tmp: tmp} do
    good = Fixtures.copy!(:native, tmp)
    json = Fixtures.copy!(:baileys, tmp)
    File.write!(Path.join(tmp, "file"), "mine")
    File.ln_s!("nowhere", Path.join(tmp, "dangling"))
    File.ln_s!("loop", Path.join(tmp, "loop"))
    long = String.duplicate("a", 300)
    names = ["file", "file/x", "dangling", "loop", long, @deep, "a\0b", <<"a", 255>>]
    paths = for name <- names, do: Path.join(tmp, name)
    {:ok, paths: paths, good: good, json: json, before: everything(tmp)}
  end

  # The calls leave lock files in their sources.
  defp everything(tmp), do: {Enum.sort(File.ls!(tmp)), File.read!(Path.join(tmp, "file"))}

  defp refuse(calls, context) do
    for path <- context.paths, {name, call} <- calls do
      result = call.(path)
      assert match?({:error, _reason}, result), "#{name} of #{inspect(path)}: #{inspect(result)}"
    end

    assert everything(context.tmp) == context.before
  end

  # Runs in a separate VM, because a failure would end it.
  test "of any depth are an error, and no end of the VM" do
    code = "{error, enametoolong} = '#{NativeFilePersistence}':load_credentials(<<\"#{@deep}\">>)"
    assert {[], 0} = Vm.run(code)
  end

  for backend <- [NativeFilePersistence, FilePersistence] do
    test "are errors of #{inspect(backend)}", context do
      backend = unquote(backend)

      refuse(
        [
          load_credentials: &backend.load_credentials/1,
          must_exist: &backend.load_credentials(&1, must_exist: true),
          save_keys: &backend.save_keys(&1, :"lid-mapping", "1", "2"),
          load_keys: &backend.load_keys(&1, :"lid-mapping", "1"),
          commit_keys: &backend.commit_keys(&1, %{"lid-mapping": %{"1" => "2"}}),
          list_keys: &backend.list_keys/1,
          delete_keys: &backend.delete_keys(&1, :"lid-mapping", "1"),
          snapshot: &backend.snapshot(&1, Path.join(context.tmp, "copy")),
          verify: &backend.verify/1,
          claim: &backend.claim(&1, Owner.new()),
          store: &KeyStore.start_link(persistence_module: backend, persistence_context: &1),
          # An unreachable path may lead to an account. Only if nothing exists is there nothing to delete.
          delete_auth_state: &backend.delete_auth_state/1
        ],
        context
      )

      assert backend.delete_auth_state(Path.join(context.tmp, "absent")) == :ok
    end
  end

  test "are errors of what works on whole directories", context do
    %{good: good, json: json, tmp: tmp} = context
    new = Path.join(tmp, "new")

    refuse(
      [
        inspect: &Inspection.inspect_directory/1,
        inspect_all: &Inspection.inspect_all/1,
        directories: &Inspection.directories/1,
        detect: &Inspection.detect/1,
        plan: &Repair.plan/1,
        repair: &Repair.run/1,
        restore_from: &Restore.run(&1, new),
        restore_to: &Restore.run(good, &1),
        migrate_from: &PersistenceMigration.migrate_compat_json_to_native(&1, new),
        migrate_to: &PersistenceMigration.migrate_compat_json_to_native(json, &1),
        export: &PersistenceMigration.export({NativeFilePersistence, &1}, []),
        snapshot_to: &NativeFilePersistence.snapshot(good, &1),
        aside: &Restore.run(good, new, aside: &1)
      ],
      context
    )
  end

  test "that are empty are refused, and not taken for the current directory", context do
    state = State.new()

    of_backends =
      for backend <- [NativeFilePersistence, FilePersistence] do
        [
          &backend.load_credentials/1,
          &backend.save_credentials(&1, state),
          &backend.save_keys(&1, :"lid-mapping", "1", "2"),
          &backend.load_keys(&1, :"lid-mapping", "1"),
          &backend.list_keys/1,
          &backend.delete_auth_state/1,
          &backend.verify/1,
          &backend.snapshot(&1, "copy"),
          &backend.snapshot(context.good, &1),
          &KeyStore.start_link(persistence_module: backend, persistence_context: &1)
        ]
      end

    others = [
      &NativeFilePersistence.use_native_file_auth_state/1,
      &FilePersistence.use_multi_file_auth_state/1,
      &Accounts.start_link(name: __MODULE__.Accounts, root: &1),
      &Inspection.inspect_directory/1,
      &Repair.run/1,
      &Restore.run(&1, "new"),
      &Restore.run(context.good, &1),
      &PersistenceMigration.migrate_compat_json_to_native(&1, "new"),
      &PersistenceMigration.migrate_compat_json_to_native(context.json, &1),
      &PersistenceMigration.migrate([{"creds", "{}"}], {NativeFilePersistence, &1})
    ]

    for call <- List.flatten([of_backends | others]), path <- ["", ~c""] do
      assert_raise ArgumentError, ~r/^expected .*path/, fn -> call.(path) end
    end
  end

  test "are errors of accounts under such a root", context do
    refuse(
      [
        open: fn root ->
          {:ok, pid} = Accounts.start_link(name: __MODULE__.Accounts, root: root)
          opened = Accounts.open(__MODULE__.Accounts, "ada")
          Supervisor.stop(pid)
          opened
        end
      ],
      context
    )
  end
end
