defmodule BaileysEx.Signal.Curve do
  @moduledoc """
  Curve25519 as Signal and Baileys use it: key pairs, agreement (X25519) and signatures (XEdDSA).

  A private key is 32 bytes. A public key is 32 bytes, or 33 with the type byte `5` in front (the "Signal
  public key"). Every function accepts both forms.

  The arithmetic is that of the `curve25519-dalek` crate. libsignal accepts its signatures and vice versa.

  No function shows a key: a wrong argument raises a named error rather than a `FunctionClauseError`, whose
  stack trace would print the arguments.
  """

  alias BaileysEx.Auth.{Native, Options}

  @type key_pair() :: %{public: binary(), private: binary()}

  @type signed_key_pair() :: %{
          key_pair: key_pair(),
          key_id: non_neg_integer(),
          signature: binary()
        }

  @type key_error() :: :invalid_private_key | :invalid_public_key | :invalid_identity_key

  @doc """
  Generates a key pair of raw 32-byte keys.

  With `:private_key` it returns the pair of that key, which is kept as given. Raises an `ArgumentError` if
  the key is not 32 bytes.

      iex> %{public: public, private: private} = BaileysEx.Signal.Curve.generate_key_pair()
      iex> {byte_size(public), byte_size(private)}
      {32, 32}

      iex> pair = BaileysEx.Signal.Curve.generate_key_pair(private_key: <<1::256>>)
      iex> pair == BaileysEx.Signal.Curve.generate_key_pair(private_key: <<1::256>>)
      true
  """
  @spec generate_key_pair(private_key: binary()) :: key_pair()
  def generate_key_pair(opts \\ []) do
    Options.check!(opts, [:private_key])

    case Keyword.fetch(opts, :private_key) do
      {:ok, private} -> key_pair_of(private)
      :error -> fresh_key_pair()
    end
  end

  @doc """
  Generates a pre-key and signs it with the identity, as Baileys' `signedKeyPair` does.

  The signature covers the 33-byte public key. `:key_pair` gives the pair to sign; otherwise a fresh one is
  generated. An invalid key is `{:error, reason}`, and the reason says which: `:invalid_identity_key`,
  `:invalid_private_key` or `:invalid_public_key`.

      iex> identity = BaileysEx.Signal.Curve.generate_key_pair()
      iex> {:ok, signed} = BaileysEx.Signal.Curve.signed_key_pair(identity, 7)
      iex> {:ok, public} = BaileysEx.Signal.Curve.generate_signal_pub_key(signed.key_pair.public)
      iex> {signed.key_id, BaileysEx.Signal.Curve.verify(identity.public, public, signed.signature)}
      {7, true}
  """
  @spec signed_key_pair(key_pair(), non_neg_integer(), key_pair: key_pair()) ::
          {:ok, signed_key_pair()} | {:error, key_error()}
  def signed_key_pair(identity_key_pair, key_id, opts \\ [])

  def signed_key_pair(%{private: private}, key_id, opts)
      when byte_size(private) == 32 and is_integer(key_id) and key_id >= 0 do
    Options.check!(opts, [:key_pair])
    key_pair = Keyword.get_lazy(opts, :key_pair, &fresh_key_pair/0)

    with {:ok, public} <- generate_signal_pub_key(public_of(key_pair)),
         {:ok, signature} <- sign(private, public) do
      {:ok, %{key_pair: key_pair, key_id: key_id, signature: signature}}
    end
  end

  def signed_key_pair(_identity_key_pair, _key_id, _opts), do: {:error, :invalid_identity_key}

  @doc """
  Signs a message. The signature is 64 bytes, and different each time.

      iex> pair = BaileysEx.Signal.Curve.generate_key_pair()
      iex> {:ok, signature} = BaileysEx.Signal.Curve.sign(pair.private, "message")
      iex> byte_size(signature)
      64

      iex> BaileysEx.Signal.Curve.sign("short", "message")
      {:error, :invalid_private_key}
  """
  @spec sign(binary(), binary()) :: {:ok, binary()} | {:error, :invalid_private_key}
  def sign(private, message) when is_binary(private) and is_binary(message) do
    private |> Native.curve_sign(message) |> random!()
  end

  def sign(_private, message) when is_binary(message), do: {:error, :invalid_private_key}
  def sign(_private, _message), do: raise(ArgumentError, "the message must be a binary")

  @doc """
  Whether the signature was made for this message with this key. Malformed arguments give `false`.

  Baileys' own `Curve.verify` returns `true` for every well-formed signature; this function checks the
  signature.

      iex> BaileysEx.Signal.Curve.verify("short", "message", "no signature")
      false
  """
  @spec verify(binary(), binary(), binary()) :: boolean()
  def verify(public, message, signature)
      when is_binary(public) and is_binary(message) and is_binary(signature) do
    Native.curve_verify(public, message, signature)
  end

  def verify(_public, _message, _signature), do: false

  @doc """
  Returns the 32-byte X25519 secret that the owner of `private` shares with the owner of `public`.

  A public key of low order, with which every secret would be zero, is `{:error, :invalid_public_key}`.

      iex> alice = BaileysEx.Signal.Curve.generate_key_pair()
      iex> bob = BaileysEx.Signal.Curve.generate_key_pair()
      iex> {:ok, secret} = BaileysEx.Signal.Curve.shared_key(alice.private, bob.public)
      iex> {:ok, secret} == BaileysEx.Signal.Curve.shared_key(bob.private, alice.public)
      true
  """
  @spec shared_key(binary(), binary()) ::
          {:ok, binary()} | {:error, :invalid_private_key | :invalid_public_key}
  def shared_key(private, public) when is_binary(private) and is_binary(public) do
    Native.curve_shared_secret(private, public)
  end

  def shared_key(private, _public) when is_binary(private), do: {:error, :invalid_public_key}
  def shared_key(_private, _public), do: {:error, :invalid_private_key}

  @doc """
  Returns the 33-byte form of a public key. Puts the type byte in front unless it is already there.

      iex> {:ok, key} = BaileysEx.Signal.Curve.generate_signal_pub_key(<<7::256>>)
      iex> key
      <<5, 7::256>>
      iex> BaileysEx.Signal.Curve.generate_signal_pub_key(key)
      {:ok, <<5, 7::256>>}

      iex> BaileysEx.Signal.Curve.generate_signal_pub_key("short")
      {:error, :invalid_public_key}
  """
  @spec generate_signal_pub_key(binary()) :: {:ok, binary()} | {:error, :invalid_public_key}
  def generate_signal_pub_key(<<5, _::binary-size(32)>> = public), do: {:ok, public}
  def generate_signal_pub_key(<<public::binary-size(32)>>), do: {:ok, <<5, public::binary>>}
  def generate_signal_pub_key(_public), do: {:error, :invalid_public_key}

  @doc """
  As `generate_signal_pub_key/1`, for code that cannot continue without the key: raises an `ArgumentError`,
  which does not show the key.

      iex> BaileysEx.Signal.Curve.ensure_signal_public_key!(<<7::256>>)
      <<5, 7::256>>
  """
  @spec ensure_signal_public_key!(binary()) :: binary()
  def ensure_signal_public_key!(public) do
    case generate_signal_pub_key(public) do
      {:ok, public} -> public
      {:error, :invalid_public_key} -> raise(ArgumentError, "the public key is not valid")
    end
  end

  @doc """
  Returns the key pair with its public key in the 33-byte form and its other members unchanged. Raises an
  `ArgumentError` if there is no valid public key.

      iex> pair = BaileysEx.Signal.Curve.generate_key_pair()
      iex> %{public: <<5, public::binary>>} = BaileysEx.Signal.Curve.ensure_signal_key_pair!(pair)
      iex> public == pair.public
      true
  """
  @spec ensure_signal_key_pair!(key_pair()) :: key_pair()
  def ensure_signal_key_pair!(key_pair) do
    public = ensure_signal_public_key!(public_of(key_pair))
    %{key_pair | public: public}
  end

  defp key_pair_of(private) when byte_size(private) == 32 do
    {:ok, public} = Native.curve_public_key(private)
    %{public: public, private: private}
  end

  defp key_pair_of(_private), do: raise(ArgumentError, ":private_key must be 32 bytes")

  defp fresh_key_pair do
    {:ok, {private, public}} = random!(Native.curve_generate_key_pair())
    %{public: public, private: private}
  end

  defp public_of(%{public: public}), do: public
  defp public_of(_key_pair), do: nil

  # Nothing can continue without randomness, and no caller could do better than stop.
  defp random!({:error, :no_randomness}), do: raise("the operating system gives no random bytes")
  defp random!(result), do: result
end
