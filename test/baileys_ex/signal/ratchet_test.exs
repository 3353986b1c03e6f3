defmodule BaileysEx.RatchetTest do
  # Checks the reader of pending messages with messages of libsignal that step the ratchet. Those of
  # `pending.json` never do, so they say nothing about root key and ratchet key.
  use ExUnit.Case, async: true

  alias BaileysEx.Signal.SessionRecord
  alias BaileysEx.Test.JSON
  alias BaileysEx.Test.PendingMessages

  @fixture Path.expand("../../fixtures/ratchet/ratchet.json", __DIR__)

  setup_all do
    fixture = JSON.decode!(File.read!(@fixture))

    messages =
      for %{"text" => text, "message" => message} <- fixture["pending"] do
        %{type: :session, id: "alice.0", text: text, message: Base.decode64!(message)}
      end

    %{messages: messages, record: record(fixture)}
  end

  test "messages of a new ratchet key are read, and late ones of the chain it closes", context do
    assert unread(context) == []
  end

  test "in any order", context do
    for seed <- 1..20 do
      :rand.seed(:exsss, {seed, seed, seed})
      shuffled = %{context | messages: Enum.shuffle(context.messages)}
      assert {seed, []} == {seed, unread(shuffled)}
    end
  end

  test "another root key or ratchet key is noticed", context do
    new_chain = for n <- 0..2, do: "second chain #{n}"

    for path <- [[:root_key], [:ephemeral_key_pair, :private]] do
      damaged = change(context, &put_in(&1, [:current_ratchet | path], <<1::256>>))
      assert unread(damaged) == new_chain
    end
  end

  test "a chain key that is lost, and one that is out of step, are noticed", context do
    lost = change(context, &each_receiving(&1, fn chain -> put_in(chain.chain_key.key, nil) end))
    assert "first chain 3" in unread(lost)

    for off <- [-1, 1] do
      moved = fn chain -> update_in(chain.chain_key.counter, &(&1 + off)) end
      out_of_step = change(context, &each_receiving(&1, moved))
      assert "first chain 3" in unread(out_of_step)
    end
  end

  defp unread(%{messages: messages, record: record}) do
    for {text, _reason} <- PendingMessages.unread(messages, fn _, _ -> record end), do: text
  end

  defp change(context, change) do
    sessions = Map.new(context.record.sessions, fn {key, session} -> {key, change.(session)} end)
    %{context | record: %{context.record | sessions: sessions}}
  end

  defp each_receiving(session, change) do
    update_in(session.chains, fn chains ->
      Map.new(chains, fn
        {id, %{chain_type: :receiving} = chain} -> {id, change.(chain)}
        sending -> sending
      end)
    end)
  end

  defp record(%{"session" => %{"_sessions" => sessions}, "identity" => identity}) do
    Enum.reduce(sessions, SessionRecord.new(), fn {base_key, entry}, record ->
      SessionRecord.put_session(record, bytes(base_key), session(entry, bytes(identity)))
    end)
  end

  defp session(%{"currentRatchet" => ratchet, "indexInfo" => info} = entry, identity) do
    %{
      registration_id: entry["registrationId"],
      current_ratchet: %{
        root_key: bytes(ratchet["rootKey"]),
        ephemeral_key_pair: %{
          public: bytes(ratchet["ephemeralKeyPair"]["pubKey"]),
          private: bytes(ratchet["ephemeralKeyPair"]["privKey"])
        },
        last_remote_ephemeral: bytes(ratchet["lastRemoteEphemeralKey"]),
        previous_counter: ratchet["previousCounter"]
      },
      index_info: %{
        base_key: bytes(info["baseKey"]),
        base_key_type: :receiving,
        closed: nil,
        local_identity_key: identity,
        remote_identity_key: bytes(info["remoteIdentityKey"])
      },
      chains: Map.new(entry["_chains"], fn {id, chain} -> {id, chain(chain)} end),
      pending_pre_key: nil
    }
  end

  defp chain(%{"chainKey" => key, "chainType" => type, "messageKeys" => message_keys}) do
    %{
      chain_key: %{counter: key["counter"] + 1, key: key["key"] && bytes(key["key"])},
      chain_type: if(type == 1, do: :sending, else: :receiving),
      message_keys:
        Map.new(message_keys, fn {number, seed} -> {String.to_integer(number), bytes(seed)} end)
    }
  end

  defp bytes(text), do: Base.decode64!(text)
end
