defmodule BaileysEx.Hostile.BroughtTest do
  # Files that users have had: none of their oddities makes an account unreadable, and everything that was
  # found is preserved.
  use ExUnit.Case, async: true

  import BaileysEx.Auth.TempDir

  alias BaileysEx.Auth.{
    FilePersistence,
    Fixtures,
    KeyStore,
    NativeFilePersistence,
    PersistenceMigration,
    State
  }

  alias BaileysEx.Test.JSON

  @brought Path.expand("../fixtures/brought", __DIR__)

  setup :setup_temp_dir

  setup %{tmp: tmp} do
    {:ok, path: Fixtures.copy!(:baileys, tmp)}
  end

  for {file, member} <- [
        {"creds-numeric-pairing-code.json", "pairingCode"},
        {"creds-byte-order-mark.json", "registrationId"},
        {"creds-bytes-as-array.json", "routingInfo"},
        {"creds-counters-as-text.json", "nextPreKeyId"}
      ] do
    test "#{file} is loaded, saved by both backends, and #{member} is there again", context do
      %{path: path, tmp: tmp} = context
      bring(unquote(file), path, "creds.json")
      assert {:ok, %State{} = state} = FilePersistence.load_credentials(path)
      assert {:ok, _report} = FilePersistence.verify(path)

      again = Path.join(tmp, "again")
      assert :ok = FilePersistence.save_credentials(again, state)
      assert FilePersistence.load_credentials(again) == {:ok, state}
      assert json(again)[unquote(member)] != nil

      native = Path.join(tmp, "native")
      assert :ok = NativeFilePersistence.save_credentials(native, state)
      assert NativeFilePersistence.load_credentials(native) == {:ok, state}
      assert {:ok, _report} = NativeFilePersistence.verify(native)

      migrated = Path.join(tmp, "migrated")
      assert {:ok, _} = PersistenceMigration.migrate_compat_json_to_native(path, migrated)
      assert NativeFilePersistence.load_credentials(migrated) == {:ok, state}
      returned = Path.join(tmp, "returned")
      assert {:ok, _} = PersistenceMigration.migrate_native_to_compat_json(migrated, returned)
      assert FilePersistence.load_credentials(returned) == {:ok, state}
    end
  end

  test "a numeric pairing code stays the number that it was", %{path: path, tmp: tmp} do
    bring("creds-numeric-pairing-code.json", path, "creds.json")
    {:ok, state} = FilePersistence.load_credentials(path)
    assert is_integer(state.pairing_code)
    again = Path.join(tmp, "again")
    :ok = FilePersistence.save_credentials(again, state)
    assert json(again)["pairingCode"] == state.pairing_code
  end

  for {file, name, type, id} <- [
        {"session-chain-without-skipped-keys.json", "session-15559990002.0.json", :session,
         "15559990002.0"},
        {"tctoken-numeric-timestamp.json", "tctoken-15559990002@s.whatsapp.net.json", :tctoken,
         "15559990002@s.whatsapp.net"}
      ] do
    test "#{file} is loaded, and saved again by both backends", %{path: path, tmp: tmp} do
      bring(unquote(file), path, unquote(name))
      assert {:ok, value} = FilePersistence.load_keys(path, unquote(type), unquote(id))
      assert {:ok, _report} = FilePersistence.verify(path)

      for {backend, name} <- [{FilePersistence, "json"}, {NativeFilePersistence, "native"}] do
        again = Path.join(tmp, name)
        assert :ok = backend.save_keys(again, unquote(type), unquote(id), value)
        assert backend.load_keys(again, unquote(type), unquote(id)) == {:ok, value}
      end
    end
  end

  test "a key file that holds null is a key that was deleted", %{path: path, tmp: tmp} do
    bring("lid-mapping-null.json", path, "lid-mapping-15550000001.json")
    assert FilePersistence.load_keys(path, :"lid-mapping", "15550000001") == {:error, :not_found}
    assert {:ok, _report} = FilePersistence.verify(path)
    target = Path.join(tmp, "native")
    assert {:ok, _} = PersistenceMigration.migrate_compat_json_to_native(path, target)
    refute File.exists?(Path.join(target, "lid-mapping-15550000001.etf"))

    {:ok, pid} =
      KeyStore.start_link(persistence_module: FilePersistence, persistence_context: path)

    assert KeyStore.get(KeyStore.wrap(pid), :"lid-mapping", ["15550000001"]) == %{}
    :ok = FilePersistence.save_keys(path, :"lid-mapping", "15550000001", "9")
    assert FilePersistence.load_keys(path, :"lid-mapping", "15550000001") == {:ok, "9"}
  end

  test "credentials that are null are no fresh identity", %{path: path} do
    File.write!(Path.join(path, "creds.json"), "null")
    assert {:error, _reason} = FilePersistence.load_credentials(path)
  end

  test "what happened to a file is said", %{path: path} do
    for {file, told} <- [
          {"creds-tail-of-an-older-write.json", "holds a whole document, and after it"},
          {"creds-filled-with-zeros.json", "is filled with zero bytes"}
        ] do
      bring(file, path, "creds.json")
      assert {:error, %{problem: problem}} = FilePersistence.load_credentials(path)
      assert problem =~ told
    end

    whole = File.read!(Path.join(Fixtures.path(:baileys), "creds.json"))
    zeros = <<0::size(4096)>>

    for {bytes, told} <- [
          {whole <> zeros, "after it 512 zero bytes"},
          {binary_part(whole, 0, 500) <> zeros, "is cut off, and filled up with zero bytes"},
          {binary_part(whole, 0, 500), "is cut off: the JSON ends too early"},
          {"", "is empty"}
        ] do
      File.write!(Path.join(path, "creds.json"), bytes)
      assert {:error, %{problem: problem}} = FilePersistence.load_credentials(path)
      assert problem =~ told
    end
  end

  test "records of clients on protobuf are named as such", %{path: path} do
    record = <<10, 5, 8, 3, 18, 1, 7, 16, 9>>
    buffer = ~s({"type":"Buffer","data":"#{Base.encode64(record)}"})
    session = Path.join(path, "session-15559990002.0.json")
    group = Path.join(path, "sender-key-1@g.us--155--7.json")

    for content <- [buffer, record, ~s("#{Base.encode64(record)}")] do
      File.write!(session, content)
      File.write!(group, content)

      for {type, id} <- [session: "15559990002.0", "sender-key": "1@g.us::155::7"] do
        assert {:error, %{problem: problem}} = FilePersistence.load_keys(path, type, id)
        assert problem =~ "a record in protobuf", content
      end
    end
  end

  describe "useless elements cost themselves, not the whole:" do
    for {what, name, type, id, spoil} <- [
          {"sessions", "session-15559990002.0.json", :session, "15559990002.0",
           quote do
             fn json ->
               {key, whole} = json["_sessions"] |> Enum.max_by(&map_size(elem(&1, 1)["_chains"]))
               {chain_key, chain} = Enum.at(whole["_chains"], 0)
               more = %{"7" => nil, "8" => ""}
               chain = Map.update(chain, "messageKeys", more, &Map.merge(&1, more))

               chains =
                 whole["_chains"]
                 |> Map.put(chain_key, chain)
                 |> Map.merge(%{
                   "YQ==" => nil,
                   "Yg==" => %{"chainType" => 2, "messageKeys" => %{}}
                 })

               useless = %{
                 ((<<5>> <> <<1::256>>) |> Base.encode64()) => nil,
                 ((<<5>> <> <<2::256>>) |> Base.encode64()) => %{"registrationId" => 5}
               }

               sessions = Map.put(json["_sessions"], key, %{whole | "_chains" => chains})
               %{json | "_sessions" => Map.merge(sessions, useless)}
             end
           end},
          {"values of an index", "app-state-sync-version-regular_high.json",
           :"app-state-sync-version", "regular_high",
           quote do
             fn json ->
               useless = %{"a" => nil, "b" => %{}, "c" => %{"valueMac" => ""}}
               %{json | "indexValueMap" => Map.merge(json["indexValueMap"], useless)}
             end
           end}
        ] do
      test "#{what}", %{path: path, tmp: tmp} do
        file = Path.join(path, unquote(name))
        {:ok, whole} = FilePersistence.load_keys(path, unquote(type), unquote(id))
        spoil = unquote(spoil)
        spoilt = file |> File.read!() |> JSON.decode!() |> spoil.()
        File.write!(file, JSON.encode(spoilt))

        assert FilePersistence.load_keys(path, unquote(type), unquote(id)) == {:ok, whole}
        assert {:ok, _report} = FilePersistence.verify(path)
        native = Path.join(tmp, "native")

        assert {:ok, %{dropped: [%{file: unquote(name), elements: dropped}], skipped: []}} =
                 PersistenceMigration.migrate_compat_json_to_native(path, native)

        assert dropped >= 3
        assert NativeFilePersistence.load_keys(native, unquote(type), unquote(id)) == {:ok, whole}

        # A damaged key is not a useless one.
        damaged = %{"valueMac" => "AQID", "chainKey" => %{"key" => "AQID"}}
        deeper = if unquote(type) == :session, do: "_sessions", else: "indexValueMap"
        name = if deeper == "_sessions", do: Base.encode64(<<5>> <> <<3::256>>), else: "d"
        File.write!(file, JSON.encode(put_in(spoilt, [deeper, name], damaged)))
        assert {:error, _damaged} = FilePersistence.load_keys(path, unquote(type), unquote(id))
      end
    end

    test "signal identities, and history", %{path: path} do
      {:ok, whole} = FilePersistence.load_credentials(path)
      creds = Path.join(path, "creds.json")
      json = JSON.decode!(File.read!(creds))
      history = [nil, 5, %{"messageTimestamp" => "7"}]

      spoilt =
        json
        |> Map.update!("signalIdentities", &([nil, %{}] ++ &1))
        |> Map.put("processedHistoryMessages", history)

      File.write!(creds, JSON.encode(spoilt))
      assert {:ok, state} = FilePersistence.load_credentials(path)
      assert state.signal_identities == whole.signal_identities
      # Carried over unchanged, because nothing needs it.
      :ok = FilePersistence.save_credentials(path, state)
      assert [nil, 5 | _rest] = json(path)["processedHistoryMessages"]
      assert FilePersistence.load_credentials(path) == {:ok, state}
    end
  end

  defp bring(file, path, name), do: File.cp!(Path.join(@brought, file), Path.join(path, name))
  defp json(path), do: JSON.decode!(File.read!(Path.join(path, "creds.json")))
end
