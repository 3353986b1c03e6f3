defmodule BaileysEx.Hostile.RepairTest do
  # Damage is repaired if something intact is left, in one commit, and nothing is invented.
  use ExUnit.Case, async: true

  import BaileysEx.Auth.TempDir
  import ExUnit.CaptureIO

  alias BaileysEx.Auth.{
    CLI,
    CorruptFileError,
    FilePersistence,
    Fixtures,
    KeyStore,
    NativeFilePersistence,
    Repair,
    State
  }

  @brought Path.expand("../fixtures/brought", __DIR__)

  setup :setup_temp_dir

  for {fixture, extension, manifest} <- [
        {:baileys, ".json", ".baileys_ex_file_persistence.json"},
        {:native, ".etf", ".baileys_ex_native_file_persistence.etf"}
      ] do
    describe "a #{extension} directory" do
      @describetag fixture: fixture, extension: extension, manifest: manifest

      setup %{tmp: tmp, fixture: fixture, extension: extension} do
        path = Fixtures.copy!(fixture, tmp)

        {:ok,
         path: path,
         backend: Fixtures.backend(fixture),
         creds: Path.join(path, "creds" <> extension)}
      end

      test "that is whole is left alone", %{path: path} do
        before = Fixtures.files!(path)
        assert {:ok, %{steps: [], left: [], hopeless?: false, set_aside: nil}} = Repair.plan(path)
        assert {:ok, %{steps: [], set_aside: nil}} = Repair.run(path)
        assert Fixtures.files!(path) |> Map.delete(".baileys_ex.lock") == before
      end

      test "loses its damaged keys, and says what each costs", context do
        %{path: path, backend: backend, extension: extension} = context
        damaged = ["pre-key-1", "session-15559990002.0"]
        for name <- damaged, do: File.write!(Path.join(path, name <> extension), "{")
        before = Fixtures.files!(path)

        assert {:ok, %{steps: steps, set_aside: nil} = plan} = Repair.plan(path)
        assert Enum.map(steps, & &1.file) == Enum.map(damaged, &(&1 <> extension))

        assert Enum.map(steps, & &1.remedy) == [
                 {:remove_key, :"pre-key", "1"},
                 {:remove_key, :session, "15559990002.0"}
               ]

        assert List.last(steps).cost =~ "negotiated anew"
        # A plan changes nothing.
        assert Fixtures.files!(path) |> Map.delete(".baileys_ex.lock") == before
        assert {1, shown} = cli([path])
        assert shown =~ "nothing was changed yet"
        assert shown =~ "loses the session with one device"

        assert {:ok, %{steps: ^steps, set_aside: set_aside}} = Repair.run(path)
        assert plan.steps == steps
        assert {:ok, %{credentials?: true}} = backend.verify(path)
        assert {:error, :not_found} = backend.load_keys(path, :"pre-key", 1)

        for name <- damaged,
            do: assert(File.read!(Path.join(set_aside, name <> extension)) == "{")

        assert {0, _} = cli([path])
      end

      test "has its credentials from a sibling that is whole, the newest", context do
        %{path: path, backend: backend, creds: creds} = context
        {:ok, state} = backend.load_credentials(path)
        old = %{state | platform: "old"}
        aside = Path.join(Path.dirname(path), "other")
        :ok = backend.save_credentials(aside, old)
        if backend == NativeFilePersistence, do: :ok = backend.checkpoint(aside)
        File.cp!(Path.join(aside, Path.basename(creds)), creds <> ".old")
        File.touch!(creds <> ".old", System.os_time(:second) - 7200)
        File.cp!(creds, creds <> ".bak")
        File.touch!(creds <> ".bak", System.os_time(:second) - 3600)
        # Incomplete, and newer.
        File.write!(creds <> ".tmp", binary_part(File.read!(creds), 0, 300))
        File.write!(creds, binary_part(File.read!(creds), 0, 400))

        bak = Path.basename(creds) <> ".bak"
        others = [Path.basename(creds) <> ".old"]
        assert {:ok, %{steps: [step]}} = Repair.plan(path)
        assert {:take, ^bak, %DateTime{}, ^others} = step.remedy
        assert step.cost =~ ~r/since .*, 3,\d\d\d seconds before the damaged file/
        assert {0, shown} = cli([path, "--apply"])
        assert shown =~ "repaired"
        assert {:ok, ^state} = backend.load_credentials(path)
        assert {:ok, _report} = backend.verify(path)
      end

      test "has them from what was left unfinished, and where they are not there at all",
           context do
        %{path: path, backend: backend, creds: creds} = context
        {:ok, state} = backend.load_credentials(path)
        File.rename!(creds, Path.join(path, ".baileys_ex.tmp-0123456789abcdef"))
        assert {:ok, %{steps: [%{problem: "is not there"} = step]}} = Repair.plan(path)
        assert {:take, ".baileys_ex.tmp-0123456789abcdef", _time, []} = step.remedy
        assert {:ok, %{set_aside: path_of_it}} = Repair.run(path)
        assert path_of_it != nil
        assert {:ok, ^state} = backend.load_credentials(path, must_exist: true)
      end

      test "whose credentials are nowhere whole has no remedy, and nothing is done", context do
        %{path: path, creds: creds, extension: extension} = context
        File.write!(creds, "")
        File.write!(creds <> ".bak", "{}")
        File.write!(Path.join(path, "pre-key-1" <> extension), "")
        before = Fixtures.files!(path)

        assert {:ok, %{hopeless?: true, set_aside: nil, steps: steps}} = Repair.run(path)
        assert %{remedy: :none, cost: cost} = Enum.find(steps, &(&1.file == Path.basename(creds)))
        assert cost =~ "pair again"
        assert Fixtures.files!(path) |> Map.delete(".baileys_ex.lock") == before
        assert {1, shown} = cli([path, "--apply"])
        assert shown =~ "no remedy"
        assert Fixtures.files!(path) |> Map.delete(".baileys_ex.lock") == before
      end

      test "has its manifest rebuilt", context do
        %{path: path, backend: backend, manifest: manifest} = context
        File.write!(Path.join(path, manifest), "{]")

        assert {:error, {:invalid_persistence_metadata, ^backend, _}} =
                 backend.load_credentials(path)

        assert {:ok, %{steps: [%{file: ^manifest, remedy: :rebuild_manifest}]}} = Repair.run(path)
        assert {:ok, %State{}} = backend.load_credentials(path)
        assert {:ok, _report} = backend.verify(path)
        assert {:ok, %{steps: []}} = Repair.plan(path)
      end

      test "keeps what is not damage as it is, and says why", context do
        %{path: path, backend: backend, extension: extension} = context
        link = Path.join(path, "session-1.0" <> extension)
        File.ln_s!("/nowhere", link)
        File.write!(Path.join(path, "pre-key-1" <> extension), "")

        assert {:ok, %{left: [%CorruptFileError{path: ^link, kind: :symbolic_link}]}} =
                 Repair.run(path)

        assert {:error, %{files: [%{path: ^link}]}} = backend.verify(path)
        assert {1, shown} = cli([path, "--apply"])
        assert shown =~ "left as it is"
      end
    end
  end

  test "credentials followed by the rest of an older write keep their document", %{tmp: tmp} do
    path = Fixtures.copy!(:baileys, tmp)
    creds = Path.join(path, "creds.json")
    whole = File.read!(creds)
    key = Path.join(path, "pre-key-1.json")
    key_whole = File.read!(key)
    File.write!(key, key_whole <> <<0::64>>)

    for remains <- [~s(e"}\"}}), <<0::4096>>, ~s({"noiseKey":1})] do
      File.write!(creds, whole <> remains)
      size = byte_size(remains)
      assert {:ok, %{steps: steps}} = Repair.run(path)

      assert %{remedy: {:keep_document, kept, ^size}} =
               Enum.find(steps, &(&1.file == "creds.json"))

      assert kept == byte_size(whole)
      assert File.read!(creds) == whole
      assert {:ok, _report} = FilePersistence.verify(path)
      assert File.read!(key) == key_whole
    end

    File.cp!(Path.join(@brought, "creds-tail-of-an-older-write.json"), creds)
    assert {:ok, %{hopeless?: false}} = Repair.run(path)
    assert {:ok, _state} = FilePersistence.load_credentials(path)

    File.cp!(Path.join(@brought, "creds-filled-with-zeros.json"), creds)
    assert {:ok, %{hopeless?: true}} = Repair.run(path)
  end

  test "a whole document that is no credentials is none", %{tmp: tmp} do
    path = Fixtures.copy!(:baileys, tmp)
    File.write!(Path.join(path, "creds.json"), ~s({"registrationId": 1}}))
    assert {:ok, %{hopeless?: true}} = Repair.plan(path)
  end

  test "of a damaged journal what can be trusted is applied", %{tmp: tmp} do
    path = Path.join(tmp, "auth")
    :ok = NativeFilePersistence.save_credentials(path, State.new())

    for n <- 1..6,
        do: :ok = NativeFilePersistence.save_keys(path, :"lid-mapping", "#{n}", "v#{n}")

    # Another VM finds it in this state.
    found = Path.join(tmp, "found")
    File.cp_r!(path, found)
    journal = Path.join(found, ".baileys_ex.journal")
    bytes = File.read!(journal)
    {at, _} = :binary.match(bytes, "v4")

    damaged =
      binary_part(bytes, 0, at) <> "X" <> binary_part(bytes, at + 1, byte_size(bytes) - at - 1)

    File.write!(journal, damaged)

    assert {:error, %CorruptFileError{kind: :journal} = error} =
             NativeFilePersistence.load_credentials(found)

    assert CorruptFileError.advice(error) =~ "repair"
    refute CorruptFileError.advice(error) =~ "backup"
    options = [backend: NativeFilePersistence]
    assert {:ok, %{steps: [step]}} = Repair.plan(found, options)
    assert {:apply_journal, 3, trusted, size} = step.remedy
    assert trusted < at and size == byte_size(bytes)
    assert File.read!(journal) == damaged

    assert {:ok, %{set_aside: set_aside}} = Repair.run(found, options)
    assert File.read!(Path.join(set_aside, ".baileys_ex.journal")) == damaged
    assert {:ok, %State{}} = NativeFilePersistence.load_credentials(found, must_exist: true)
    assert {:ok, %{"lid-mapping": ids}} = NativeFilePersistence.list_keys(found)
    assert Enum.sort(ids) == ["1", "2", "3"]
    assert {:ok, _report} = NativeFilePersistence.verify(found)
    :ok = NativeFilePersistence.save_keys(found, :"lid-mapping", "7", "v7")
    assert {:ok, "v7"} = NativeFilePersistence.load_keys(found, :"lid-mapping", "7")
  end

  test "a store that runs meanwhile notices", %{tmp: tmp} do
    path = Fixtures.copy!(:native, tmp)
    {:ok, pid} = KeyStore.start_link(persistence_context: path)
    store = KeyStore.wrap(pid)
    assert %{"1" => _key} = KeyStore.get(store, :"pre-key", ["1"])
    File.write!(Path.join(path, "pre-key-1.etf"), "")
    assert {:ok, %{steps: [%{file: "pre-key-1.etf"}]}} = Repair.run(path)
    Process.sleep(10)

    KeyStore.transaction(store, "k", fn tx ->
      assert KeyStore.get(tx, :"pre-key", ["1"]) == %{}
    end)
  end

  defp cli(argv) do
    parent = self()

    shown =
      capture_io(fn -> send(parent, {:code, CLI.run(["repair" | argv], CLI.Terminal.plain())}) end)

    receive do
      {:code, code} -> {code, shown}
    end
  end
end
