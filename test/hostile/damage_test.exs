defmodule BaileysEx.Hostile.DamageTest do
  # Everything that can be wrong with a file is reported, with the file and the reason, all at once.
  use ExUnit.Case, async: true

  import BaileysEx.Auth.TempDir

  alias BaileysEx.Auth.{
    CorruptFileError,
    DamagedDirectoryError,
    FilePersistence,
    Fixtures,
    NativeFilePersistence,
    PersistenceMigration
  }

  alias BaileysEx.Test.{JSON, Members}

  # Members of a length that is known; what `Members` finds in the fixtures is held against these.
  @native_keys ~w(
    app-state-sync-version.hash
    app-state-sync-version.index_value_map[].value_mac
    identity-key
    pre-key.private
    pre-key.public
    sender-key.sender_key_states[].sender_chain_key.seed
    sender-key.sender_key_states[].sender_message_keys[].cipher_key
    sender-key.sender_key_states[].sender_message_keys[].iv
    sender-key.sender_key_states[].sender_message_keys[].seed
    sender-key.sender_key_states[].sender_signing_key.private
    sender-key.sender_key_states[].sender_signing_key.public
    session.sessions[].chains[].chain_key.key
    session.sessions[].chains[].message_keys[]
    session.sessions[].current_ratchet.ephemeral_key_pair.private
    session.sessions[].current_ratchet.ephemeral_key_pair.public
    session.sessions[].current_ratchet.last_remote_ephemeral
    session.sessions[].current_ratchet.root_key
    session.sessions[].index_info.base_key
    session.sessions[].index_info.local_identity_key
    session.sessions[].index_info.remote_identity_key
    session.sessions[].pending_pre_key.base_key
  )
  @native_creds ~w(
    creds.noise_key.private
    creds.noise_key.public
    creds.pairing_ephemeral_key.private
    creds.pairing_ephemeral_key.public
    creds.signal_identities[].identifier_key
    creds.signed_identity_key.private
    creds.signed_identity_key.public
    creds.signed_pre_key.key_pair.private
    creds.signed_pre_key.key_pair.public
    creds.signed_pre_key.signature
  )
  @json_keys ~w(
    app-state-sync-version.hash.data
    app-state-sync-version.indexValueMap[].valueMac.data
    identity-key.data
    pre-key.private.data
    pre-key.public.data
    sender-key[].senderChainKey.seed.data
    sender-key[].senderMessageKeys[].seed.data
    sender-key[].senderSigningKey.private.data
    sender-key[].senderSigningKey.public.data
    session._sessions[]._chains[].chainKey.key
    session._sessions[]._chains[].messageKeys[]
    session._sessions[].currentRatchet.ephemeralKeyPair.privKey
    session._sessions[].currentRatchet.ephemeralKeyPair.pubKey
    session._sessions[].currentRatchet.lastRemoteEphemeralKey
    session._sessions[].currentRatchet.rootKey
    session._sessions[].indexInfo.baseKey
    session._sessions[].indexInfo.remoteIdentityKey
    session._sessions[].pendingPreKey.baseKey
  )
  @json_creds ~w(
    creds.noiseKey.private.data
    creds.noiseKey.public.data
    creds.pairingEphemeralKeyPair.private.data
    creds.pairingEphemeralKeyPair.public.data
    creds.signalIdentities[].identifierKey.data
    creds.signedIdentityKey.private.data
    creds.signedIdentityKey.public.data
    creds.signedPreKey.keyPair.private.data
    creds.signedPreKey.keyPair.public.data
    creds.signedPreKey.signature.data
  )

  setup :setup_temp_dir

  for {form, extension} <- [baileys: ".json", native: ".etf"] do
    describe "a #{extension} directory" do
      @describetag form: form, extension: extension
      setup %{tmp: tmp, form: form} do
        {:ok, path: Fixtures.copy!(form, tmp), backend: Fixtures.backend(form)}
      end

      test "that is whole says what it holds", %{backend: backend, path: path} do
        assert {:ok, report} = backend.verify(path)
        assert %{credentials?: true, ignored: [], bytes_read: bytes, families: families} = report
        assert families |> Map.values() |> Enum.sum() == 98
        assert bytes > 10_000
      end

      test "with empty and cut off files names every one of them", context do
        %{path: path, extension: extension} = context
        names = for name <- File.ls!(path), not String.starts_with?(name, "."), do: name

        # Every file of the directory, each in its own way.
        for {name, index} <- Enum.with_index(Enum.sort(names)) do
          file = Path.join(path, name)
          whole = File.read!(file)
          cut = rem(index * 7919, byte_size(whole))
          File.write!(file, if(rem(index, 5) == 0, do: "", else: binary_part(whole, 0, cut)))
        end

        assert Enum.sort(names) == damaged(context)
        assert ("creds" <> extension) in names
      end

      test "with files of another kind of content names every one of them", context do
        %{path: path, extension: extension} = context

        # A number fits no family, a list of numbers fits none either; but what cryptography does not
        # need is carried as it was found.
        names =
          for family <- families() -- carried(),
              {content, index} <- Enum.with_index(wrong(extension)),
              not useless_states?(family, content) do
            name = "#{family}-wrong#{index}#{extension}"
            File.write!(Path.join(path, name), content)
            name
          end

        assert Enum.sort(names) == damaged(context)
      end

      test "with leftovers and foreign files reads none and lists all", context do
        %{backend: backend, path: path, extension: extension, tmp: tmp} = context
        whole = File.read!(Path.join(path, "pre-key-1" <> extension))

        foreign = [
          "creds#{extension}.tmp-17",
          "pre-key-900#{extension}.tmp-3f2a.tmp-x",
          "pre-key-901#{extension}.bak",
          "creds#{extension}.bak",
          "pre-key-902#{extension}~",
          ".DS_Store",
          "README.txt",
          "pre-key-903.zip"
        ]

        for name <- foreign, do: File.write!(Path.join(path, name), whole)
        File.mkdir!(Path.join(path, "backup"))
        File.write!(Path.join(path, "backup/creds" <> extension), "")
        File.ln_s!(tmp, Path.join(path, "elsewhere"))
        ignored = Enum.sort(["backup", "elsewhere" | foreign])

        assert {:ok, %{ignored: ^ignored, families: families}} = backend.verify(path)
        assert families |> Map.values() |> Enum.sum() == 98

        assert {:ok, %{ignored: ^ignored, migrated_keys: 98}} =
                 migrate(backend, path, Path.join(tmp, "target"))

        assert {:ok, keys} = backend.list_keys(path)
        assert length(keys[:"pre-key"]) == 39
        for name <- foreign, do: assert(File.read!(Path.join(path, name)) == whole)
      end

      test "with anything but files under the names of keys names every one", context do
        %{path: path, extension: extension, tmp: tmp} = context
        outside = Path.join(tmp, "outside")
        File.cp!(Path.join(path, "pre-key-1" <> extension), outside)
        at = &Path.join(path, "pre-key-#{&1}#{extension}")

        File.mkdir!(at.("directory"))
        File.ln_s!(outside, at.("link"))
        File.ln_s!(Path.join(path, "pre-key-1" <> extension), at.("inside-link"))
        File.ln_s!(Path.join(tmp, "missing"), at.("dangling-link"))
        File.ln_s!(at.("loop"), at.("loop"))
        # Opening it for reading would wait for a writer for ever.
        {_, 0} = System.cmd("mkfifo", [at.("fifo")])
        socket(at.("socket"))

        assert damaged(context) ==
                 for(
                   name <- ~w(dangling-link directory fifo link loop socket),
                   do: "pre-key-#{name}#{extension}"
                 )

        # And so says a load of each, without waiting and without following.
        for id <- ~w(dangling-link directory fifo link loop socket) do
          assert {:error, %CorruptFileError{kind: kind} = error} =
                   context.backend.load_keys(path, :"pre-key", id)

          assert kind == if(id =~ ~r/link|loop/, do: :symbolic_link, else: :not_a_file)
          refute CorruptFileError.advice(error) <> Exception.message(error) =~ "backup"
        end

        assert {:ok, _inside} = context.backend.load_keys(path, :"pre-key", "inside-link")
      end

      test "whose credentials are no file is never taken for one without", context do
        %{backend: backend, path: path, extension: extension, tmp: tmp} = context
        file = Path.join(path, "creds" <> extension)
        outside = Path.join(tmp, "outside")
        File.rename!(file, outside)

        for make <- [
              fn -> File.mkdir!(file) end,
              fn -> File.ln_s!(outside, file) end,
              fn -> File.ln_s!("nowhere", file) end,
              fn -> {_, 0} = System.cmd("mkfifo", [file]) end
            ] do
          make.()
          assert {:error, %CorruptFileError{path: ^file}} = backend.load_credentials(path)
          assert damaged(context) == ["creds" <> extension]

          assert {:error, %DamagedDirectoryError{}} =
                   migrate(backend, path, Path.join(tmp, "target"), on_corrupt: :skip)

          File.rm_rf!(file)
        end
      end

      test "whose files may not be read says so and skips none of them", context do
        %{backend: backend, path: path, extension: extension, tmp: tmp} = context
        # Root reads everything.
        if System.cmd("id", ["-u"]) != {"0\n", 0} do
          File.chmod!(Path.join(path, "pre-key-1" <> extension), 0o000)
          assert {:error, :eacces} = backend.load_keys(path, :"pre-key", 1)
          assert damaged(context) == ["pre-key-1" <> extension]

          assert {:error, %DamagedDirectoryError{}} =
                   migrate(backend, path, Path.join(tmp, "target"), on_corrupt: :skip)
        end
      end
    end
  end

  describe "wrong lengths" do
    test "of every key of fixed length in native files are reported", %{tmp: tmp} do
      path = Fixtures.copy!(:native, tmp)
      terms = Fixtures.load_all!(NativeFilePersistence, path)
      terms = for {{type, _id}, term} <- terms, do: {"#{type}", term}

      assert shortened(terms, &:erlang.term_to_binary(elem(&1, 1)), path, ".etf", @native_keys) ==
               damaged(%{backend: NativeFilePersistence, path: path})
    end

    test "of every key of fixed length in JSON files are reported", %{tmp: tmp} do
      path = Fixtures.copy!(:baileys, tmp)
      terms = for {{type, _id}, name} <- names(path), do: {"#{type}", json(path, name, type)}

      assert shortened(terms, &to_json/1, path, ".json", @json_keys) ==
               damaged(%{backend: FilePersistence, path: path})
    end

    test "in credentials are refused, in either form", %{tmp: tmp} do
      for {form, extension, decode, encode, members} <- [
            {:native, ".etf", &:erlang.binary_to_term/1, &:erlang.term_to_binary/1,
             @native_creds},
            {:baileys, ".json", &JSON.decode!/1, &JSON.encode/1, @json_creds}
          ] do
        path = Fixtures.copy!(form, tmp)
        file = Path.join(path, "creds" <> extension)
        state = decode.(File.read!(file))

        damaged =
          for {place, binary} <- places([{"creds", state}], members) do
            {"creds", path_in} = place
            File.write!(file, encode.(Members.put(state, path_in, shorter(binary))))
            assert ["creds" <> _] = damaged(%{backend: Fixtures.backend(form), path: path})
            "creds" <> Members.name(path_in)
          end

        assert Enum.sort(damaged) == members
      end
    end
  end

  # What `verify` reports as damaged: the names of the files, each with a reason; a migration says
  # the same, and leaves nothing behind.
  defp damaged(%{backend: backend, path: path}) do
    assert {:error, %DamagedDirectoryError{path: ^path, files: files} = error} =
             backend.verify(path)

    for file <- files do
      assert %CorruptFileError{problem: problem} = file
      assert is_binary(problem) and problem != ""
      assert Path.dirname(file.path) == path
    end

    assert Exception.message(error) =~ ~r/: #{length(files)} files? cannot be read:/

    target = path <> "-target"
    assert {:error, %DamagedDirectoryError{files: same}} = migrate(backend, path, target)
    assert Enum.sort(same) == Enum.sort(files)
    refute File.exists?(target)

    files |> Enum.map(&Path.basename(&1.path)) |> Enum.sort()
  end

  defp migrate(backend, path, target, opts \\ [])

  defp migrate(FilePersistence, path, target, opts),
    do: PersistenceMigration.migrate_compat_json_to_native(path, target, opts)

  defp migrate(NativeFilePersistence, path, target, opts),
    do: PersistenceMigration.migrate_native_to_compat_json(path, target, opts)

  defp families do
    ~w(session pre-key sender-key sender-key-memory app-state-sync-key app-state-sync-version
       lid-mapping device-list tctoken identity-key)
  end

  # A list of states that hold no key is an empty record: Baileys goes state by state.
  defp useless_states?(family, content) do
    family == "sender-key" and String.starts_with?(content, "[")
  end

  defp carried, do: ~w(sender-key-memory lid-mapping device-list)

  defp wrong(".json"), do: ["17", "[1,2,3]", "true", ~s([["a"]])]
  defp wrong(".etf"), do: Enum.map([17, [1, 2, 3], true, {:a}], &:erlang.term_to_binary/1)

  # Writes each term once for every such member, with that one shortened. The names of the files.
  defp shortened(terms, encode, path, extension, members) do
    places = places(terms, members)

    names =
      for {{{type, path_in} = place, binary}, index} <- Enum.with_index(places) do
        {_type, term} = Enum.find(terms, &has_place?(&1, place, binary))
        name = "#{type}-short#{index}#{extension}"
        damaged = Members.put(term, path_in, shorter(binary))
        File.write!(Path.join(path, name), encode.({type, damaged}))
        name
      end

    assert names |> length() == length(members)
    Enum.sort(names)
  end

  # One place for each member of the list.
  defp places(terms, members) do
    all =
      for {type, term} <- terms,
          {path, binary} <- Members.binaries(term),
          do: {{type, path}, binary}

    for member <- members do
      place = Enum.find(all, fn {{type, path}, _} -> type <> Members.name(path) == member end)
      assert place, "no fixture has #{member}"
      place
    end
  end

  defp has_place?({type, term}, {type, path}, binary),
    do: {path, binary} in Members.binaries(term)

  defp has_place?(_other, _place, _binary), do: false

  # Two bytes less, since a public key has 33 or 32; of base64, of what it spells.
  defp shorter(binary) do
    case Base.decode64(binary) do
      {:ok, raw} when byte_size(binary) > 40 -> Base.encode64(cut(raw))
      _ -> cut(binary)
    end
  end

  defp cut(binary), do: binary_part(binary, 2, byte_size(binary) - 2)

  defp names(path) do
    {:ok, keys} = FilePersistence.list_keys(path)

    for {type, ids} <- keys, id <- ids do
      {{type, id}, "#{type}-#{id |> String.replace("/", "__") |> String.replace(":", "-")}.json"}
    end
  end

  # Sender keys are JSON inside of JSON, with bytes as lists of numbers.
  defp json(path, name, type) do
    decoded = path |> Path.join(name) |> File.read!() |> JSON.decode!()

    if type == :"sender-key",
      do: decoded["data"] |> Base.decode64!() |> JSON.decode!() |> with_base64(),
      else: decoded
  end

  defp with_base64(%{"type" => "Buffer", "data" => bytes}) do
    %{"type" => "Buffer", "data" => bytes |> :binary.list_to_bin() |> Base.encode64()}
  end

  defp with_base64(map) when is_map(map),
    do: Map.new(map, fn {key, value} -> {key, with_base64(value)} end)

  defp with_base64(list) when is_list(list), do: Enum.map(list, &with_base64/1)
  defp with_base64(leaf), do: leaf

  defp to_json({"sender-key", states}), do: JSON.encode(states)
  defp to_json({_type, term}), do: JSON.encode(term)

  defp socket(path) do
    {:ok, socket} = :gen_tcp.listen(0, [:local, ifaddr: {:local, path}])
    on_exit(fn -> :gen_tcp.close(socket) end)
  end
end
