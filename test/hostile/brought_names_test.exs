defmodule BaileysEx.Hostile.BroughtNamesTest do
  # Files under names that do not belong to a key, or no longer do.
  use ExUnit.Case, async: true

  import BaileysEx.Auth.TempDir

  alias BaileysEx.Auth.{
    FilePersistence,
    Fixtures,
    Inspection,
    KeyStore,
    NativeFilePersistence,
    PersistenceMigration
  }

  @names Path.expand("../fixtures/brought/old-file-names", __DIR__)
  @id "120363041234567890@g.us::15551230001::7"
  @old "sender-key-#{@id}.json"
  @current "sender-key-120363041234567890@g.us--15551230001--7.json"

  setup :setup_temp_dir

  setup %{tmp: tmp} do
    path = Fixtures.copy!(:baileys, tmp)
    File.rm(Path.join(path, @current))
    {:ok, path: path, target: Path.join(tmp, "native")}
  end

  describe "a key under the name of before colons were rewritten" do
    setup %{path: path} do
      File.cp!(Path.join(@names, @old), Path.join(path, @old))
      {:ok, key} = FilePersistence.load_keys(path, :"sender-key", @id)
      {:ok, key: key}
    end

    test "is listed, and renamed at the next save", %{path: path, key: key} do
      assert @id in listed(path)
      :ok = FilePersistence.save_keys(path, :"sender-key", @id, key)
      assert names(path) == [@current]
      assert FilePersistence.load_keys(path, :"sender-key", @id) == {:ok, key}
      assert Enum.count(listed(path), &(&1 == @id)) == 1
    end

    test "is gone when it is deleted or cleared", %{path: path, key: key} do
      :ok = FilePersistence.delete_keys(path, :"sender-key", @id)
      assert names(path) == []
      assert {:error, :not_found} = FilePersistence.load_keys(path, :"sender-key", @id)

      File.cp!(Path.join(@names, @old), Path.join(path, @old))
      assert FilePersistence.load_keys(path, :"sender-key", @id) == {:ok, key}

      {:ok, pid} =
        KeyStore.start_link(persistence_module: FilePersistence, persistence_context: path)

      :ok = KeyStore.clear(KeyStore.wrap(pid))
      assert names(path) == []
    end

    test "is migrated", %{path: path, target: target, key: key} do
      assert {:ok, %{superseded: []}} =
               PersistenceMigration.migrate_compat_json_to_native(path, target)

      assert NativeFilePersistence.load_keys(target, :"sender-key", @id) == {:ok, key}
    end

    test "is damage under its own name", %{path: path} do
      File.write!(Path.join(path, @old), "[{]")
      assert {:error, %{path: file}} = FilePersistence.load_keys(path, :"sender-key", @id)
      assert Path.basename(file) == @old
      assert {:error, %{files: [%{path: ^file}]}} = FilePersistence.verify(path)
    end

    test "is a leftover beside the one under the current name", context do
      %{path: path, target: target, key: key} = context
      old = Path.join(path, @old)
      File.write!(old, "not even JSON")
      File.cp!(Path.join(@names, @current), Path.join(path, @current))

      assert FilePersistence.load_keys(path, :"sender-key", @id) == {:ok, key}
      assert Enum.count(listed(path), &(&1 == @id)) == 1
      assert {:ok, %{ignored: [@old]}} = FilePersistence.verify(path)
      assert {:ok, %{leftovers: [@old], damaged: []}} = Inspection.inspect_directory(path)

      assert {:ok, %{superseded: [@old]}} =
               PersistenceMigration.migrate_compat_json_to_native(path, target)

      assert NativeFilePersistence.load_keys(target, :"sender-key", @id) == {:ok, key}
      :ok = FilePersistence.save_keys(path, :"sender-key", @id, key)
      assert names(path) == [@current]
    end
  end

  test "copies that other programs made are no keys", %{path: path, target: target} do
    copies = [
      "creds (1).json",
      "creds copy.json",
      "pre-key-1.sync-conflict-20240101-120000-ABCDEFG.json",
      "session-1.0 (Ada's conflicted copy 2024-01-01).json"
    ]

    for name <- copies, do: File.write!(Path.join(path, name), "[]")
    {:ok, before} = FilePersistence.list_keys(Fixtures.path(:baileys))

    assert FilePersistence.list_keys(path) |> elem(1) |> Map.delete(:"sender-key") ==
             Map.delete(before, :"sender-key")

    assert {:ok, %{ignored: ^copies}} = FilePersistence.verify(path)
    assert {:ok, %{leftovers: ^copies, unknown: []}} = Inspection.inspect_directory(path)

    assert {:ok, %{ignored: ^copies}} =
             PersistenceMigration.migrate_compat_json_to_native(path, target)

    # An id may look like such a name, and is never mistaken for it.
    assert {:error, %{problem: problem}} =
             FilePersistence.save_keys(
               path,
               :"pre-key",
               "1.sync-conflict-20240101-120000-ABCDEFG",
               %{
                 private: <<1::256>>,
                 public: <<2::256>>
               }
             )

    assert problem =~ "same file name"

    :ok = FilePersistence.save_keys(path, :"lid-mapping", "a (1)", "x")
    assert {:ok, "x"} = FilePersistence.load_keys(path, :"lid-mapping", "a (1)")
    assert {:ok, %{"lid-mapping": ids}} = FilePersistence.list_keys(path)
    assert "a (1)" in ids
    assert {:error, :not_found} = FilePersistence.load_keys(path, :session, "1.0 (1)")
  end

  describe "JSON that is not ours" do
    setup %{path: path} do
      File.write!(Path.join(path, "oauth.json"), ~s({"token": "secret"}))
      File.write!(Path.join(path, "baileys_store_multi.json"), ~s({"chats": [))
      :ok
    end

    test "is listed and left", %{path: path, target: target} do
      others = ["baileys_store_multi.json", "oauth.json"]
      assert {:ok, %{unknown: ^others}} = FilePersistence.verify(path)
      assert {:ok, %{unknown: ^others, damaged: []}} = Inspection.inspect_directory(path)

      assert {:ok, %{unknown: ^others, families: families}} =
               PersistenceMigration.migrate_compat_json_to_native(path, target)

      refute Map.has_key?(families, :unknown)
      refute File.exists?(Path.join(target, "oauth.etf"))
    end

    test "is carried when asked for", %{path: path, target: target, tmp: tmp} do
      carry = [unknown: :carry]

      assert {:error, %{files: [%{path: file}]}} =
               PersistenceMigration.migrate_compat_json_to_native(path, target, carry)

      assert Path.basename(file) == "baileys_store_multi.json"
      File.rm!(file)

      assert {:ok, %{unknown: [], families: %{unknown: 1}}} =
               PersistenceMigration.migrate_compat_json_to_native(path, target, carry)

      back = Path.join(tmp, "back")

      assert {:ok, %{families: %{unknown: 1}}} =
               PersistenceMigration.migrate_native_to_compat_json(target, back, carry)

      assert File.read!(Path.join(back, "oauth.json")) =~ "secret"
    end

    test "alone is no auth directory", %{path: path, tmp: tmp, target: target} do
      other = Path.join(tmp, "node")
      File.mkdir!(other)
      File.cp!(Path.join(path, "oauth.json"), Path.join(other, "package.json"))

      for opts <- [[], [credentials: :optional], [unknown: :carry, credentials: :optional]] do
        assert {:error, {:not_an_auth_directory, ^other}} =
                 PersistenceMigration.migrate_compat_json_to_native(other, target, opts)
      end

      refute File.exists?(target)
    end
  end

  defp listed(path) do
    {:ok, keys} = FilePersistence.list_keys(path)
    keys[:"sender-key"] || []
  end

  defp names(path), do: for(name <- File.ls!(path), name in [@old, @current], do: name)
end
