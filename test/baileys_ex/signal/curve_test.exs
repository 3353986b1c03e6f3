defmodule BaileysEx.Signal.CurveTest do
  use ExUnit.Case, async: true

  import Bitwise
  import BaileysEx.Test.Property

  alias BaileysEx.Signal.Curve
  alias BaileysEx.Test.JSON

  doctest Curve

  # Generated with npm `libsignal` 6.0.0, by make.mjs in the same directory.
  @vectors Path.expand("../../fixtures/curve/libsignal.json", __DIR__)

  setup_all do
    sections = @vectors |> File.read!() |> JSON.decode!()

    for {name, vectors} <- sections, into: %{} do
      {String.to_atom(name), Enum.map(vectors, &decoded/1)}
    end
  end

  defp decoded(vector) do
    for {name, value} <- vector, into: %{} do
      {String.to_atom(name), Base.decode64!(value)}
    end
  end

  describe "against libsignal" do
    test "public keys and shared secrets are the same", %{agreements: vectors} do
      assert length(vectors) >= 20

      for %{private: private, public: public, peer: peer, shared: shared} <- vectors do
        assert Curve.generate_key_pair(private_key: private) == %{
                 private: private,
                 public: public
               }

        assert Curve.shared_key(private, peer) == {:ok, shared}
        assert Curve.shared_key(private, <<5, peer::binary>>) == {:ok, shared}
      end
    end

    test "its signatures verify, with a key of 33 bytes and of 32", %{signatures: vectors} do
      assert length(vectors) >= 20

      for %{public: <<5, raw::binary>> = public, message: message, signature: signature} <-
            vectors do
        assert Curve.verify(public, message, signature)
        assert Curve.verify(raw, message, signature)
      end
    end

    test "what it refuses is refused", %{rejected: vectors} do
      assert length(vectors) >= 60

      for %{public: public, message: message, signature: signature} <- vectors do
        refute Curve.verify(public, message, signature)
      end
    end

    test "our signatures are made for the keys it made", %{randomized: vectors} do
      for %{private: private, public: public, message: message} <- vectors do
        assert {:ok, signature} = Curve.sign(private, message)
        assert Curve.verify(public, message, signature)
      end
    end
  end

  test "what is signed verifies, and nothing one bit away does" do
    for_seeds(1..100, fn _seed ->
      pair = Curve.generate_key_pair(private_key: bytes(32))
      message = bytes(1 + below(200))
      {:ok, signature} = Curve.sign(pair.private, message)

      assert Curve.verify(pair.public, message, signature)
      refute Curve.verify(pair.public, flip(message), signature)
      refute Curve.verify(pair.public, message, flip(signature))
      refute Curve.verify(Curve.generate_key_pair().public, message, signature)
    end)
  end

  test "a long message does not hold a scheduler that other processes need" do
    message = :binary.copy(<<7>>, 64_000_000)
    pair = Curve.generate_key_pair()
    test = self()
    :erlang.system_monitor(test, [{:long_schedule, 250}])
    on_exit(fn -> :erlang.system_monitor(:undefined) end)

    signer =
      spawn(fn ->
        {:ok, signature} = Curve.sign(pair.private, message)
        send(test, {:verified, Curve.verify(pair.public, message, signature)})
      end)

    assert_receive {:verified, true}, 60_000
    refute_received {:monitor, ^signer, :long_schedule, _info}
  end

  test "both sides agree on a secret" do
    for_seeds(1..50, fn _seed ->
      [one, two] = for _ <- 1..2, do: Curve.generate_key_pair(private_key: bytes(32))
      assert {:ok, secret} = Curve.shared_key(one.private, two.public)
      assert Curve.shared_key(two.private, one.public) == {:ok, secret}
      assert byte_size(secret) == 32
    end)
  end

  test "generated keys are raw, clamped and never the same" do
    pairs = for _ <- 1..100, do: Curve.generate_key_pair()
    assert length(Enum.uniq(pairs)) == 100

    for %{private: <<first, _::binary-size(30), last>>, public: <<_::binary-size(32)>>} <- pairs do
      assert {first &&& 7, last &&& 0xC0} == {0, 0x40}
    end
  end

  test "a signed key pair has the given pair, and signs its 33-byte public key" do
    identity = Curve.generate_key_pair()
    pair = Curve.generate_key_pair()

    assert {:ok, %{key_pair: ^pair, key_id: 0, signature: signature} = signed} =
             Curve.signed_key_pair(identity, 0, key_pair: pair)

    assert map_size(signed) == 3
    assert Curve.verify(identity.public, <<5, pair.public::binary>>, signature)
    refute Curve.verify(identity.public, pair.public, signature)
  end

  describe "wrong arguments are errors that show no key:" do
    @secret "a secret that must never be shown"

    test "private keys" do
      valid = Curve.generate_key_pair()

      for wrong <- [<<>>, "short", <<0::264>>, @secret, nil, 1, [1], %{}] do
        assert Curve.sign(wrong, "message") == {:error, :invalid_private_key}
        assert Curve.shared_key(wrong, valid.public) == {:error, :invalid_private_key}
        assert Curve.signed_key_pair(%{private: wrong}, 1) == {:error, :invalid_identity_key}
        assert_raise ArgumentError, fn -> Curve.generate_key_pair(private_key: wrong) end
      end
    end

    test "public keys" do
      valid = Curve.generate_key_pair()
      {:ok, signature} = Curve.sign(valid.private, "message")

      for wrong <- [<<>>, "short", <<6, 1::256>>, <<5, 1::264>>, @secret, nil, 1, [1], %{}] do
        assert Curve.shared_key(valid.private, wrong) == {:error, :invalid_public_key}
        assert Curve.generate_signal_pub_key(wrong) == {:error, :invalid_public_key}
        refute Curve.verify(wrong, "message", signature)

        assert Curve.signed_key_pair(valid, 1, key_pair: %{public: wrong, private: <<1::256>>}) ==
                 {:error, :invalid_public_key}
      end

      for low_order <- [<<0::256>>, <<1, 0::248>>] do
        assert Curve.shared_key(valid.private, low_order) == {:error, :invalid_public_key}
      end
    end

    test "identities and key ids" do
      valid = Curve.generate_key_pair()

      for {identity, id} <- [{"no map", 1}, {%{}, 1}, {nil, 1}, {valid, -1}, {valid, "1"}] do
        assert Curve.signed_key_pair(identity, id) == {:error, :invalid_identity_key}
      end
    end

    test "messages and signatures" do
      valid = Curve.generate_key_pair()
      refute Curve.verify(valid.public, nil, <<0::512>>)
      refute Curve.verify(valid.public, "message", nil)
      refute Curve.verify(valid.public, "message", <<0::504>>)
      refute Curve.verify(valid.public, "message", <<0::520>>)
      refute Curve.verify(valid.public, "message", <<0::512>>)
      assert_raise ArgumentError, fn -> Curve.sign(valid.private, :no_binary) end
    end

    test "what is raised does not hold the arguments" do
      for raising <- [
            fn -> Curve.generate_key_pair(private_key: @secret) end,
            fn -> Curve.sign(@secret, :no_binary) end
          ] do
        refute crash_report(raising) =~ "secret that"
      end
    end
  end

  # In the form that the logger prints, including the stack trace.
  defp crash_report(raising) do
    raising.()
    flunk("nothing was raised")
  rescue
    error in ArgumentError -> Exception.format(:error, error, __STACKTRACE__)
  end

  defp flip(binary) do
    {before, <<byte, rest::binary>>} = :erlang.split_binary(binary, below(byte_size(binary)))
    <<before::binary, bxor(byte, 1 <<< below(8)), rest::binary>>
  end
end
