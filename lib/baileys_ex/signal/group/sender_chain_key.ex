defmodule BaileysEx.Signal.Group.SenderChainKey do
  @moduledoc """
  The position of a sender's chain in a group: the number of the next message, and the seed from which its key
  and all later ones are derived. `inspect/1` shows only the number.
  """

  alias BaileysEx.Signal.Group.SenderMessageKey
  alias BaileysEx.Signal.HKDF

  @message_key_seed <<1>>
  @chain_key_seed <<2>>

  @type t() :: %__MODULE__{iteration: non_neg_integer(), seed: binary()}

  defstruct [:iteration, :seed]

  @doc """
  Returns a chain at this message number, with a seed of 32 bytes.

      iex> BaileysEx.Signal.Group.SenderChainKey.new(3, <<0::256>>)
      #BaileysEx.Signal.Group.SenderChainKey<iteration: 3>
  """
  @spec new(non_neg_integer(), binary()) :: t()
  def new(iteration, seed), do: %__MODULE__{iteration: iteration, seed: seed}

  @doc """
  Advances the chain by one message. The next seed is HMAC-SHA256 of the byte `2`, with the seed as its key,
  as in Baileys (`lib/Signal/Group/sender-chain-key.js`).

      iex> alias BaileysEx.Signal.Group.SenderChainKey
      iex> SenderChainKey.next(SenderChainKey.new(3, <<0::256>>))
      #BaileysEx.Signal.Group.SenderChainKey<iteration: 4>
  """
  @spec next(t()) :: t()
  # The guard matters: as of OTP 29, a failing operator puts its operands into the log.
  def next(%__MODULE__{iteration: iteration, seed: seed}) when is_integer(iteration) do
    %__MODULE__{iteration: iteration + 1, seed: HKDF.hmac(seed, @chain_key_seed)}
  end

  @doc """
  Returns the key of the message at the chain's position. Its seed is HMAC-SHA256 of the byte `1`, with the
  chain's seed as its key, as in Baileys (`lib/Signal/Group/sender-chain-key.js`).

      iex> alias BaileysEx.Signal.Group.SenderChainKey
      iex> SenderChainKey.sender_message_key(SenderChainKey.new(3, <<0::256>>))
      #BaileysEx.Signal.Group.SenderMessageKey<iteration: 3>
  """
  @spec sender_message_key(t()) :: SenderMessageKey.t()
  def sender_message_key(%__MODULE__{iteration: iteration, seed: seed}) do
    SenderMessageKey.new(iteration, HKDF.hmac(seed, @message_key_seed))
  end

  defimpl Inspect do
    alias BaileysEx.Auth.ShortInspect
    alias BaileysEx.Signal.Group.SenderChainKey

    def inspect(%{iteration: iteration}, opts) when is_integer(iteration) do
      ShortInspect.render(SenderChainKey, [iteration: iteration], opts)
    end

    def inspect(_malformed, opts), do: ShortInspect.render(SenderChainKey, [], opts)
  end
end
