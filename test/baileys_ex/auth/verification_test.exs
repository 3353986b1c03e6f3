defmodule BaileysEx.Auth.VerificationTest do
  # Native directories may contain any plain term. A term that loads as it was saved is not damaged.
  use ExUnit.Case, async: true

  import BaileysEx.Auth.TempDir

  alias BaileysEx.Auth.{DamagedDirectoryError, FilePersistence, Fixtures, NativeFilePersistence}
  alias BaileysEx.Auth.{PersistenceMigration, State}
  alias BaileysEx.Signal.SessionRecord

  setup :setup_temp_dir

  # Terms for which Rust has no value, or JSON no form.
  @strange [%{{1, 2} => 3}, %{1.5 => 1}, [1 | 2], Integer.pow(2, 200), %{~c"ab" => {:a, :b}}]

  test "a term that only Erlang can hold is no damage", %{tmp: tmp} do
    for {strange, n} <- Enum.with_index(@strange) do
      state = State.new(additional_data: strange)
      :ok = NativeFilePersistence.save_credentials(tmp, state)
      :ok = NativeFilePersistence.save_keys(tmp, :future, n, strange)
      assert NativeFilePersistence.load_credentials(tmp) == {:ok, state}
    end

    assert {:ok, %{credentials?: true, families: %{future: 5}}} =
             NativeFilePersistence.verify(tmp)
  end

  test "members that a later runtime adds are no damage", %{tmp: tmp} do
    me = %{id: "1@s.whatsapp.net", img_url: "changed"}
    later = Map.put(State.new(me: me), :later, :field)
    write(tmp, "creds.etf", later)

    {:ok, %SessionRecord{sessions: sessions} = record} =
      FilePersistence.load_keys(Fixtures.path(:baileys), :session, "15559990002.0")

    sessions = Map.new(sessions, fn {key, session} -> {key, Map.put(session, :later, 1)} end)
    :ok = NativeFilePersistence.save_keys(tmp, :session, "1.0", %{record | sessions: sessions})

    assert {:ok, %{unknown_fields: %{"later" => :field}}} =
             NativeFilePersistence.load_credentials(tmp)

    assert {:ok, %{credentials?: true, families: %{session: 1}}} =
             NativeFilePersistence.verify(tmp)
  end

  test "a map of a state's fields is not damage, because it loads", %{tmp: tmp} do
    state = State.new()
    write(tmp, "creds.etf", Map.from_struct(state))
    assert NativeFilePersistence.load_credentials(tmp) == {:ok, state}
    assert {:ok, %{credentials?: true}} = NativeFilePersistence.verify(tmp)
  end

  test "a known member of a wrong type or length is damage", %{tmp: tmp} do
    for {type, term} <- [
          "pre-key": %{public: <<1::256>>, private: <<2::248>>},
          session: %{a: 1},
          "app-state-sync-version": [1 | 2],
          "identity-key": Integer.pow(2, 200)
        ] do
      :ok = NativeFilePersistence.save_keys(tmp, type, "1", term)
    end

    assert {:error, %DamagedDirectoryError{files: files}} = NativeFilePersistence.verify(tmp)
    assert length(files) == 4
  end

  test "a field of a later version goes to JSON and comes back", %{tmp: tmp} do
    source = Path.join(tmp, "native")
    write(source, "creds.etf", Map.put(State.new(), :later, %{"a" => 1}))
    json = Path.join(tmp, "json")
    assert {:ok, _} = PersistenceMigration.migrate_native_to_compat_json(source, json)

    assert {:ok, %State{unknown_fields: %{"later" => %{"a" => 1}}}} =
             FilePersistence.load_credentials(json)
  end

  defp write(directory, name, term) do
    File.mkdir_p!(directory)
    File.write!(Path.join(directory, name), :erlang.term_to_binary(term))
  end
end
