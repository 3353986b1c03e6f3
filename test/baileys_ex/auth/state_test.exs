defmodule BaileysEx.Auth.StateTest do
  use ExUnit.Case, async: true

  import BaileysEx.Test.Property

  alias BaileysEx.Auth.State
  alias BaileysEx.Protocol.Proto.ADVSignedDeviceIdentity
  alias BaileysEx.Signal.Curve

  doctest State

  @fixture Path.expand("../../fixtures/baileys_ex-native/creds.etf", __DIR__)

  defp fixture, do: @fixture |> File.read!() |> :erlang.binary_to_term()

  describe "new/1" do
    test "makes a complete identity, as Baileys' initAuthCreds does" do
      state = State.new()

      for pair <- [
            state.noise_key,
            state.pairing_ephemeral_key,
            state.signed_identity_key,
            state.signed_pre_key.key_pair
          ] do
        assert %{public: <<_::256>>, private: <<_::256>>} = pair
        assert map_size(pair) == 2
        assert Curve.generate_key_pair(private_key: pair.private) == pair
      end

      assert state.signed_pre_key.key_id == 1
      assert state.registration_id in 0..0x3FFF
      assert {:ok, <<_::256>>} = Base.decode64(state.adv_secret_key)

      assert %State{
               account: nil,
               account_settings: %{unarchive_chats: false, default_disappearing_mode: nil},
               account_sync_counter: 0,
               additional_data: nil,
               first_unuploaded_pre_key_id: 1,
               last_account_sync_timestamp: nil,
               last_prop_hash: nil,
               me: nil,
               my_app_state_key_id: nil,
               next_pre_key_id: 1,
               pairing_code: nil,
               platform: nil,
               processed_history_messages: [],
               registered: false,
               routing_info: nil,
               signal_identities: [],
               unknown_fields: unknown
             } = state

      assert unknown == %{}
    end

    test "signs the 33-byte form of the pre-key with the identity" do
      state = State.new()
      %{key_pair: %{public: public}, signature: signature} = state.signed_pre_key
      assert Curve.verify(state.signed_identity_key.public, <<5, public::binary>>, signature)
    end

    test "never makes the same key, secret or, but by chance, registration id twice" do
      states = for _ <- 1..200, do: State.new()

      secrets =
        Enum.flat_map(states, fn state ->
          [
            state.noise_key.private,
            state.pairing_ephemeral_key.private,
            state.signed_identity_key.private,
            state.signed_pre_key.key_pair.private,
            state.adv_secret_key
          ]
        end)

      assert length(Enum.uniq(secrets)) == 1000
      ids = Enum.map(states, & &1.registration_id)
      assert length(Enum.uniq(ids)) > 180

      # All 14 bits are used: the probability that one is constant over 200 states is below 2^-195.
      for bit <- 0..13, do: assert(length(Enum.uniq_by(ids, &bit(&1, bit))) == 2)
    end

    test "takes every field that is given, and nil too, as list or as map" do
      for {field, _default} <- Map.from_struct(%State{}),
          given <- [:given, nil],
          into <- [[], %{}] do
        fields = Enum.into([{field, given}], into)

        # A key that cannot sign is refused, see below.
        if field != :signed_identity_key do
          assert Map.fetch!(State.new(fields), field) == given
        end
      end
    end

    test "signs the pre-key with the identity that is given" do
      identity = Curve.generate_key_pair()
      state = State.new(signed_identity_key: identity)
      assert state.signed_identity_key == identity

      %{key_pair: %{public: public}, signature: signature} = state.signed_pre_key
      assert Curve.verify(identity.public, <<5, public::binary>>, signature)
    end

    test "refuses names that are not fields, and an identity that cannot sign" do
      assert_raise ArgumentError, ~r/noise_kye/, fn -> State.new(noise_kye: 1) end
      assert_raise ArgumentError, ~r/"me"/, fn -> State.new(%{"me" => nil}) end
      assert_raise ArgumentError, fn -> State.new(__struct__: State) end

      for wrong <- [nil, %{}, %{public: <<1::256>>, private: "SECRET"}] do
        error = assert_raise ArgumentError, fn -> State.new(signed_identity_key: wrong) end
        refute Exception.message(error) =~ "SECRET"
      end
    end
  end

  describe "reading" do
    test "get/3 looks at the state, then at :creds, then at the default; nil is absent" do
      state = %State{me: %{id: "1"}, platform: nil}
      assert State.get(state, :me) == %{id: "1"}
      assert State.get(state, :platform) == nil
      assert State.get(state, :platform, "web") == "web"
      assert State.get(state, :registered, true) == false
      assert State.get(state, :no_field, 7) == 7

      nested = %{creds: %{me: %{id: "2"}}, platform: "android", me: nil}
      assert State.get(nested, :me) == %{id: "2"}
      assert State.get(nested, :platform) == "android"
      assert State.get(%{creds: state}, :me) == %{id: "1"}
    end

    test "me_id/1, me_name/1 and me_lid/1 of states and maps, paired or not" do
      assert State.me_id(fixture()) == "15551230001:7@s.whatsapp.net"
      assert State.me_name(fixture()) == "Zoë 🦊"
      assert State.me_lid(fixture()) == "900000000001:7@lid"

      assert State.me_id(%{creds: %{me: %{id: "2"}}}) == "2"
      assert State.me_name(%{me: %{id: "2"}}) == nil

      for none <- [State.new(), %{}, %{me: "no map"}, %{me: %{id: 7, name: :a, lid: []}}] do
        assert {State.me_id(none), State.me_name(none), State.me_lid(none)} == {nil, nil, nil}
      end
    end

    test "creds_view/1 returns what is to be saved" do
      state = State.new()
      assert State.creds_view(state) == state
      assert State.creds_view(%{creds: state, keys: 1}) == state
      assert State.creds_view(%{creds: %{registered: true}}) == %{registered: true}
      assert State.creds_view(%{registered: true, keys: 1}) == %{registered: true}
      assert State.creds_view(%{keys: 1}) == %{}
    end
  end

  describe "merge_updates/2" do
    test "merges maps deeply and replaces the rest" do
      state = fixture()

      merged =
        State.merge_updates(state, %{
          me: %{:name => "Zoë", "status" => "busy"},
          account_settings: %{default_disappearing_mode: %{"ephemeralExpiration" => 0}},
          additional_data: %{"nested" => %{"more" => 1}},
          signal_identities: [],
          registered: false,
          routing_info: nil,
          next_pre_key_id: 99
        })

      assert merged == %{
               state
               | me: Map.merge(state.me, %{:name => "Zoë", "status" => "busy"}),
                 account_settings: %{
                   unarchive_chats: true,
                   default_disappearing_mode: %{
                     "ephemeralExpiration" => 0,
                     "ephemeralSettingTimestamp" => 1_710_000_000
                   }
                 },
                 additional_data: %{
                   "blob" => <<1, 2, 3>>,
                   "nested" => %{"list" => [1, "two", nil, true], "more" => 1},
                   "note" => "kept"
                 },
                 signal_identities: [],
                 registered: false,
                 routing_info: nil,
                 next_pre_key_id: 99
             }
    end

    test "ignores names that are not fields" do
      state = fixture()
      assert State.merge_updates(state, %{"me" => 1, no_field: 2, __struct__: 3}) == state
      assert State.merge_updates(state, %{}) == state
    end

    test "never makes one key pair of two" do
      state = fixture()
      pair = Curve.generate_key_pair()

      for field <- [:noise_key, :pairing_ephemeral_key, :signed_identity_key] do
        assert Map.fetch!(State.merge_updates(state, %{field => pair}), field) == pair
        half = Map.take(pair, [:public])
        assert Map.fetch!(State.merge_updates(state, %{field => half}), field) == half
      end

      # A member that only the old one has, such as Baileys' timestampS, is dropped with it.
      old = put_in(state.signed_pre_key[:timestamp_s], 1)
      {:ok, signed} = Curve.signed_key_pair(state.signed_identity_key, 2)
      assert State.merge_updates(old, %{signed_pre_key: signed}).signed_pre_key == signed
    end

    test "never has a disappearing mode under the names of Baileys and of an event at once" do
      mode = %{"ephemeralExpiration" => 86_400, "ephemeralSettingTimestamp" => 1}
      settings = %{unarchive_chats: true, default_disappearing_mode: mode}
      event = %{ephemeral_expiration: 0}

      state =
        State.merge_updates(State.new(account_settings: settings), %{
          account_settings: %{default_disappearing_mode: event}
        })

      merged = %{:ephemeral_expiration => 0, "ephemeralSettingTimestamp" => 1}
      assert state.account_settings == %{settings | default_disappearing_mode: merged}
    end

    test "takes the account as a struct or as a map, and keeps it a struct" do
      account = %ADVSignedDeviceIdentity{details: "d", device_signature: "s"}
      unpaired = State.new()

      assert State.merge_updates(unpaired, %{account: account}).account == account
      assert State.merge_updates(fixture(), %{account: account}).account == account
      assert State.merge_updates(fixture(), %{account: nil}).account == nil

      as_map = %{details: "d", device_signature: "s", no_member: 1}
      assert State.merge_updates(unpaired, %{account: as_map}).account == account

      assert State.merge_updates(fixture(), %{account: as_map}).account ==
               %{fixture().account | details: "d", device_signature: "s"}
    end

    test "takes a whole state as the update" do
      update = State.new(me: %{id: "1555@s.whatsapp.net"})
      merged = State.merge_updates(State.new(), update)
      assert merged == update
    end

    test "goes into :creds of a map, and into a map that has none" do
      legacy = %{noise_key: %{public: "p"}, creds: %{me: %{id: "1"}}}

      assert State.merge_updates(legacy, %{me: %{lid: "2"}, pairing_code: "ABC"}) == %{
               noise_key: %{public: "p"},
               creds: %{me: %{id: "1", lid: "2"}, pairing_code: "ABC"}
             }

      assert %{creds: %State{registered: true}} =
               State.merge_updates(%{creds: State.new()}, %{registered: true, no_field: 1})

      assert State.merge_updates(%{me: %{id: "1"}}, %{me: %{lid: "2"}}) == %{
               me: %{id: "1", lid: "2"}
             }
    end

    test "merging a state with itself changes nothing, and what an update sets is set" do
      base = fixture()
      fields = Map.keys(base) -- [:__struct__]
      assert State.merge_updates(base, base) == base

      for_seeds(1..100, fn _seed ->
        update = for field <- Enum.take_random(fields, 5), into: %{}, do: {field, below(1000)}
        merged = State.merge_updates(base, update)

        assert Map.take(merged, Map.keys(update)) == update
        assert Map.drop(merged, Map.keys(update)) == Map.drop(base, Map.keys(update))
      end)
    end
  end

  describe "complete/1" do
    test "gives a state of this version back as it is" do
      assert {:ok, state} = State.complete(State.new())
      assert State.complete(state) == {:ok, state}
    end

    test "fills fields that an older state lacks, and only those" do
      state = State.new(registered: true)
      refute Map.has_key?(fixture(), :unknown_fields)
      assert State.complete(fixture()) == {:ok, Map.put(fixture(), :unknown_fields, %{})}

      optional = Map.keys(Map.from_struct(state)) -- identity_fields()

      for field <- optional do
        {:ok, completed} = State.complete(Map.delete(state, field))
        assert completed == Map.put(state, field, Map.fetch!(%State{}, field))
      end
    end

    test "keeps fields of a later version beside those of a Baileys file" do
      state = State.new(unknown_fields: %{"fromBaileys" => 1})
      later = Map.put(state, :field_of_tomorrow, 2)

      assert State.complete(later) ==
               {:ok, %{state | unknown_fields: %{"fromBaileys" => 1, "field_of_tomorrow" => 2}}}
    end

    test "moves members that an older version did not know to the fields of this one" do
      state =
        State.new(routing_info: <<8, 2>>, account_sync_counter: 3, platform: nil)
        |> Map.put(:unknown_fields, %{"fromBaileys" => 1})

      raw = %{
        "routingInfo" => %{"type" => "Buffer", "data" => "CAI="},
        "accountSyncCounter" => 3
      }

      older =
        state
        |> Map.drop([:routing_info, :account_sync_counter, :platform])
        |> Map.update!(:unknown_fields, &Map.merge(&1, raw))

      assert State.complete(older) == {:ok, state}

      # Nothing is lost if it has another form.
      odd = older |> Map.delete(:me) |> put_in([Access.key(:unknown_fields), "me"], 5)
      {:ok, completed} = State.complete(odd)
      assert completed.me == nil
      assert completed.unknown_fields == odd.unknown_fields
    end

    test "makes a state of a map of its fields" do
      state = State.new()
      assert State.complete(Map.put(Map.from_struct(state), :keys, :elsewhere)) == {:ok, state}
    end

    test "refuses a state without an identity, and names what is missing" do
      for field <- identity_fields() do
        member = Atom.to_string(field)
        assert State.complete(Map.delete(State.new(), field)) == {:error, {member, "is missing"}}
        assert State.complete(%{State.new() | field => nil}) == {:error, {member, "is missing"}}
      end

      assert State.complete(%State{}) == {:error, {"noise_key", "is missing"}}
    end

    test "refuses members of the wrong shape, without showing them" do
      for {path, wrong, problem} <- [
            {[:noise_key], "SECRET", "is not a map"},
            {[:noise_key, :public], "SECRET", "has 6 bytes instead of 32 or 33"},
            {[:noise_key, :private], nil, "is missing"},
            {[:pairing_ephemeral_key], ["SECRET"], "is not a map"},
            {[:signed_identity_key, :private], "SECRET", "has 6 bytes instead of 32"},
            {[:signed_identity_key, :private], ~c"SECRET", "is not a binary"},
            {[:signed_pre_key, :key_pair], "SECRET", "is not a map"},
            {[:signed_pre_key, :key_pair, :public], <<1::248>>,
             "has 31 bytes instead of 32 or 33"},
            {[:signed_pre_key, :signature], <<1::504>>, "has 63 bytes instead of 64"},
            {[:signed_pre_key, :key_id], -1, "is not a non-negative integer"},
            {[:registration_id], "SECRET", "is not a non-negative integer"},
            {[:adv_secret_key], {:SECRET}, "is not text"},
            {[:unknown_fields], ["SECRET"], "is not a map"}
          ] do
        state = State.new()
        damaged = put_in(state, Enum.map(path, &Access.key!/1), wrong)
        assert State.complete(damaged) == {:error, {Enum.join(path, "."), problem}}
      end
    end

    test "refuses anything but a state" do
      for term <- [nil, [], "state", 1, {:state}, %URI{}, %{__struct__: "State"}] do
        assert State.complete(term) == {:error, {nil, "is not a state"}}
      end

      assert {:error, {"noise_key", _}} = State.complete(%{})
    end
  end

  defp identity_fields do
    [:noise_key, :signed_identity_key, :signed_pre_key, :registration_id, :adv_secret_key]
  end

  defp bit(number, bit), do: rem(div(number, Integer.pow(2, bit)), 2)
end
