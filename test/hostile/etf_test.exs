defmodule BaileysEx.Hostile.EtfTest do
  # Native files that are not plain terms: each is refused by name, and the VM survives.
  use ExUnit.Case, async: true

  import BaileysEx.Auth.TempDir
  import BaileysEx.Test.Property
  import Bitwise

  alias BaileysEx.Auth.{
    CorruptFileError,
    DamagedDirectoryError,
    InvalidTermError,
    NativeFilePersistence,
    PersistenceMigration,
    State
  }

  alias BaileysEx.Test.{AtomLoader, HostileEtf, Vm}

  @manifest ".baileys_ex_native_file_persistence.etf"
  @mebibyte 1_048_576
  # The members that are never generated if credentials were saved.
  @identity [:noise_key, :signed_identity_key, :signed_pre_key, :registration_id, :adv_secret_key]

  setup :setup_temp_dir

  setup %{tmp: tmp} do
    path = Path.join(tmp, "auth")
    :ok = NativeFilePersistence.save_credentials(path, State.new())
    :ok = NativeFilePersistence.save_keys(path, :"pre-key", 1, pre_key())
    :ok = NativeFilePersistence.checkpoint(path)
    {:ok, path: path}
  end

  test "a hostile key is refused, stays as it is, and costs that key alone", %{path: path} do
    file = Path.join(path, "session-1.0.etf")

    for {what, bytes} <- HostileEtf.all("hostile_key_") do
      File.write!(file, bytes)

      assert {:error, %CorruptFileError{path: ^file}} =
               NativeFilePersistence.load_keys(path, :session, "1.0"),
             what

      assert File.read!(file) == bytes
      assert {:ok, _} = NativeFilePersistence.load_keys(path, :"pre-key", 1)
    end

    refute_atoms("hostile_key_")
  end

  test "hostile credentials are an error and never a fresh identity", %{path: path} do
    file = Path.join(path, "creds.etf")

    for {what, bytes} <- HostileEtf.all("hostile_creds_") do
      File.write!(file, bytes)

      assert {:error, %CorruptFileError{path: ^file}} =
               NativeFilePersistence.load_credentials(path),
             what

      assert {:error, %CorruptFileError{}} =
               NativeFilePersistence.use_native_file_auth_state(path)

      assert File.read!(file) == bytes
    end

    refute_atoms("hostile_creds_")
  end

  test "credentials of any other shape are refused or complete, and the VM goes on",
       %{path: path} do
    {:ok, state} = NativeFilePersistence.load_credentials(path)
    file = Path.join(path, "creds.etf")
    fields = Map.keys(state)

    for_seeds(1..600, fn _seed ->
      damaged =
        Enum.reduce(1..one_of([1, 1, 1, 5, 30]), state, fn _, damaged ->
          if one_of([true, false]),
            do: Map.put(damaged, one_of(fields), garbage()),
            else: Map.delete(damaged, one_of(fields))
        end)

      term = one_of([damaged, damaged, damaged, garbage(), %{state: damaged}, [damaged]])
      File.write!(file, :erlang.term_to_binary(term))

      case NativeFilePersistence.load_credentials(path) do
        {:ok, loaded} ->
          # No part of the identity was invented.
          assert %State{} = loaded
          assert Map.take(loaded, @identity) == Map.take(term, @identity)
          assert inspect(loaded) =~ "#BaileysEx.Auth.State<"

        {:error, %CorruptFileError{path: ^file} = error} ->
          assert Exception.message(error) =~ "creds.etf"
      end

      _any = NativeFilePersistence.verify(path)
    end)
  end

  defp garbage do
    one_of(
      [nil, [], %{}, "", "text", <<0xFF>>, 7, -1, 1.5, :atom, {}, {:a, 1}, [1 | 2]] ++
        [%{__struct__: 5}, %{__struct__: :gone}, %URI{}, %{1 => 2}, ["x"], 1 <<< 200]
    )
  end

  test "a hostile manifest stops everything and touches nothing", %{path: path, tmp: tmp} do
    for {{what, bytes}, number} <- Enum.with_index(HostileEtf.all("hostile_manifest_")) do
      # Otherwise the answer would come from what this VM remembers of the directory.
      copy = Path.join(tmp, "copy#{number}")
      File.cp_r!(path, copy)
      File.write!(Path.join(copy, @manifest), bytes)

      for refused <- [
            NativeFilePersistence.load_keys(copy, :"pre-key", 1),
            NativeFilePersistence.load_credentials(copy),
            NativeFilePersistence.list_keys(copy),
            NativeFilePersistence.save_keys(copy, :"pre-key", 2, pre_key()),
            NativeFilePersistence.verify(copy)
          ] do
        assert {:error, {:invalid_persistence_metadata, NativeFilePersistence, reason}} = refused,
               what

        assert is_binary(reason)
      end

      assert File.read!(Path.join(copy, @manifest)) == bytes
      refute File.exists?(Path.join(copy, "pre-key-2.etf"))
      File.rm_rf!(copy)
    end

    refute_atoms("hostile_manifest_")
  end

  test "a manifest of families that nobody knows makes no atoms", %{path: path, tmp: tmp} do
    families = for number <- 1..20_000, do: "hostile_family_#{number}"

    manifest = %{
      "backend" => "native_file_persistence",
      "version" => 1,
      "key_index" => Map.new(families, &{&1, ["1"]})
    }

    copy = Path.join(tmp, "copy")
    File.cp_r!(path, copy)
    File.write!(Path.join(copy, @manifest), :erlang.term_to_binary(manifest))

    for family <- Enum.take(families, 20),
        do: File.write!(Path.join(copy, family <> "-1.etf"), "")

    assert {:ok, keys} = NativeFilePersistence.list_keys(copy)
    assert keys["hostile_family_1"] == ["1"]
    refute_atoms("hostile_family_")
  end

  test "verify and migration report all of them at once", %{path: path, tmp: tmp} do
    hostile = HostileEtf.all("hostile_survey_")

    for {{_what, bytes}, number} <- Enum.with_index(hostile) do
      File.write!(Path.join(path, "app-state-sync-version-#{number}.etf"), bytes)
    end

    target = Path.join(tmp, "json")

    for {:error, %DamagedDirectoryError{files: files}} <- [
          NativeFilePersistence.verify(path),
          PersistenceMigration.migrate_native_to_compat_json(path, target)
        ] do
      assert length(files) == length(hostile)
      assert Enum.all?(files, &(&1.problem != ""))
    end

    refute File.exists?(target)

    assert {:ok, %{skipped: skipped, migrated_keys: 1}} =
             PersistenceMigration.migrate_native_to_compat_json(path, target, on_corrupt: :skip)

    assert length(skipped) == length(hostile)
    refute_atoms("hostile_survey_")
  end

  test "a file larger than any key is refused unread", %{path: path} do
    for name <- ["session-1.0.etf", "creds.etf"] do
      {:ok, file} = :file.open(Path.join(path, name), [:write, :raw])
      # Sparse: 8 GiB, none of which is on disk.
      {:ok, _} = :file.position(file, 8192 * @mebibyte)
      :ok = :file.truncate(file)
      :ok = :file.close(file)
    end

    assert {:error, %CorruptFileError{problem: problem}} =
             NativeFilePersistence.load_keys(path, :session, "1.0")

    assert problem =~ "larger"
    assert {:error, %CorruptFileError{}} = NativeFilePersistence.load_credentials(path)
    assert {:error, %DamagedDirectoryError{files: [_, _]}} = NativeFilePersistence.verify(path)
  end

  test "a term that no VM could load again is refused before it is written", %{path: path} do
    before = File.ls!(path)
    deep = Enum.reduce(1..200, [], fn _, inner -> {inner} end)

    for {what, term} <- [
          {"pid", self()},
          {"port", hd(Port.list())},
          {"reference", make_ref()},
          {"function", fn -> :ok end},
          {"bit string", <<1::7>>},
          {"depth", deep}
        ],
        wrapped <- [term, %{private: term}, [1, {term}]] do
      assert {:error, %InvalidTermError{}} =
               NativeFilePersistence.save_keys(path, :session, "1.0", wrapped),
             what
    end

    assert File.ls!(path) == before
  end

  # Each file may bring a few atoms, and a million files many: the VM as a whole has a limit.
  test "files that bring atoms one after the other do not fill the table", %{tmp: tmp} do
    path = Path.join(tmp, "atoms")
    File.mkdir_p!(path)

    for file <- 1..600 do
      atoms = for number <- 1..200, do: atom("many_#{file}_#{number}")
      bytes = IO.iodata_to_binary([<<131, 108, 200::32>>, atoms, 106])
      File.write!(Path.join(path, "sender-key-memory-#{file}.etf"), bytes)
    end

    {lines, 0} = Vm.run(Vm.call(AtomLoader, :run, [path, 1]))
    assert ["loaded " <> loaded, "refused " <> refused, "atoms " <> atoms] = lines
    assert String.to_integer(loaded) in 300..350
    assert String.to_integer(loaded) + String.to_integer(refused) == 600
    assert String.to_integer(atoms) < 70_000
  end

  test "the same few atoms are loaded as often as one likes, in any script", %{tmp: tmp} do
    path = Path.join(tmp, "atoms")
    term = for number <- 1..200, do: :"ключ_#{number}"
    :ok = NativeFilePersistence.save_keys(path, :"sender-key-memory", "1", term)

    assert {["loaded 400", "refused 0", _], 0} = Vm.run(Vm.call(AtomLoader, :run, [path, 400]))
  end

  # Checks the atom table, and not only the answer: no atom of the file was created.
  defp refute_atoms(prefix) do
    for number <- [1, 2, 255, 256, 257, 20_000] do
      assert_raise ArgumentError, fn -> String.to_existing_atom("#{prefix}#{number}") end
    end
  end

  defp atom(name), do: <<119, byte_size(name), name::binary>>

  defp pre_key do
    %{private: :crypto.strong_rand_bytes(32), public: :crypto.strong_rand_bytes(32)}
  end
end
