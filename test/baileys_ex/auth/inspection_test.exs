defmodule BaileysEx.Auth.InspectionTest do
  use ExUnit.Case, async: true

  import BaileysEx.Auth.TempDir

  alias BaileysEx.Auth.{
    CorruptFileError,
    FilePersistence,
    Fixtures,
    Inspection,
    Lock,
    NativeFilePersistence,
    State
  }

  doctest BaileysEx.Auth.Inspection.Growth
  doctest BaileysEx.Auth.Inspection.PreKeys
  doctest BaileysEx.Auth.Inspection.WarnAbove

  setup :setup_temp_dir

  @dialects %{baileys: :baileys, explicit: :explicit, legacy: :legacy, native: :native}

  for {form, dialect} <- @dialects do
    test "tells what a #{form} directory is, and whose", %{tmp: tmp} do
      path = Fixtures.copy!(unquote(form), tmp)
      assert {:ok, report} = Inspection.inspect_directory(path)
      assert report.path == path
      assert report.backend == Fixtures.backend(unquote(form))
      assert report.dialect == unquote(dialect)
      assert report.credentials == :present
      assert report.registered?

      assert report.account == %{
               id: "15551230001:7@s.whatsapp.net",
               name: "Zoë 🦊",
               lid: "900000000001:7@lid"
             }

      assert report.damaged == []

      assert Map.delete(report.pre_keys, :ages) ==
               %{made: 40, stored: 39, unused: 39, not_uploaded: 0, used: 1}
    end
  end

  test "tells sessions by their last use, and types with more keys than expected", %{tmp: tmp} do
    path = Fixtures.copy!(:native, tmp)
    {:ok, keys} = NativeFilePersistence.list_keys(path)
    [rests | _used] = Path.wildcard(Path.join(path, "session-*"))
    now = System.os_time(:second)
    for file <- Path.wildcard(Path.join(path, "*.etf")), do: File.touch!(file, now - 60)
    File.touch!(rests, now - 40 * 86_400)

    {:ok, report} = Inspection.inspect_directory(path, warn_above: length(keys[:"pre-key"]) - 1)
    used = length(keys.session) - 1
    assert report.ages.session == %{day: used, week: 0, month: 0, older: 1}
    refute Map.has_key?(report.ages, :creds)
    assert %{type: :"pre-key", keys: 39, above: 38, older: 0} in report.growing
    refute Enum.any?(report.growing, &(&1.type == :session))
    assert {:ok, %{growing: []}} = Inspection.inspect_directory(path)
  end

  test "tells when pre-keys were made, also those that are gone, as far as their files tell", %{
    tmp: tmp
  } do
    path = Path.join(tmp, "auth")
    now = System.os_time(:second)
    days = &(now - &1 * 86_400)

    # Three uploads: 1 to 30 long ago, 31 to 60 twelve days ago, 61 to 65 an hour ago; 66 is not uploaded.
    made = fn
      id when id <= 30 -> days.(50)
      id when id <= 60 -> days.(12)
      _id -> now - 3600
    end

    counters = [next_pre_key_id: 67, first_unuploaded_pre_key_id: 66]
    :ok = FilePersistence.save_credentials(path, State.new(counters))
    pair = State.new().noise_key
    gone = [2, 3, 30, 31, 40, 64]
    stored = Enum.to_list(1..66) -- gone
    :ok = FilePersistence.commit_keys(path, %{"pre-key": Map.new(stored, &{"#{&1}", pair})})
    for id <- stored, do: File.touch!(Path.join(path, "pre-key-#{id}.json"), made.(id))

    {:ok, %{pre_keys: pre_keys}} = Inspection.inspect_directory(path)
    assert %{made: 66, stored: 60, unused: 59, not_uploaded: 1, used: 6} = pre_keys
    # 30 and 31 were made between 50 and 12 days ago, and no file tells which of them when.
    assert pre_keys.ages.used == %{day: 1, week: 0, month: 1, older: 2, unknown: 2}
    assert pre_keys.ages.unused == %{day: 4, week: 0, month: 28, older: 27, unknown: 0}
    assert pre_keys.ages.made == %{day: 6, week: 0, month: 29, older: 29, unknown: 2}

    # Of the newest and the oldest, one side is open.
    for id <- [1, 65, 66], do: File.rm!(Path.join(path, "pre-key-#{id}.json"))
    {:ok, %{pre_keys: pre_keys}} = Inspection.inspect_directory(path)
    assert pre_keys.ages.used == %{day: 2, week: 0, month: 1, older: 3, unknown: 2}

    # A copy that mixed up the times tells nothing of what is between.
    File.touch!(Path.join(path, "pre-key-4.json"), days.(1))
    {:ok, %{pre_keys: pre_keys}} = Inspection.inspect_directory(path)
    assert pre_keys.ages.used.unknown == 5
  end

  test "counters of pre-keys that no account has do not keep it busy", %{tmp: tmp} do
    path = Path.join(tmp, "auth")
    huge = 9_007_199_254_740_991
    counters = [next_pre_key_id: huge, first_unuploaded_pre_key_id: huge]
    :ok = NativeFilePersistence.save_credentials(path, State.new(counters))
    :ok = NativeFilePersistence.save_keys(path, :"pre-key", "7", State.new().noise_key)
    {:ok, %{pre_keys: pre_keys}} = Inspection.inspect_directory(path)
    assert %{used: used, unused: 1, made: made} = pre_keys
    assert {used, made} == {huge - 2, huge - 1}

    for first <- [0, -5] do
      state = State.new(next_pre_key_id: 8, first_unuploaded_pre_key_id: first)
      :ok = NativeFilePersistence.save_credentials(path, state)
      assert {:ok, %{pre_keys: %{used: 0, not_uploaded: 1}}} = Inspection.inspect_directory(path)
    end
  end

  test "counts what is in the journal alone: pre-keys that are there are not used", %{tmp: tmp} do
    path = Path.join(tmp, "auth")
    counters = [next_pre_key_id: 31, first_unuploaded_pre_key_id: 31]
    :ok = NativeFilePersistence.save_credentials(path, State.new(counters))
    pre_keys = Map.new(1..30, &{"#{&1}", State.new().noise_key})
    :ok = NativeFilePersistence.commit_keys(path, %{"pre-key": pre_keys})
    assert Path.wildcard(Path.join(path, "pre-key-*")) == []

    {:ok, report} = Inspection.inspect_directory(path, warn_above: 29)
    assert %{stored: 30, unused: 30, used: 0} = report.pre_keys
    assert report.ages == %{"pre-key": %{day: 30, week: 0, month: 0, older: 0}}
    assert [%{type: :"pre-key", keys: 30, older: 0}] = report.growing

    File.touch!(Path.join(path, "creds.etf"), 1_700_000_000)
    {:ok, report} = Inspection.inspect_directory(path)
    assert report.oldest_change == ~U[2023-11-14 22:13:20Z]
    assert DateTime.diff(DateTime.utc_now(), report.newest_change) < 3600

    # Its owner was killed long ago.
    File.touch!(Path.join(path, ".baileys_ex.journal"), System.os_time(:second) - 40 * 86_400)
    {:ok, report} = Inspection.inspect_directory(path, warn_above: 29)
    assert %{"pre-key": %{older: 30}} = report.ages
    assert report.pre_keys.ages.unused.older == 30

    # A file that a commit in the journal has taken away is no pre-key.
    :ok = NativeFilePersistence.checkpoint(path)
    :ok = NativeFilePersistence.delete_keys(path, :"pre-key", "1")
    assert File.exists?(Path.join(path, "pre-key-1.etf"))
    {:ok, report} = Inspection.inspect_directory(path)
    assert %{unused: 29, used: 1} = report.pre_keys
  end

  for form <- [:baileys, :native] do
    test "a #{form} session tells its last use itself, which a copy does not change", %{tmp: tmp} do
      path = Fixtures.copy!(unquote(form), tmp)
      backend = Fixtures.backend(unquote(form))
      {:ok, %{session: [one, other]}} = backend.list_keys(path)
      now = System.os_time(:millisecond)
      used_at(backend, path, one, now - 40 * 86_400_000)
      used_at(backend, path, other, now - 3 * 86_400_000)

      {:ok, report} = Inspection.inspect_directory(path)
      assert report.ages.session == %{day: 2, week: 0, month: 0, older: 0}
      assert report.sessions == %{day: 0, week: 1, month: 0, older: 1, unknown: 0}
    end
  end

  test "a session that does not tell its last use is counted as one of unknown age", %{tmp: tmp} do
    path = Fixtures.copy!(:native, tmp)
    {:ok, %{session: ids}} = NativeFilePersistence.list_keys(path)
    for id <- ids, do: used_at(NativeFilePersistence, path, id, nil)
    {:ok, report} = Inspection.inspect_directory(path)
    assert report.sessions == %{day: 0, week: 0, month: 0, older: 0, unknown: 2}
    File.write!(Path.join(path, "session-1.0.etf"), "")
    {:ok, report} = Inspection.inspect_directory(path)
    assert report.sessions.unknown == 2
  end

  # As libsignal or, with nil, as baileys_ex leaves it.
  defp used_at(backend, path, id, time) do
    {:ok, record} = backend.load_keys(path, :session, id)

    sessions =
      Map.new(record.sessions, fn {base_key, session} ->
        info = Map.drop(session.index_info, [:used, :created])
        info = if time, do: Map.merge(info, %{used: time, created: time - 1}), else: info
        {base_key, %{session | index_info: %{info | closed: nil}}}
      end)

    sessions = sessions |> Enum.take(1) |> Map.new()
    :ok = backend.save_keys(path, :session, id, %{record | sessions: sessions})
  end

  test "expects a number of keys for all types, or one for each", %{tmp: tmp} do
    path = Fixtures.copy!(:native, tmp)

    growing = fn warn_above ->
      {:ok, report} = Inspection.inspect_directory(path, warn_above: warn_above)
      for %{type: type, above: above} <- report.growing, into: %{}, do: {type, above}
    end

    assert growing.(41) == %{"lid-mapping": 41}
    assert growing.(%{"lid-mapping": 42}) == %{}
    assert growing.(%{"pre-key" => 38, session: 2}) == %{"pre-key": 38}
    {:ok, [account]} = Inspection.inspect_all(tmp, warn_above: %{"pre-key": 0})
    assert {:ok, %{growing: [%{type: :"pre-key", keys: 39, above: 0}]}} = account.result
  end

  test "what cannot be expected of keys is refused before anything is read", %{tmp: tmp} do
    missing = Path.join(tmp, "missing")

    for {warn_above, problem} <- [
          {-1, "number of keys"},
          {"5", "number of keys"},
          {nil, "number of keys"},
          {%{sessions: 5}, ~r/names :sessions, which is no type .*app-state-sync-key.*session/},
          {%{"x" => 5}, ~s(names "x")},
          {%{5 => 5}, "names 5"},
          {%{session: -1}, "no number of keys, 0 or more, for session"},
          {%{session: "many"}, "for session"}
        ],
        inspect <- [
          &Inspection.inspect_directory/2,
          &Inspection.inspect_all/2,
          fn _path, opts ->
            connection = {__MODULE__, nil}
            Inspection.inspect_account([connection: connection, account: "ada"], opts)
          end
        ] do
      error = assert_raise ArgumentError, fn -> inspect.(missing, warn_above: warn_above) end
      assert Exception.message(error) =~ problem
      assert Exception.message(error) =~ ":warn_above"
    end
  end

  test "counts files and bytes as they are on disk", %{tmp: tmp} do
    path = Fixtures.copy!(:baileys, tmp)
    {:ok, report} = Inspection.inspect_directory(path)
    {:ok, keys} = FilePersistence.list_keys(path)

    assert Map.new(keys, fn {type, ids} -> {type, length(ids)} end) ==
             report.families
             |> Map.delete(:creds)
             |> Map.new(fn {type, count} -> {type, count.files} end)

    size = fn name -> File.stat!(Path.join(path, name)).size end
    assert report.families.creds == %{files: 1, bytes: size.("creds.json")}

    # `sender-key-memory` is a family of its own.
    sender_keys = path |> File.ls!() |> Enum.filter(&(&1 =~ ~r/^sender-key-(?!memory)/))
    assert report.families[:"sender-key"].bytes == sender_keys |> Enum.map(size) |> Enum.sum()
  end

  test "a mixture of dialects is recognised file by file", %{tmp: tmp} do
    path = Fixtures.copy!(:baileys, tmp)
    legacy = Fixtures.path(:legacy)
    session = "session-15559990002.0.json"
    File.cp!(Path.join(legacy, session), Path.join(path, session))
    {:ok, report} = Inspection.inspect_directory(path)
    assert report.dialect == :mixed
    assert %{legacy: 1, baileys: baileys} = report.dialects
    assert baileys > 1
  end

  test "keys that look the same in every dialect tell none", %{tmp: tmp} do
    :ok = FilePersistence.save_keys(tmp, :"lid-mapping", "1", "2")
    assert {:ok, report} = Inspection.inspect_directory(tmp)
    assert %{dialect: :unknown, credentials: :absent, account: nil, registered?: nil} = report
    assert report.pre_keys == nil
  end

  test "names every file that is damaged, unknown, foreign or left over", %{tmp: tmp} do
    path = Fixtures.copy!(:baileys, tmp)
    File.write!(Path.join(path, "session-1.0.json"), "")
    File.write!(Path.join(path, "poll-secret-1.json"), "{}")
    File.write!(Path.join(path, "creds.json.tmp-17"), "")
    File.write!(Path.join(path, "notes.txt"), "")
    File.mkdir!(Path.join(path, "old"))

    {:ok, report} = Inspection.inspect_directory(path)
    assert [%CorruptFileError{path: damaged}] = report.damaged
    assert damaged == Path.join(path, "session-1.0.json")
    assert report.unknown == ["poll-secret-1.json"]
    assert report.leftovers == ["creds.json.tmp-17"]
    assert report.foreign == ["notes.txt", "old"]
  end

  test "damaged credentials are no fresh account", %{tmp: tmp} do
    path = Fixtures.copy!(:native, tmp)
    File.write!(Path.join(path, "creds.etf"), "")
    {:ok, report} = Inspection.inspect_directory(path)
    assert report.credentials == :damaged
    assert report.account == nil
    assert [%CorruptFileError{}] = report.damaged
  end

  test "a counter of pre-keys that is none does not stop it", %{tmp: tmp} do
    path = Fixtures.copy!(:native, tmp)
    {:ok, state} = NativeFilePersistence.load_credentials(path)

    for counter <- [nil, "x", 4.0] do
      state = %{state | first_unuploaded_pre_key_id: counter}
      :ok = NativeFilePersistence.save_credentials(path, state)

      assert {:ok, %{credentials: :present, pre_keys: nil, families: families}} =
               Inspection.inspect_directory(path)

      assert families[:"pre-key"].files == 39
    end
  end

  test "a backend that is none is refused, with the choices", %{tmp: tmp} do
    error = assert_raise ArgumentError, fn -> Inspection.inspect_directory(tmp, backend: :foo) end

    for module <- [FilePersistence, NativeFilePersistence] do
      assert Exception.message(error) =~ inspect(module)
    end
  end

  test "flags what others than the owner can read", %{tmp: tmp} do
    path = Path.join(tmp, "auth")
    :ok = NativeFilePersistence.save_credentials(path, State.new())
    :ok = NativeFilePersistence.save_keys(path, :"lid-mapping", "1", "2")
    assert {:ok, %{permissions: []}} = Inspection.inspect_directory(path)

    File.chmod!(path, 0o750)
    File.chmod!(Path.join(path, "creds.etf"), 0o604)
    {:ok, report} = Inspection.inspect_directory(path)

    assert report.permissions == [
             %{name: ".", mode: 0o750},
             %{name: "creds.etf", mode: 0o604}
           ]
  end

  test "shows the journal as it was before looking", %{tmp: tmp} do
    path = Path.join(tmp, "auth")
    for id <- 0..3, do: :ok = NativeFilePersistence.save_keys(path, :"lid-mapping", id, "x")
    {:ok, report} = Inspection.inspect_directory(path)
    assert %{exists?: true, commits: 3, torn?: false} = report.journal
    assert report.journal.bytes > 0
  end

  test "tells of a journal whose end was damaged as of one that a crash cut short", %{tmp: tmp} do
    path = Path.join(tmp, "auth")
    :ok = NativeFilePersistence.save_credentials(path, State.new())
    :ok = NativeFilePersistence.save_keys(path, :"lid-mapping", "1", "2")
    :ok = NativeFilePersistence.save_keys(path, :"lid-mapping", "3", "4")
    journal = Path.join(path, ".baileys_ex.journal")
    whole = File.read!(journal)
    {:ok, %{journal: %{bytes: used, torn?: false}}} = Inspection.inspect_directory(path)
    at = used - 10
    before = binary_part(whole, 0, at)
    <<byte, rest::binary>> = binary_part(whole, at, byte_size(whole) - at)

    for damaged <- [before, before <> <<Bitwise.bxor(byte, 1)>> <> rest] do
      # Another directory: of this one the engine remembers what it wrote.
      copy = Path.join(tmp, "copy-#{byte_size(damaged)}")
      File.cp_r!(path, copy)
      File.write!(Path.join(copy, ".baileys_ex.journal"), damaged)
      {:ok, report} = Inspection.inspect_directory(copy)
      assert %{torn?: true, commits: 1} = report.journal
      assert report.keys == %{"lid-mapping": 1}
    end
  end

  test "keys that are in the journal alone are counted, and their directory is found", %{tmp: tmp} do
    path = Path.join(tmp, "ada")
    :ok = NativeFilePersistence.save_credentials(path, State.new())
    :ok = NativeFilePersistence.commit_keys(path, %{"lid-mapping": %{"1" => "2", "3" => "4"}})

    assert {:ok, %{keys: %{"lid-mapping": 2}, families: families}} =
             Inspection.inspect_directory(path)

    refute Map.has_key?(families, :"lid-mapping")

    File.rm!(Path.join(path, "creds.etf"))
    assert Inspection.directories(tmp) == {:ok, ["ada"]}
    assert {:ok, [%{result: {:ok, report}}]} = Inspection.inspect_all(tmp)
    assert {report.credentials, report.keys} == {:absent, %{"lid-mapping": 2}}

    # What is left of an account that was deleted is none.
    :ok = NativeFilePersistence.delete_auth_state(path)
    assert Inspection.directories(tmp) == {:ok, []}
  end

  describe "looking at what another VM may be using" do
    setup %{tmp: tmp} do
      written = Path.join(tmp, "written")
      # The first commit is brought to the files at once; of the others only the journal tells.
      :ok = NativeFilePersistence.save_credentials(written, State.new())
      :ok = NativeFilePersistence.save_credentials(written, State.new(me: %{id: "1@x"}))
      :ok = NativeFilePersistence.save_keys(written, :"lid-mapping", "1", "2")
      :ok = NativeFilePersistence.delete_keys(written, :"lid-mapping", "1")
      # The disk as a power cut may leave it: what was only renamed is torn or back.
      path = Path.join(tmp, "crashed")
      File.cp_r!(written, path)
      File.write!(Path.join(path, "creds.etf"), "")
      File.write!(Path.join(path, "lid-mapping-1.etf"), "")
      File.write!(Path.join(path, ".baileys_ex.tmp-17"), "half")
      {:ok, path: path}
    end

    test "reads what was committed, and writes nothing", %{path: path} do
      before = Fixtures.files!(path)
      assert {:ok, report} = Inspection.inspect_directory(path)
      assert {:ok, %{credentials?: true, families: families}} = NativeFilePersistence.verify(path)
      assert Fixtures.files!(path) == before

      assert families == %{}
      assert report.damaged == []
      assert %{credentials: :present, account: %{id: "1@x"}} = report
      assert report.leftovers == [".baileys_ex.tmp-17"]
      assert report.journal.commits == 3
    end

    test "waits for nobody", %{path: path} do
      test = self()

      spawn_link(fn ->
        Lock.run({NativeFilePersistence, path}, fn ->
          send(test, :held)
          Process.sleep(:infinity)
        end)
      end)

      assert_receive :held
      assert {:ok, _} = Inspection.inspect_directory(path)
      assert {:ok, _} = NativeFilePersistence.verify(path)
    end

    test "does not keep its owner from going on", %{path: path} do
      {:ok, _} = Inspection.inspect_directory(path)
      :ok = NativeFilePersistence.save_keys(path, :"lid-mapping", "3", "4")
      {:ok, _} = NativeFilePersistence.verify(path)
      :ok = NativeFilePersistence.save_keys(path, :"lid-mapping", "5", "6")
      assert NativeFilePersistence.load_keys(path, :"lid-mapping", "3") == {:ok, "4"}
      assert {:ok, %{families: %{"lid-mapping": 2}}} = NativeFilePersistence.verify(path)
    end
  end

  test "shows when keys changed", %{tmp: tmp} do
    path = Fixtures.copy!(:baileys, tmp)
    for name <- File.ls!(path), do: File.touch!(Path.join(path, name), 1_700_000_000)
    File.touch!(Path.join(path, "creds.json"), 1_600_000_000)
    File.touch!(Path.join(path, "pre-key-1.json"), 1_800_000_000)
    {:ok, report} = Inspection.inspect_directory(path)
    assert report.oldest_change == ~U[2020-09-13 12:26:40Z]
    assert report.newest_change == ~U[2027-01-15 08:00:00Z]
  end

  test "says what is no auth directory, and what is two", %{tmp: tmp} do
    missing = Path.join(tmp, "missing")
    assert Inspection.inspect_directory(missing) == {:error, :enoent}
    refute File.exists?(missing)

    assert Inspection.detect(tmp) == {:error, {:not_an_auth_directory, tmp}}
    File.write!(Path.join(tmp, "readme.txt"), "")
    assert Inspection.inspect_directory(tmp) == {:error, {:not_an_auth_directory, tmp}}
    assert Inspection.detect(Path.join(tmp, "readme.txt")) == {:error, :enotdir}

    :ok = FilePersistence.save_credentials(tmp, State.new())
    assert Inspection.detect(tmp) == {:ok, FilePersistence}
    native = Path.join(tmp, "native")
    :ok = NativeFilePersistence.save_credentials(native, State.new())
    File.cp!(Path.join(native, "creds.etf"), Path.join(tmp, "creds.etf"))
    assert Inspection.detect(tmp) == {:error, {:ambiguous_auth_directory, tmp}}

    assert {:ok, %{backend: NativeFilePersistence, foreign: foreign}} =
             Inspection.inspect_directory(tmp, backend: NativeFilePersistence)

    assert "creds.json" in foreign
  end

  test "a name that is no text does not stop it", %{tmp: tmp} do
    path = Fixtures.copy!(:baileys, tmp)
    :ok = :file.write_file(path <> "/" <> <<"note-", 0xFF>>, "")
    assert {:ok, %{foreign: [name]}} = Inspection.inspect_directory(path)
    assert String.valid?(name)
  end

  test "tells whose store has claimed the directory", %{tmp: tmp} do
    path = Fixtures.copy!(:native, tmp)
    assert {:ok, %{owner: nil}} = Inspection.inspect_directory(path)
    {:ok, pid} = BaileysEx.Auth.KeyStore.start_link(persistence_context: path)
    assert {:ok, %{owner: owner, foreign: []}} = Inspection.inspect_directory(path)
    assert {owner.os_process, owner.counter} == {System.pid(), 1}
    GenServer.stop(pid)
    assert {:ok, %{owner: nil}} = Inspection.inspect_directory(path)
  end

  test "holds no key material", %{tmp: tmp} do
    path = Fixtures.copy!(:native, tmp)
    {:ok, state} = NativeFilePersistence.load_credentials(path)
    {:ok, report} = Inspection.inspect_directory(path)
    printed = inspect(report, limit: :infinity, printable_limit: :infinity)

    for secret <- [state.noise_key.private, state.signed_identity_key.private] do
      refute printed =~ Base.encode64(secret)
      refute printed =~ inspect(secret)
    end

    refute printed =~ state.adv_secret_key
  end
end
