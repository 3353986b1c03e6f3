defmodule BaileysEx.Auth.OlderBaileysTest do
  # Directories as versions of Baileys before 6.7.19 leave them. With those versions themselves:
  # test/interop_test.exs.
  use ExUnit.Case, async: true

  import BaileysEx.Auth.TempDir
  import ExUnit.CaptureIO

  alias BaileysEx.Auth.{CLI, FilePersistence, NativeFilePersistence, PersistenceMigration, State}
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
end
