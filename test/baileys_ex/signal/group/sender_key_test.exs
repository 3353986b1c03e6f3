defmodule BaileysEx.Signal.Group.SenderKeyTest do
  use ExUnit.Case, async: true

  import BaileysEx.Test.Property

  alias BaileysEx.Signal.Group.SenderChainKey
  alias BaileysEx.Signal.Group.SenderKeyRecord
  alias BaileysEx.Signal.Group.SenderKeyState
  alias BaileysEx.Signal.Group.SenderMessageKey

  doctest SenderChainKey
  doctest SenderKeyRecord
  doctest SenderKeyState
  doctest SenderMessageKey

  @seed Base.decode16!("000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F")
  @fixtures Path.expand("../../../fixtures/baileys_ex-native", __DIR__)

  defp state(id, iteration \\ 0) do
    SenderKeyState.new(id, iteration, @seed, %{public: <<5, id::256>>, private: nil})
  end

  describe "chain and message keys" do
    # Computed with node:crypto: HMAC-SHA256 of the seed with 1 and 2, and hkdfSync.
    test "equal what Node computes" do
      chain = SenderChainKey.new(0, @seed)
      next = SenderChainKey.next(chain)
      key = SenderChainKey.sender_message_key(chain)

      assert hex(next.seed) == "4304c22c84a53755ab08ead8d97a8d429be5efa480682d7ad1da27f73e1fbe1d"
      assert next.iteration == 1
      assert key.iteration == 0
      assert hex(key.seed) == "9b4c8120a4823a95f47cde17a244f4507244ee6e3957d1fab9fa29b44d3829b7"
      assert hex(key.iv) == "ed1f5e26325b1399f6a34c76e47ff047"

      assert hex(key.cipher_key) ==
               "d89f10a08215e845ceb4df3fc59c052ad09e01cd499650025ff83df48ed656e6"
    end

    test "equal the skipped keys of the fixture, iv and cipher key and all" do
      keys =
        for path <- Path.wildcard(@fixtures <> "/sender-key-1*.etf"),
            state <- :erlang.binary_to_term(File.read!(path)).sender_key_states,
            key <- state.sender_message_keys,
            do: key

      assert keys != []
      for key <- keys, do: assert(SenderMessageKey.new(key.iteration, key.seed) == key)
    end
  end

  describe "a state" do
    test "is what its structure says, and gives it back" do
      structure = %{
        sender_key_id: 7,
        sender_chain_key: %{iteration: 3, seed: @seed},
        sender_signing_key: %{public: <<5, 1::256>>, private: <<2::256>>},
        sender_message_keys: [
          %{iteration: 1, seed: <<1::256>>},
          %{iteration: 2, seed: <<2::256>>}
        ]
      }

      state = SenderKeyState.from_structure(structure)
      assert [%SenderMessageKey{iteration: 1, iv: <<_::128>>}, _] = state.sender_message_keys
      assert SenderKeyState.to_structure(state) == structure
      assert SenderKeyState.from_structure(SenderKeyState.to_structure(state)) == state
    end

    test "of the fixture is the same after a trip through its structure" do
      paths = Path.wildcard(@fixtures <> "/sender-key-1*.etf")
      assert length(paths) == 4

      for path <- paths, state <- :erlang.binary_to_term(File.read!(path)).sender_key_states do
        assert state |> SenderKeyState.to_structure() |> SenderKeyState.from_structure() == state
      end
    end

    test "of an older structure has no skipped keys; an absent or empty private key is nil" do
      structure = %{
        sender_key_id: 42,
        sender_chain_key: %{iteration: 0, seed: <<1, 2, 3>>},
        sender_signing_key: %{public: <<11::256>>}
      }

      for signing_key <- [%{public: <<11::256>>}, %{public: <<11::256>>, private: ""}] do
        state = SenderKeyState.from_structure(%{structure | sender_signing_key: signing_key})
        assert state.sender_message_keys == []
        assert SenderKeyState.signing_key_private(state) == nil
        assert state.sender_signing_key == %{public: <<11::256>>, private: nil}
      end
    end

    test "gives its public key with the type byte, and its private key" do
      state = SenderKeyState.new(1, 0, @seed, %{public: <<11::256>>, private: <<12::256>>})
      assert SenderKeyState.signing_key_public(state) == <<5, 11::256>>
      assert SenderKeyState.signing_key_public(state(9)) == <<5, 9::256>>
      assert SenderKeyState.signing_key_private(state) == <<12::256>>
    end

    test "keeps 2000 skipped keys, and drops the oldest first" do
      chain = SenderChainKey.new(0, @seed)
      key = SenderChainKey.sender_message_key(chain)
      keys = for n <- 0..1999, do: %{key | iteration: n}
      full = %{state(1) | sender_message_keys: keys}

      assert SenderKeyState.has_sender_message_key?(full, 0)
      more = SenderKeyState.add_sender_message_key(full, %{key | iteration: 2000})
      assert Enum.map(more.sender_message_keys, & &1.iteration) == Enum.to_list(1..2000)
    end

    test "holds what a list of skipped keys holds, whatever was done to it" do
      for_seeds(1..100, fn _seed ->
        Enum.reduce(1..60, {state(1), []}, fn _step, {state, model} ->
          iteration = below(20)
          {state, model} = step(one_of([:add, :remove]), state, model, iteration)

          assert Enum.map(state.sender_message_keys, & &1.iteration) == model
          known = SenderKeyState.has_sender_message_key?(state, iteration)
          assert known == iteration in model
          {state, model}
        end)
      end)
    end

    defp step(:add, state, model, iteration) do
      key = %SenderMessageKey{iteration: iteration, seed: @seed, iv: <<>>, cipher_key: <<>>}
      {SenderKeyState.add_sender_message_key(state, key), model ++ [iteration]}
    end

    defp step(:remove, state, model, iteration) do
      {removed, key} = SenderKeyState.remove_sender_message_key(state, iteration)
      if iteration in model, do: assert(key.iteration == iteration), else: assert(key == nil)
      {removed, List.delete(model, iteration)}
    end

    test "moves its chain" do
      chain = SenderChainKey.new(8, <<1::256>>)
      state = SenderKeyState.put_sender_chain_key(state(1), chain)
      assert state == %{state(1) | sender_chain_key: chain}
    end

    test "that is none is refused without being shown" do
      for wrong <- [
            fn -> SenderKeyState.from_structure(%{sender_key_id: "SECRET"}) end,
            fn -> SenderKeyState.from_structure("SECRET") end,
            fn -> SenderKeyState.new(1, 0, @seed, %{private: "SECRET"}) end,
            fn ->
              SenderKeyState.from_structure(%{
                sender_key_id: 1,
                sender_chain_key: %{iteration: 0, seed: @seed},
                sender_signing_key: %{public: <<5, 1::256>>},
                sender_message_keys: ["SECRET"]
              })
            end
          ] do
        refute Exception.message(assert_raise(ArgumentError, wrong)) =~ "SECRET"
      end
    end
  end

  describe "a record" do
    test "is empty at first" do
      record = SenderKeyRecord.new()
      assert record == %SenderKeyRecord{sender_key_states: []}
      assert SenderKeyRecord.empty?(record)
      assert SenderKeyRecord.current_state(record) == nil
      assert SenderKeyRecord.state_for_key_id(record, 1) == nil
    end

    test "keeps five sender keys, sends with the newest and drops the oldest" do
      record =
        Enum.reduce(1..6, SenderKeyRecord.new(), fn id, record ->
          SenderKeyRecord.add_state(record, id, 0, @seed, <<5, id::256>>)
        end)

      assert record.sender_key_states == Enum.map(2..6, &state/1)
      assert SenderKeyRecord.current_state(record) == state(6)
      assert SenderKeyRecord.state_for_key_id(record, 1) == nil
      assert SenderKeyRecord.state_for_key_id(record, 2) == state(2)
      refute SenderKeyRecord.empty?(record)
    end

    test "has our own sender key alone once it is set" do
      pair = %{public: <<5, 1::256>>, private: <<2::256>>}

      record =
        SenderKeyRecord.new()
        |> SenderKeyRecord.add_state(1, 0, @seed, <<5, 1::256>>)
        |> SenderKeyRecord.set_state(2, 4, @seed, pair)

      assert record.sender_key_states == [SenderKeyState.new(2, 4, @seed, pair)]
    end

    test "puts a changed state back in its place, and a new one at the end" do
      record = %SenderKeyRecord{sender_key_states: Enum.map(1..5, &state/1)}

      assert SenderKeyRecord.put_state(record, state(2, 9)).sender_key_states ==
               [state(1), state(2, 9), state(3), state(4), state(5)]

      assert SenderKeyRecord.put_state(record, state(6)).sender_key_states ==
               Enum.map(2..6, &state/1)
    end

    # If `put_state` did not replace the one that `state_for_key_id` finds, message keys would be reused.
    test "finds the state that it put, even if two have one id" do
      record = %SenderKeyRecord{sender_key_states: [state(1, 5), state(1, 0)]}
      assert SenderKeyRecord.state_for_key_id(record, 1) == state(1, 5)

      record = SenderKeyRecord.put_state(record, state(1, 6))
      assert SenderKeyRecord.state_for_key_id(record, 1) == state(1, 6)
      assert SenderKeyRecord.current_state(record) == state(1, 0)
    end
  end

  defp hex(binary), do: Base.encode16(binary, case: :lower)
end
