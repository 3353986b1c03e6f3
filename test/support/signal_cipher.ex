defmodule BaileysEx.Test.SignalCipher do
  @moduledoc """
  Just enough of Signal to read messages: the double ratchet for direct ones, sender keys for groups.

  It uses only the run-time terms. If it can read a message, every member that it has used was migrated
  completely: chains, counters, skipped keys, root key, ratchet key and both identity keys. It is written from
  the published specifications of the double ratchet, and checked against npm `libsignal` 6.0.0 and Baileys
  7.0.
  """

  alias BaileysEx.Signal.Curve
  alias BaileysEx.Signal.Group.SenderChainKey
  alias BaileysEx.Signal.Group.SenderKeyRecord
  alias BaileysEx.Signal.Group.SenderKeyState
  alias BaileysEx.Signal.HKDF
  alias BaileysEx.Signal.SessionRecord
  alias BaileysEx.Test.SignalWire

  @max_skipped 2000

  @doc "Reads a direct message with the session of the record that fits."
  def decrypt_direct(%SessionRecord{} = record, message) do
    whisper = SignalWire.whisper(message)

    Enum.find_value(record.sessions, {:error, :no_session_fits}, fn {base_key, session} ->
      with {:ok, text, session} <- decrypt_with(session, whisper) do
        {:ok, text, SessionRecord.put_session(record, base_key, session)}
      else
        {:error, _reason} -> nil
      end
    end)
  end

  @doc "Reads a group message."
  def decrypt_group(%SenderKeyRecord{} = record, message) do
    wire = SignalWire.sender_key(message)

    with {:ok, state} <- sender_key(record, wire.id),
         :ok <- verify_signature(state, wire),
         {:ok, state, key} <- sender_message_key(state, wire.iteration),
         {:ok, text} <- decrypt(key.cipher_key, key.iv, wire.ciphertext) do
      {:ok, text, SenderKeyRecord.put_state(record, state)}
    end
  end

  defp decrypt_with(session, whisper) do
    with {:ok, session} <- step_ratchet(session, whisper.ephemeral, whisper.previous_counter),
         {:ok, session, seed} <- message_seed(session, whisper.ephemeral, whisper.counter),
         <<cipher_key::binary-size(32), mac_key::binary-size(32), iv::binary-size(16), _::binary>> =
           HKDF.derive(seed, <<0::256>>, "WhisperMessageKeys", 96),
         :ok <- verify_mac(session.index_info, mac_key, whisper),
         {:ok, text} <- decrypt(cipher_key, iv, whisper.ciphertext) do
      {:ok, text, %{session | pending_pre_key: nil}}
    end
  end

  # For a new ratchet key of the peer: closes its old chain, derives its new chain and one of ours.
  defp step_ratchet(session, ephemeral, previous_counter) do
    if Map.has_key?(session.chains, chain_id(ephemeral)) do
      {:ok, session}
    else
      ratchet = session.current_ratchet

      with {:ok, chains} <- close_chain(session.chains, ratchet, previous_counter),
           {:ok, root, receiving} <- derive_chain(ratchet, ephemeral, :receiving),
           own = Curve.generate_key_pair(),
           sending_ratchet = %{ratchet | root_key: root, ephemeral_key_pair: own},
           {:ok, root, sending} <- derive_chain(sending_ratchet, ephemeral, :sending) do
        {:ok, public} = Curve.generate_signal_pub_key(own.public)

        chains =
          chains
          |> Map.delete(chain_id(ratchet.ephemeral_key_pair.public))
          |> Map.put(chain_id(ephemeral), receiving)
          |> Map.put(chain_id(public), sending)

        {:ok,
         %{
           session
           | chains: chains,
             current_ratchet: %{
               ratchet
               | root_key: root,
                 ephemeral_key_pair: %{own | public: public},
                 last_remote_ephemeral: ephemeral,
                 previous_counter: last_counter(session.chains, ratchet)
             }
         }}
      end
    end
  end

  defp close_chain(chains, ratchet, previous_counter) do
    id = chain_id(ratchet.last_remote_ephemeral)

    with %{^id => chain} <- chains,
         {:ok, chain} <- skip_to(chain, previous_counter) do
      {:ok, Map.put(chains, id, put_in(chain.chain_key.key, nil))}
    else
      %{} -> {:ok, chains}
      error -> error
    end
  end

  defp derive_chain(ratchet, ephemeral, type) do
    with {:ok, secret} <- Curve.shared_key(ratchet.ephemeral_key_pair.private, ephemeral) do
      <<root::binary-size(32), key::binary-size(32)>> =
        HKDF.derive(secret, ratchet.root_key, "WhisperRatchet", 64)

      {:ok, root, %{chain_key: %{counter: 0, key: key}, chain_type: type, message_keys: %{}}}
    end
  end

  defp last_counter(chains, ratchet) do
    case chains[chain_id(ratchet.ephemeral_key_pair.public)] do
      nil -> ratchet.previous_counter
      chain -> chain.chain_key.counter - 1
    end
  end

  defp message_seed(session, ephemeral, counter) do
    id = chain_id(ephemeral)

    with %{chain_type: :receiving} = chain <- session.chains[id],
         {:ok, chain} <- skip_to(chain, counter),
         {seed, keys} when seed != nil <- Map.pop(chain.message_keys, counter) do
      {:ok, put_in(session.chains[id], %{chain | message_keys: keys}), seed}
    else
      %{chain_type: :sending} -> {:error, :sending_chain}
      {nil, _keys} -> {:error, :key_used_or_never_there}
      error -> error
    end
  end

  # Derives the seeds of all messages up to this one; the counter is that of the next message.
  defp skip_to(%{chain_key: %{counter: next}} = chain, counter) when next > counter,
    do: {:ok, chain}

  defp skip_to(%{chain_key: %{counter: next}}, counter) when counter - next > @max_skipped,
    do: {:error, :too_far_ahead}

  defp skip_to(%{chain_key: %{key: nil}}, _counter), do: {:error, :chain_closed}

  defp skip_to(%{chain_key: %{counter: next, key: key}} = chain, counter) do
    skip_to(
      %{
        chain
        | chain_key: %{counter: next + 1, key: HKDF.hmac(key, <<2>>)},
          message_keys: Map.put(chain.message_keys, next, HKDF.hmac(key, <<1>>))
      },
      counter
    )
  end

  defp verify_mac(info, mac_key, whisper) do
    signed = info.remote_identity_key <> info.local_identity_key <> whisper.signed

    case HKDF.hmac(mac_key, signed) do
      <<mac::binary-size(8), _::binary>> when mac == whisper.mac -> :ok
      _ -> {:error, :bad_mac}
    end
  end

  defp sender_key(record, id) do
    case SenderKeyRecord.state_for_key_id(record, id) do
      nil -> {:error, :no_such_sender_key}
      state -> {:ok, state}
    end
  end

  defp verify_signature(state, wire) do
    if Curve.verify(SenderKeyState.signing_key_public(state), wire.signed, wire.signature),
      do: :ok,
      else: {:error, :bad_signature}
  end

  defp sender_message_key(%{sender_chain_key: %{iteration: next}} = state, iteration)
       when next > iteration do
    case SenderKeyState.remove_sender_message_key(state, iteration) do
      {_state, nil} -> {:error, :key_used_or_never_there}
      {state, key} -> {:ok, state, key}
    end
  end

  defp sender_message_key(%{sender_chain_key: %{iteration: next}}, iteration)
       when iteration - next > @max_skipped,
       do: {:error, :too_far_ahead}

  defp sender_message_key(%{sender_chain_key: chain} = state, iteration) do
    key = SenderChainKey.sender_message_key(chain)
    state = SenderKeyState.put_sender_chain_key(state, SenderChainKey.next(chain))

    if chain.iteration == iteration,
      do: {:ok, state, key},
      else: state |> SenderKeyState.add_sender_message_key(key) |> sender_message_key(iteration)
  end

  defp decrypt(key, iv, ciphertext) when rem(byte_size(ciphertext), 16) == 0 do
    padded = :crypto.crypto_one_time(:aes_256_cbc, key, iv, ciphertext, false)
    padding = :binary.last(padded)

    if padding in 1..16,
      do: {:ok, binary_part(padded, 0, byte_size(padded) - padding)},
      else: {:error, :bad_padding}
  end

  defp decrypt(_key, _iv, _ciphertext), do: {:error, :bad_length}

  defp chain_id(ephemeral), do: Base.encode64(ephemeral)
end
