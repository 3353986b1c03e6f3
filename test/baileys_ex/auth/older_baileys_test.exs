defmodule BaileysEx.Auth.OlderBaileysTest do
  # Directories as versions of Baileys before 6.7.19 leave them. test/interop_test.exs uses those versions
  # themselves.
  use ExUnit.Case, async: true

  import BaileysEx.Auth.TempDir
  import ExUnit.CaptureIO

  alias BaileysEx.Auth.{
    CLI,
    FilePersistence,
    KeyStore,
    NativeFilePersistence,
    PersistenceMigration,
    State
  }

  alias BaileysEx.Auth.CLI.Terminal
  alias BaileysEx.Signal.Group.SenderKeyRecord
  alias BaileysEx.Test.JSON

  setup :setup_temp_dir

  setup %{tmp: tmp} do
    source = Path.join(tmp, "source")
    :ok = FilePersistence.save_credentials(source, State.new())
    %{source: source, native: Path.join(tmp, "native"), back: Path.join(tmp, "back")}
  end

  @group "120363041234567890@g.us"

  defp file(path, author, device \\ 0) do
    Path.join(path, "sender-key-#{@group}--#{author}--#{device}.json")
  end

  defp id(author, device \\ 0), do: "#{@group}::#{author}::#{device}"

  defp write(path, author, json), do: File.write!(file(path, author), JSON.encode(json))

  defp state(id, spell, rest \\ %{}) do
    Map.merge(
      %{
        "senderKeyId" => id,
        "senderChainKey" => %{"iteration" => 0, "seed" => spell.(<<id::256>>)},
        "senderSigningKey" => %{"public" => spell.(<<5, id::256>>)}
      },
      rest
    )
  end

  defp text(bytes), do: Base.encode64(bytes)
  defp tagged(bytes), do: %{"type" => "Buffer", "data" => Base.encode64(bytes)}

  defp migrate_by_hand(arguments) do
    capture_io(fn -> assert CLI.run(["migrate" | arguments], Terminal.plain()) == 0 end)
  end

  test "a key without its list of skipped keys is read and migrated", context do
    write(context.source, 1, [state(7, &text/1)])
    write(context.source, 2, %{"MAX_STATES" => 5, "senderKeyStates" => []})

    for author <- [1, 2] do
      assert {:ok, %SenderKeyRecord{} = record} =
               FilePersistence.load_keys(context.source, :"sender-key", id(author))

      assert SenderKeyRecord.empty?(record) == (author == 2)
    end

    assert {:ok, %{migrated_keys: 2, dropped: []}} =
             PersistenceMigration.migrate_compat_json_to_native(context.source, context.native)

    assert {:ok, %SenderKeyRecord{sender_key_states: [%{sender_key_id: 7} = state]}} =
             NativeFilePersistence.load_keys(context.native, :"sender-key", id(1))

    assert state.sender_message_keys == []
  end

  test "elements without a key are left out, and the summary says of which file", context do
    skipped = [nil, %{}, %{"iteration" => 3, "seed" => text(<<9::256>>)}, %{"iteration" => 4}]
    states = [nil, %{}, state(7, &text/1, %{"senderMessageKeys" => skipped})]
    write(context.source, 1, states)

    assert {:ok, %{migrated_keys: 1, skipped: [], dropped: [dropped]}} =
             PersistenceMigration.migrate_compat_json_to_native(context.source, context.native)

    assert dropped == %{file: Path.basename(file(context.source, 1)), elements: 5}

    assert {:ok, %SenderKeyRecord{sender_key_states: [state]}} =
             NativeFilePersistence.load_keys(context.native, :"sender-key", id(1))

    assert [%{iteration: 3}] = state.sender_message_keys
  end

  test "the command line tells of elements that were left out", context do
    write(context.source, 1, [nil, state(7, &tagged/1)])
    text = migrate_by_hand([context.source, context.native])
    assert text =~ "useless elements left out of (1)"
    assert text =~ "sender-key-#{@group}--1--0.json: 1 without a key"
  end

  describe "the form of group keys that was found is the form that is written:" do
    defp form(path) do
      case JSON.decode!(File.read!(path)) do
        %{"type" => "Buffer"} -> :buffer
        [%{"senderChainKey" => %{"seed" => seed}}] when is_binary(seed) -> :text
        [%{"senderChainKey" => %{"seed" => %{"type" => "Buffer"}}}] -> :array
        [] -> :array
      end
    end

    defp save_again(path, author) do
      {:ok, value} = FilePersistence.load_keys(path, :"sender-key", id(author))
      :ok = FilePersistence.save_keys(path, :"sender-key", id(author), value)
      value
    end

    test "saved again, each key keeps its own", context do
      write(context.source, 1, [state(1, &text/1)])
      write(context.source, 2, [state(2, &tagged/1)])
      write(context.source, 3, tagged(JSON.encode([state(3, &tagged/1)])))

      for {author, form} <- [{1, :text}, {2, :array}, {3, :buffer}] do
        value = save_again(context.source, author)
        assert form(file(context.source, author)) == form

        assert {:ok, ^value} =
                 FilePersistence.load_keys(context.source, :"sender-key", id(author))
      end
    end

    test "a new key takes that of its directory, whose default is today's", context do
      record = save_again_of(context, 1)
      :ok = FilePersistence.save_keys(context.source, :"sender-key", id(9), record)
      assert form(file(context.source, 9)) == :array

      # Baileys was updated in the meantime: the next start of a store checks the form again.
      write(context.source, 5, tagged(JSON.encode([state(5, &tagged/1)])))
      :ok = FilePersistence.recover(context.source)
      :ok = FilePersistence.save_keys(context.source, :"sender-key", id(10), record)
      assert form(file(context.source, 10)) == :buffer

      empty = Path.join(context.tmp, "empty")
      :ok = FilePersistence.save_keys(empty, :"sender-key", id(1), record)
      assert form(file(empty, 1)) == :buffer
    end

    defp save_again_of(context, author) do
      write(context.source, author, [state(author, &tagged/1)])
      save_again(context.source, author)
    end

    test "one that was deleted comes back in that of the directory", context do
      for author <- [1, 2], do: write(context.source, author, [state(author, &text/1)])
      {:ok, record} = FilePersistence.load_keys(context.source, :"sender-key", id(1))
      :ok = FilePersistence.delete_keys(context.source, :"sender-key", id(1))
      :ok = FilePersistence.save_keys(context.source, :"sender-key", id(1), record)
      assert form(file(context.source, 1)) == :array
    end

    test "a key store keeps it, and uses it for keys that it learns", context do
      write(context.source, 1, [state(1, &text/1)])

      options = [persistence_module: FilePersistence, persistence_context: context.source]
      spec = Supervisor.child_spec({KeyStore, options}, id: :store)
      store = KeyStore.wrap(start_supervised!(spec))
      %{} = found = KeyStore.get(store, :"sender-key", [id(1)])
      record = found[id(1)]
      :ok = KeyStore.set(store, %{"sender-key": %{id(1) => record, id(2) => record}})
      :ok = stop_supervised(:store)
      assert form(file(context.source, 1)) == :text
      assert form(file(context.source, 2)) == :array
    end

    test "native carries it, and the way back writes it", context do
      write(context.source, 1, [state(1, &text/1)])

      assert {:ok, %{sender_keys: :array}} =
               PersistenceMigration.migrate_compat_json_to_native(context.source, context.native)

      # The term does not contain the form, which nevertheless outlives saves.
      {:ok, record} = NativeFilePersistence.load_keys(context.native, :"sender-key", id(1))
      :ok = NativeFilePersistence.save_keys(context.native, :session, "a__b", %{})
      :ok = NativeFilePersistence.delete_keys(context.native, :session, "a__b")

      assert {:ok, %{sender_keys: :array}} =
               PersistenceMigration.migrate_native_to_compat_json(context.native, context.back)

      assert form(file(context.back, 1)) == :array
      assert {:ok, ^record} = FilePersistence.load_keys(context.back, :"sender-key", id(1))
    end

    test "on the way back the user may say which", context do
      write(context.source, 1, [state(1, &text/1)])
      migrate_by_hand([context.source, context.native])
      options = ["--to", "json", "--overwrite", "--sender-keys"]
      text = migrate_by_hand([context.native, context.back | options] ++ ["buffer"])
      assert text =~ "a Buffer, for Baileys 6.7.19 and later"
      assert form(file(context.back, 1)) == :buffer

      for form <- [:buffer, :array] do
        assert {:ok, %{sender_keys: ^form}} =
                 PersistenceMigration.migrate_native_to_compat_json(context.native, context.back,
                   sender_keys: form,
                   overwrite?: true
                 )

        assert form(file(context.back, 1)) == form
      end

      # The form is carried over even without any key, so that the first key is written correctly.
      :ok = NativeFilePersistence.delete_keys(context.native, :"sender-key", id(1))

      {:ok, %{sender_keys: :array}} =
        PersistenceMigration.migrate_native_to_compat_json(context.native, context.back,
          overwrite?: true
        )

      {:ok, record} = FilePersistence.load_keys(context.source, :"sender-key", id(1))
      :ok = FilePersistence.save_keys(context.back, :"sender-key", id(4), record)
      assert form(file(context.back, 4)) == :array
    end

    test "other values are refused with the choices", context do
      assert_raise ArgumentError,
                   "expected :sender_keys to be :array or :buffer, not :list",
                   fn ->
                     PersistenceMigration.migrate_native_to_compat_json("a", "b",
                       sender_keys: :list
                     )
                   end

      assert_raise ArgumentError, ":device_names is for migrations to JSON", fn ->
        PersistenceMigration.migrate_compat_json_to_native("a", "b", device_names: :old)
      end

      for {arguments, message} <- [
            {["--to", "json", "--sender-keys", "x"], "--sender-keys is array or buffer"},
            {["--to", "json", "--device-names", "x"], "--device-names is current or old"},
            {["--sender-keys", "array"], "go with --to json"}
          ] do
        assert capture_io(:stderr, fn ->
                 arguments = ["migrate", context.source, context.native | arguments]
                 assert CLI.run(arguments, Terminal.plain()) == 2
               end) =~ message
      end
    end
  end

  describe "devices under the names of Baileys before 6.4:" do
    setup context do
      # A session and a group key of device 3 of 15558880004, and of another device that has both names.
      fixtures = BaileysEx.Auth.Fixtures.path(:baileys)
      File.cp_r!(fixtures, context.source)
      session = File.read!(Path.join(context.source, "session-15559990002.0.json"))
      older = ~s({"_sessions":{},"version":"v1"})
      File.write!(Path.join(context.source, "session-15558880004-3.0.json"), session)
      File.write!(Path.join(context.source, "session-15558880005-4.0.json"), older)
      File.write!(Path.join(context.source, "session-15558880005.4.json"), session)
      write(context.source, "15558880004-3", [state(1, &tagged/1)])
      :ok
    end

    test "a migration brings them under the current ones, and says so", context do
      before = BaileysEx.Auth.Fixtures.files!(context.source)
      {:ok, expected} = FilePersistence.load_keys(context.source, :session, "15559990002.0")

      assert {:ok, summary} =
               PersistenceMigration.migrate_compat_json_to_native(context.source, context.native)

      assert summary.superseded == ["session-15558880005-4.0.json"]

      assert Enum.sort_by(summary.renamed, & &1.from) == [
               %{
                 from: "sender-key-#{@group}--15558880004-3--0.json",
                 to: "sender-key-#{@group}--15558880004--3.etf"
               },
               %{from: "session-15558880004-3.0.json", to: "session-15558880004.3.etf"}
             ]

      for id <- ["15558880004.3", "15558880005.4"] do
        assert {:ok, ^expected} = NativeFilePersistence.load_keys(context.native, :session, id)
      end

      assert {:ok, %{sender_key_states: [%{sender_key_id: 1}]}} =
               NativeFilePersistence.load_keys(
                 context.native,
                 :"sender-key",
                 id(15_558_880_004, 3)
               )

      {:ok, listed} = NativeFilePersistence.list_keys(context.native)
      refute Enum.any?(listed.session, &String.contains?(&1, "-"))

      assert BaileysEx.Auth.Fixtures.files!(context.source) == before
    end

    test "the way back keeps the current ones, or gives the old ones when asked", context do
      File.rm!(Path.join(context.source, "session-15558880005-4.0.json"))
      text = migrate_by_hand([context.source, context.native])
      assert text =~ "session-15558880004-3.0.json is session-15558880004.3.etf"

      {:ok, %{renamed: []}} =
        PersistenceMigration.migrate_native_to_compat_json(context.native, context.back)

      assert File.exists?(Path.join(context.back, "session-15558880004.3.json"))
      assert File.exists?(file(context.back, 15_558_880_004, 3))

      migrate_by_hand(
        [context.native, context.back] ++
          ["--to", "json", "--overwrite", "--device-names", "old"]
      )

      for name <- ["session-15558880004-3.0.json", "session-15559990002.0.json"] do
        assert File.exists?(Path.join(context.back, name))
      end

      assert File.exists?(file(context.back, "15558880004-3"))
      refute File.exists?(Path.join(context.back, "session-15558880004.3.json"))
    end
  end

  test "keys of a fork's own families are listed as they are migrated", context do
    jid = "15559990002@s.whatsapp.net"
    name = "contacts-tc-token-#{jid}"

    File.write!(
      Path.join(context.source, name <> ".json"),
      ~s({"token":{"type":"Buffer","data":"/w=="}})
    )

    listed = %{"contacts-tc-token" => [jid]}
    assert {:ok, ^listed} = FilePersistence.list_keys(context.source)

    {:ok, %{families: %{"contacts-tc-token" => 1}}} =
      PersistenceMigration.migrate_compat_json_to_native(context.source, context.native)

    assert {:ok, ^listed} = NativeFilePersistence.list_keys(context.native)

    # A copy that follows the list loses none of them, and their names stay.
    {:ok, value} = NativeFilePersistence.load_keys(context.native, "contacts-tc-token", jid)
    assert value == %{"token" => <<255>>}
    :ok = FilePersistence.save_keys(context.back, "contacts-tc-token", jid, value)
    assert File.exists?(Path.join(context.back, name <> ".json"))
    assert {:ok, ^listed} = FilePersistence.list_keys(context.back)
    :ok = FilePersistence.delete_keys(context.back, "contacts-tc-token", jid)
    assert {:ok, empty} = FilePersistence.list_keys(context.back)
    assert empty == %{}
  end
end
