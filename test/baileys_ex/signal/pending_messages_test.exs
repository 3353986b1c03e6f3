defmodule BaileysEx.PendingMessagesTest do
  use ExUnit.Case, async: true

  alias BaileysEx.Signal.SessionRecord
  alias BaileysEx.Test.PendingMessages
  alias BaileysEx.Test.SignalWire

  @native Path.expand("../../fixtures/baileys_ex-native", __DIR__)

  defp load(:creds, nil), do: read("creds.etf")

  defp load(type, id) do
    name = String.replace("#{type}-#{id}", ":", "-")
    read(name <> ".etf")
  end

  defp read(name) do
    @native |> Path.join(name) |> File.read!() |> :erlang.binary_to_term()
  end

  test "the fixture has what the tests below read" do
    assert length(PendingMessages.direct()) == 6
    assert length(PendingMessages.group()) == 8
  end

  test "every pending message is read, direct and group" do
    assert PendingMessages.unread(PendingMessages.direct(), &load/2) == []
    assert PendingMessages.unread(PendingMessages.group(), &load/2) == []
  end

  test "in any order: the late ones by their skipped keys" do
    for messages <- [PendingMessages.direct(), PendingMessages.group()], seed <- 1..20 do
      :rand.seed(:exsss, {seed, seed, seed})
      shuffled = Enum.shuffle(messages)
      assert {seed, []} == {seed, PendingMessages.unread(shuffled, &load/2)}
    end
  end

  test "a message is read once: its key is gone afterwards" do
    for messages <- [PendingMessages.direct(), PendingMessages.group()] do
      assert length(PendingMessages.unread(messages ++ messages, &load/2)) == length(messages)
    end
  end

  test "the session that was never answered still announces itself as before" do
    message = SignalWire.pre_key_whisper(PendingMessages.to_q())
    {_base_key, session} = SessionRecord.get_open_session(load(:session, "15557770003.0"))
    creds = load(:creds, nil)

    assert session.pending_pre_key ==
             Map.take(message, [:pre_key_id, :signed_pre_key_id, :base_key])

    assert session.index_info.local_identity_key == message.identity_key

    assert session.index_info.local_identity_key ==
             <<5, creds.signed_identity_key.public::binary>>

    assert session.current_ratchet.ephemeral_key_pair.public == message.message.ephemeral
    assert creds.registration_id == message.registration_id
  end

  # These mistakes are not visible at load, but here they are.
  describe "a session that did not come over whole is noticed:" do
    test "counters one too high or too low" do
      for off <- [-1, 1] do
        damaged =
          sessions(
            &each_chain(&1, fn chain ->
              update_in(chain.chain_key.counter, fn n -> n + off end)
            end)
          )

        assert PendingMessages.unread(PendingMessages.direct(), damaged) != []
      end
    end

    test "skipped keys lost" do
      damaged = sessions(&each_chain(&1, fn chain -> %{chain | message_keys: %{}} end))
      late = ["burst 0", "burst 2", "burst 3", "burst 5", "later 0"]
      assert unread_texts(PendingMessages.direct(), damaged) == late
    end

    test "an identity key of another account" do
      for member <- [:local_identity_key, :remote_identity_key] do
        damaged = sessions(&put_in(&1, [:index_info, member], <<5, 1::256>>))
        assert length(PendingMessages.unread(PendingMessages.direct(), damaged)) == 6
      end
    end

    test "chains under another key" do
      damaged =
        sessions(
          &%{&1 | chains: Map.new(&1.chains, fn {id, chain} -> {Base.encode64(id), chain} end)}
        )

      assert length(PendingMessages.unread(PendingMessages.direct(), damaged)) == 6
    end

    test "sender keys: skipped keys, seed, iteration or signing key" do
      for change <- [
            &%{&1 | sender_message_keys: []},
            &put_in(&1.sender_chain_key.seed, <<1::256>>),
            &update_in(&1.sender_chain_key.iteration, fn n -> n + 1 end),
            &put_in(&1.sender_signing_key.public, <<5, 9::256>>)
          ] do
        damaged = fn type, id ->
          update_in(load(type, id).sender_key_states, fn states -> Enum.map(states, change) end)
        end

        assert PendingMessages.unread(PendingMessages.group(), damaged) != []
      end
    end
  end

  defp sessions(change) do
    fn type, id ->
      update_in(load(type, id).sessions, fn sessions ->
        Map.new(sessions, fn {base_key, session} -> {base_key, change.(session)} end)
      end)
    end
  end

  defp each_chain(session, change) do
    update_in(session.chains, &Map.new(&1, fn {id, chain} -> {id, change.(chain)} end))
  end

  defp unread_texts(messages, loader) do
    for {text, _reason} <- PendingMessages.unread(messages, loader), do: text
  end
end
