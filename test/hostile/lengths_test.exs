defmodule BaileysEx.Hostile.LengthsTest do
  # A key of a wrong length is reported, in whatever file it is: no cipher could use it.
  use ExUnit.Case, async: true

  import BaileysEx.Auth.TempDir

  alias BaileysEx.Auth.{FilePersistence, Fixtures, NativeFilePersistence}
  alias BaileysEx.Test.{Damage, JSON, Members}

  # Members with a known length; compared with what `Members` finds in the fixtures.
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

  test "wrong lengths of all keys of fixed length in native files are reported", %{tmp: tmp} do
    path = Fixtures.copy!(:native, tmp)
    terms = Fixtures.load_all!(NativeFilePersistence, path)
    terms = for {{type, _id}, term} <- terms, do: {"#{type}", term}

    assert shortened(terms, &:erlang.term_to_binary(elem(&1, 1)), path, ".etf", @native_keys) ==
             Damage.told(NativeFilePersistence, path)
  end

  test "wrong lengths of all keys of fixed length in JSON files are reported", %{tmp: tmp} do
    path = Fixtures.copy!(:baileys, tmp)
    terms = for {{type, _id}, name} <- names(path), do: {"#{type}", json(path, name, type)}

    assert shortened(terms, &to_json/1, path, ".json", @json_keys) ==
             Damage.told(FilePersistence, path)
  end

  test "wrong lengths in credentials are refused, in either form", %{tmp: tmp} do
    for {form, extension, decode, encode, members} <- [
          {:native, ".etf", &:erlang.binary_to_term/1, &:erlang.term_to_binary/1, @native_creds},
          {:baileys, ".json", &JSON.decode!/1, &JSON.encode/1, @json_creds}
        ] do
      path = Fixtures.copy!(form, tmp)
      file = Path.join(path, "creds" <> extension)
      state = decode.(File.read!(file))

      damaged =
        for {place, binary} <- places([{"creds", state}], members) do
          {"creds", path_in} = place
          File.write!(file, encode.(Members.put(state, path_in, shorter(binary))))
          assert ["creds" <> _] = Damage.told(Fixtures.backend(form), path)
          "creds" <> Members.name(path_in)
        end

      assert Enum.sort(damaged) == members
    end
  end

  # Writes each term once for each of its members, with that member shortened. Returns the names of the files.
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

  # Returns one place for each member of the list.
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

  # Removes two bytes, because a public key has 33 or 32. For base64, shortens the bytes that it encodes.
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

  # Sender keys are JSON inside JSON, with bytes as lists of numbers.
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
end
