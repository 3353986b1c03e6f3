defmodule BaileysEx.Auth.Inspection.GrowthTest do
  # Everything that accumulates in a directory: keys by age, pre-keys made and used, sessions by last use, and
  # the number of expected keys.
  use ExUnit.Case, async: true

  import BaileysEx.Auth.TempDir

  alias BaileysEx.Auth.{
    FilePersistence,
    Fixtures,
    Inspection,
    NativeFilePersistence,
    State
  }

  doctest BaileysEx.Auth.Inspection.Growth
  doctest BaileysEx.Auth.Inspection.PreKeys
  doctest BaileysEx.Auth.Inspection.WarnAbove

  setup :setup_temp_dir

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

  test "reports when pre-keys were made, even used ones, as far as files show it", %{
    tmp: tmp
  } do
    path = Path.join(tmp, "auth")
    now = System.os_time(:second)
    days = &(now - &1 * 86_400)

    # Three uploads: 1 to 30 long ago, 31 to 60 twelve days ago, and 61 to 65 an hour ago. 66 is not uploaded.
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
    # 30 and 31 were made between 50 and 12 days ago. No file shows when exactly.
    assert pre_keys.ages.used == %{day: 1, week: 0, month: 1, older: 2, unknown: 2}
    assert pre_keys.ages.unused == %{day: 4, week: 0, month: 28, older: 27, unknown: 0}
    assert pre_keys.ages.made == %{day: 6, week: 0, month: 29, older: 29, unknown: 2}

    # The newest and the oldest have a neighbour on one side only.
    for id <- [1, 65, 66], do: File.rm!(Path.join(path, "pre-key-#{id}.json"))
    {:ok, %{pre_keys: pre_keys}} = Inspection.inspect_directory(path)
    assert pre_keys.ages.used == %{day: 2, week: 0, month: 1, older: 3, unknown: 2}

    # A copy that has mixed up the times says nothing about the keys in between.
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

    # A file that a commit in the journal has deleted is not a pre-key.
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

  # As libsignal leaves it or, with nil, baileys_ex.
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

  test "an invalid number of expected keys is refused before anything is read", %{tmp: tmp} do
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
end
