defmodule BaileysEx.Signal.Group.SenderMessageKey do
  @moduledoc """
  The key of one group message. `inspect/1` shows only the number of the message.

  `iv` (16 bytes) and `cipher_key` (32 bytes) are derived from the seed, as in Baileys
  (`lib/Signal/Group/sender-message-key.js`): HKDF with SHA-256, a salt of 32 zero bytes and the info
  `"WhisperGroup"`.
  """

  alias BaileysEx.Signal.HKDF

  @type t() :: %__MODULE__{
          iteration: non_neg_integer(),
          iv: binary(),
          cipher_key: binary(),
          seed: binary()
        }

  defstruct [:iteration, :iv, :cipher_key, :seed]

  @doc """
  Returns the key of the message with this number, from a seed of 32 bytes.

      iex> key = BaileysEx.Signal.Group.SenderMessageKey.new(3, <<0::256>>)
      #BaileysEx.Signal.Group.SenderMessageKey<iteration: 3>
      iex> {byte_size(key.iv), byte_size(key.cipher_key)}
      {16, 32}
  """
  @spec new(non_neg_integer(), binary()) :: t()
  def new(iteration, seed) do
    <<iv::binary-size(16), cipher_key::binary-size(32)>> =
      HKDF.derive(seed, <<0::256>>, "WhisperGroup", 48)

    %__MODULE__{iteration: iteration, iv: iv, cipher_key: cipher_key, seed: seed}
  end

  defimpl Inspect do
    alias BaileysEx.Auth.ShortInspect
    alias BaileysEx.Signal.Group.SenderMessageKey

    def inspect(%{iteration: iteration}, opts) when is_integer(iteration) do
      ShortInspect.render(SenderMessageKey, [iteration: iteration], opts)
    end

    def inspect(_malformed, opts), do: ShortInspect.render(SenderMessageKey, [], opts)
  end
end
