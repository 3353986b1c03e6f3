defmodule BaileysEx.InteropTest do
  # The real Baileys, beside this library, on the same directories. test/interop/README.md describes the
  # scripts.
  use ExUnit.Case, async: true

  alias BaileysEx.Auth.{
    FilePersistence,
    NativeFilePersistence,
    PersistenceMigration,
    PostgresPersistence,
    State
  }

  alias BaileysEx.Auth.Postgres.Schema
  alias BaileysEx.Protocol.Proto.ADVSignedDeviceIdentity
  alias BaileysEx.Signal.Curve
  alias BaileysEx.Test.{Baileys, JSON, Oddities, PostgresDriver, PostgresServer}

  import BaileysEx.Auth.TempDir

  @moduletag :interop
  @moduletag timeout: 180_000

  with {:error, reason} <- Baileys.available() do
    IO.puts(:stderr, "NOT RUN, the tests with the real Baileys: #{reason}")
    @moduletag skip: reason
  end

  @versions ["7.0.0-rc14", "6.7.21"]

  # Baileys 7 cannot read a skipped group message after it has written the sender key once.
  @loses_late_group_messages ["7.0.0-rc14"]

  setup_all do
    Baileys.install()
    {:ok, tmp: root} = setup_temp_dir(%{})
    worlds = Map.new(@versions, &{&1, Path.join(root, &1)})
    Baileys.run_all(for {version, world} <- worlds, do: {"make.mjs", [version, world]})
    %{worlds: worlds}
  end

  setup :setup_temp_dir

  # Each test has its own copy of the version's world.
  setup %{version: version, worlds: worlds, tmp: tmp} do
    world = Path.join(tmp, "world")
    File.cp_r!(worlds[version], world)
    %{world: world, account: Path.join(world, "account")}
  end

  for version <- @versions do
    describe "Baileys #{version}" do
      @describetag version: version

      test "and this library read each other's signed device identity", %{version: version} do
        for {details, signature} <- [{"details", <<7::512>>}, {:binary.copy("d", 300), nil}] do
          identity = %ADVSignedDeviceIdentity{
            details: details,
            account_signature_key: <<1::256>>,
            account_signature: signature,
            device_signature: <<2::512>>
          }

          encoded = ADVSignedDeviceIdentity.encode(identity)

          members = %{
            "details" => hex(details),
            "accountSignatureKey" => hex(identity.account_signature_key),
            "accountSignature" => hex(signature),
            "deviceSignature" => hex(identity.device_signature)
          }

          arguments = [version, JSON.encode(members), hex(encoded)]
          theirs = Baileys.run("identity_protobuf.mjs", arguments)
          assert theirs["decoded"] == members
          assert theirs["encoded"] == hex(encoded)

          assert ADVSignedDeviceIdentity.decode(Base.decode16!(theirs["encoded"], case: :lower)) ==
                   {:ok, identity}
        end
      end

      test "on its own reads its directory again", %{version: version} = context do
        reports = read_and_answer(version, context.account, context.world)
        print(version, "Node alone", context.account, reports)

        {late, others} = pop_counts(reports.read, "group late")
        assert all_read?(others)
        assert all_read?(reports.answer)
        assert {expected_late, n} = late
        assert n > 0
        assert expected_late == if(version in @loses_late_group_messages, do: 0, else: n)
      end

      test "reads everything that was loaded and saved into a new JSON directory",
           %{version: version} = context do
        target = Path.join(context.tmp, "saved")
        copy(FilePersistence, context.account, target)

        assert_same_to_baileys(version, context.account, target)
        assert_everything_read(version, "Node -> Elixir -> Node, saved as JSON", target, context)
      end

      test "reads everything that was migrated to native and back",
           %{version: version} = context do
        native = Path.join(context.tmp, "native")
        back = Path.join(context.tmp, "back")
        before = fingerprint(context.account)

        {:ok, there} = PersistenceMigration.migrate_compat_json_to_native(context.account, native)
        copy(NativeFilePersistence, native, native)
        {:ok, again} = PersistenceMigration.migrate_native_to_compat_json(native, back)

        assert there.migrated_keys == again.migrated_keys
        assert there.migrated_keys == context.account |> key_files() |> length()
        assert fingerprint(context.account) == before, "the source was changed"
        assert_same_to_baileys(version, context.account, back)
        assert_everything_read(version, "Node -> native -> JSON -> Node", back, context)
      end

      test "reads everything of a directory as odd as users have brought",
           %{version: version, account: account} = context do
        {:ok, %{"pre-key": ids}} = FilePersistence.list_keys(account)
        :ok = Oddities.bring!(account)
        assert {:error, :not_found} = FilePersistence.load_keys(account, :"pre-key", 999_001)
        before = fingerprint(account)

        saved = Path.join(context.tmp, "saved")
        copy(FilePersistence, account, saved)
        {:ok, %{"pre-key": saved_ids}} = FilePersistence.list_keys(saved)
        assert Enum.sort(saved_ids) == Enum.sort(ids)
        assert_everything_read(version, "odd directory, saved as JSON", saved, context)

        native = Path.join(context.tmp, "native")
        back = Path.join(context.tmp, "back")
        {:ok, there} = PersistenceMigration.migrate_compat_json_to_native(account, native)
        assert Enum.sort(there.unknown) == ["messages.json", "oauth.json"]
        {:ok, _} = PersistenceMigration.migrate_native_to_compat_json(native, back)
        assert_everything_read(version, "odd directory, to native and back", back, context)

        assert fingerprint(account) == before, "the source was changed"
        # Harmless oddities are unchanged.
        creds = back |> Path.join("creds.json") |> File.read!() |> JSON.decode!()
        assert %{"pairingCode" => 12_345_678, "lastPropHash" => 7} = creds
      end

      @tag :postgres
      test "reads everything that was kept in PostgreSQL and came back",
           %{version: version} = context do
        server = PostgresServer.start!()
        connection = PostgresDriver.connect!(server)
        :ok = Schema.migrate(connection: connection)
        account = [connection: connection, account: version]
        back = Path.join(context.tmp, "back")

        {:ok, there} =
          PersistenceMigration.migrate(
            {FilePersistence, context.account},
            {PostgresPersistence, account}
          )

        copy(PostgresPersistence, account, account)

        {:ok, again} =
          PersistenceMigration.migrate({PostgresPersistence, account}, {FilePersistence, back})

        assert there.migrated_keys == again.migrated_keys
        assert_same_to_baileys(version, context.account, back)
        assert_everything_read(version, "Node -> PostgreSQL -> JSON -> Node", back, context)
      end

      test "goes on in a directory that Elixir changed in place, and Elixir after it",
           %{version: version, account: account} = context do
        changes = change_in_place(account)
        assert_node_sees(version, changes, context)

        continued = Baileys.run("continue.mjs", [version, account, context.world])
        assert all_read?(continued)
        assert_elixir_sees_what_node_did(version, changes, context)

        # Baileys has since written sender keys in its own form. Saved once more, it can read them.
        save_again(account, [:"sender-key", :session])
        direction = "Node -> Elixir -> Node -> Elixir -> Node, in place"
        assert_everything_read(version, direction, account, context, [continued])
      end

      test "opens a fresh identity and finds its signature valid",
           %{version: version} = context do
        dir = Path.join(context.tmp, "fresh")
        :ok = FilePersistence.save_credentials(dir, State.new())
        for id <- 1..3, do: :ok = FilePersistence.save_keys(dir, :"pre-key", id, pre_key())

        report = Baileys.run("verify_identity.mjs", [version, dir])
        print(version, "Elixir -> Node, fresh identity", dir, %{read: report})

        assert all_read?(report)
        assert report["of"]["first message"] == 4
      end
    end
  end

  @tag version: "6.7.21"
  test "Baileys 7.0.0-rc14 reads what 6.7.21 made and Elixir saved", context do
    target = Path.join(context.tmp, "saved")
    copy(FilePersistence, context.account, target)
    assert_same_to_baileys("7.0.0-rc14", context.account, target)
    direction = "Node 6.7.21 -> Elixir -> Node, saved as JSON"
    assert_everything_read("7.0.0-rc14", direction, target, context)
  end

  ## What Elixir does

  # Loads and saves everything, one by one, even from a directory into itself.
  defp hex(nil), do: nil
  defp hex(bytes), do: Base.encode16(bytes, case: :lower)

  defp copy(backend, source, target) do
    {:ok, state} = backend.load_credentials(source)
    {:ok, keys} = backend.list_keys(source)

    for {type, ids} <- keys, id <- ids do
      case backend.load_keys(source, type, id) do
        {:ok, value} -> :ok = backend.save_keys(target, type, id, value)
        # Its file holds null.
        {:error, :not_found} -> :ok
      end
    end

    :ok = backend.save_credentials(target, state)
  end

  defp save_again(dir, types) do
    {:ok, keys} = FilePersistence.list_keys(dir)

    changes =
      for type <- types, into: %{} do
        values =
          Map.new(keys[type], fn id ->
            {:ok, value} = FilePersistence.load_keys(dir, type, id)
            {id, value}
          end)

        {type, values}
      end

    :ok = FilePersistence.commit_keys(dir, changes)
  end

  # Makes single saves, deletions, a batch, and saves the credentials. Returns what Node.js should find.
  defp change_in_place(dir) do
    {:ok, state} = FilePersistence.load_credentials(dir)
    new_pair = pre_key()
    {:ok, moved} = FilePersistence.load_keys(dir, :"pre-key", 33)

    :ok = FilePersistence.delete_keys(dir, :"pre-key", 30)
    :ok = FilePersistence.save_keys(dir, :"pre-key", 4001, new_pair)
    save_again(dir, [:session, :"sender-key"])

    :ok =
      FilePersistence.commit_keys(dir, %{
        :"pre-key" => %{"31" => nil, "4002" => moved},
        :"lid-mapping" => %{
          "15550009999" => "900000009999",
          "900000009999_reverse" => "15550009999"
        },
        :"sender-key-memory" => %{"120363999999999999@g.us" => %{"1555@s.whatsapp.net" => true}}
      })

    :ok = FilePersistence.save_credentials(dir, %{state | platform: "elixir"})
    %{state: state, new_pair: new_pair, moved: moved}
  end

  defp pre_key do
    %{public: public, private: private} = Curve.generate_key_pair()
    %{public: public, private: private}
  end

  ## What Node finds

  defp assert_node_sees(version, changes, context) do
    found =
      node_get(version, context, %{
        "pre-key" => ["30", "31", "32", "4001", "4002"],
        "lid-mapping" => ["15550009999", "900000009999_reverse"],
        "sender-key-memory" => ["120363999999999999@g.us"]
      })

    keys = found["keys"]
    assert %{"30" => nil, "31" => nil, "32" => %{}} = keys["pre-key"]
    assert keys["pre-key"]["4001"] == baileys_pair(changes.new_pair)
    assert keys["pre-key"]["4002"] == baileys_pair(changes.moved)

    assert keys["lid-mapping"] ==
             %{"15550009999" => "900000009999", "900000009999_reverse" => "15550009999"}

    assert keys["sender-key-memory"]["120363999999999999@g.us"] ==
             %{"1555@s.whatsapp.net" => true}

    assert found["creds"]["platform"] == "elixir"
    original = Path.join(context.worlds[version], "account")
    changed = changed_digests(version, original, context.account)

    assert changed == [
             "creds.platform",
             "lid-mapping-15550009999.json",
             "lid-mapping-900000009999_reverse.json",
             "pre-key-30.json",
             "pre-key-31.json",
             "pre-key-4001.json",
             "pre-key-4002.json",
             "sender-key-memory-120363999999999999@g.us.json"
           ]
  end

  defp node_get(version, context, request) do
    file = Path.join(context.tmp, "request.json")
    File.write!(file, JSON.encode(request))
    Baileys.run("get.mjs", [version, context.account, file])
  end

  defp node_set(version, context, changes) do
    file = Path.join(context.tmp, "changes.json")
    File.write!(file, JSON.encode(changes))
    Baileys.run("set.mjs", [version, context.account, file])
  end

  defp baileys_pair(%{public: public, private: private}) do
    %{"public" => buffer(public), "private" => buffer(private)}
  end

  defp buffer(bytes), do: %{"type" => "Buffer", "data" => Base.encode64(bytes)}

  ## What Elixir finds after Node

  defp assert_elixir_sees_what_node_did(version, changes, %{account: account} = context) do
    {:ok, state} = FilePersistence.load_credentials(account)
    assert state.account_sync_counter == changes.state.account_sync_counter + 1
    assert state.next_pre_key_id == changes.state.next_pre_key_id + 5
    assert state.platform == "elixir"
    assert state.unknown_fields == changes.state.unknown_fields
    assert state.signed_identity_key == changes.state.signed_identity_key

    {:ok, keys} = FilePersistence.list_keys(account)
    pre_keys = keys[:"pre-key"]
    assert "4001" in pre_keys
    for id <- 41..45, do: assert(to_string(id) in pre_keys)
    # Deleted by Elixir, or used up by a first message that Node.js has read.
    for id <- ["30", "31", "20"] do
      refute id in pre_keys
      assert {:error, :not_found} = FilePersistence.load_keys(account, :"pre-key", id)
    end

    token = :crypto.strong_rand_bytes(16)

    node_set(version, context, %{
      "creds" => %{"lastPropHash" => "fromNode"},
      "keys" => %{
        "tctoken" => %{"1555@lid" => %{"token" => buffer(token), "timestamp" => "17"}},
        "lid-mapping" => %{"15550009999" => nil}
      }
    })

    assert {:ok, %{token: ^token, timestamp: "17", sender_timestamp: nil}} =
             FilePersistence.load_keys(account, :tctoken, "1555@lid")

    assert {:error, :not_found} =
             FilePersistence.load_keys(account, :"lid-mapping", "15550009999")

    assert {:ok, %{last_prop_hash: "fromNode", platform: "elixir"}} =
             FilePersistence.load_credentials(account)
  end

  ## Comparing and counting

  defp assert_same_to_baileys(version, source, target) do
    assert changed_digests(version, source, target) == []
    assert key_files(source) == key_files(target)
  end

  defp changed_digests(version, one, other) do
    [before, later] = Baileys.run_all(for dir <- [one, other], do: {"digest.mjs", [version, dir]})

    assert map_size(before) > 60

    (Map.keys(before) ++ Map.keys(later))
    |> Enum.uniq()
    |> Enum.filter(&(before[&1] != later[&1]))
    |> Enum.sort()
  end

  defp key_files(dir) do
    for file <- dir |> File.ls!() |> Enum.sort(),
        Path.extname(file) == ".json",
        not String.starts_with?(file, "."),
        file != "creds.json",
        do: file
  end

  defp fingerprint(dir) do
    Map.new(File.ls!(dir), &{&1, dir |> Path.join(&1) |> File.read!()})
  end

  defp assert_everything_read(version, direction, dir, context, earlier \\ []) do
    reports = read_and_answer(version, dir, context.world)
    print(version, direction, dir, Map.put(reports, :earlier, earlier))
    assert all_read?(reports.read)
    assert all_read?(reports.answer)
    assert reports.read["of"]["group late"] >= 15
    assert reports.read["of"]["direct late"] >= 11
    assert reports.read["of"]["direct closed"] == 4
  end

  defp read_and_answer(version, dir, world) do
    [read, answer] =
      Baileys.run_all(
        for script <- ["read.mjs", "answer.mjs"], do: {script, [version, dir, world]}
      )

    %{read: read, answer: answer}
  end

  # All messages of every kind were read, and there was at least one.
  defp all_read?(%{"read" => read, "of" => of, "failures" => failures}) do
    assert failures == []
    map_size(of) > 0 and read == of
  end

  defp pop_counts(%{"read" => read, "of" => of} = report, kind) do
    others = %{
      "read" => Map.delete(read, kind),
      "of" => Map.delete(of, kind),
      "failures" => Enum.reject(report["failures"], &(&1["kind"] == kind))
    }

    {{read[kind], of[kind]}, others}
  end

  # The README's table is made of these lines.
  defp print(version, direction, dir, reports) do
    counts =
      [reports[:earlier] || [], reports.read, reports[:answer]]
      |> List.flatten()
      |> Enum.reject(&is_nil/1)
      |> Enum.flat_map(fn %{"read" => read, "of" => of} ->
        for {kind, total} <- Enum.sort(of), do: "#{kind} #{read[kind]}/#{total}"
      end)

    IO.puts(
      "interop: Baileys #{version} | #{direction} | #{length(key_files(dir))} keys | " <>
        Enum.join(counts, ", ")
    )
  end
end
