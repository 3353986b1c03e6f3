defmodule BaileysEx.Signal.Group.SenderKeyState do
  @moduledoc """
  One sender key of a group: its chain, its signing key, and the keys of skipped messages.

  At most 2000 skipped keys are kept, as in Baileys (`MAX_MESSAGE_KEYS` in
  `lib/Signal/Group/sender-key-state.js`); the oldest is removed first. `inspect/1` shows only the id and
  counts.
  """

  alias BaileysEx.Signal.Curve
  alias BaileysEx.Signal.Group.SenderChainKey
  alias BaileysEx.Signal.Group.SenderMessageKey

  @max_message_keys 2000

  @typedoc "Only the sender itself has the private key."
  @type signing_key() :: %{public: binary(), private: binary() | nil}

  @typedoc "The state as plain data, as Baileys stores it, without values derived from a seed."
  @type structure() :: %{
          required(:sender_key_id) => non_neg_integer(),
          required(:sender_chain_key) => %{iteration: non_neg_integer(), seed: binary()},
          required(:sender_signing_key) => %{
            required(:public) => binary(),
            optional(:private) => binary() | nil
          },
          optional(:sender_message_keys) => [%{iteration: non_neg_integer(), seed: binary()}]
        }

  @type t() :: %__MODULE__{
          sender_key_id: non_neg_integer(),
          sender_chain_key: SenderChainKey.t(),
          sender_signing_key: signing_key(),
          sender_message_keys: [SenderMessageKey.t()]
        }

  defstruct [:sender_key_id, :sender_chain_key, :sender_signing_key, sender_message_keys: []]

  @doc """
  Returns a sender key without skipped messages, from its id, the number of its next message, the seed of its
  chain (32 bytes) and its signing key. A private key that is absent or empty becomes `nil`. Raises an
  `ArgumentError` if the signing key has no `:public`.

      iex> alias BaileysEx.Signal.Group.SenderKeyState
      iex> SenderKeyState.new(42, 0, <<0::256>>, %{public: <<1::256>>})
      #BaileysEx.Signal.Group.SenderKeyState<sender_key_id: 42, iteration: 0, skipped: 0>
  """
  @spec new(non_neg_integer(), non_neg_integer(), binary(), %{
          required(:public) => binary(),
          optional(:private) => binary() | nil
        }) :: t()
  def new(id, iteration, chain_key, signing_key) do
    %__MODULE__{
      sender_key_id: id,
      sender_chain_key: SenderChainKey.new(iteration, chain_key),
      sender_signing_key: signing_key(signing_key)
    }
  end

  @doc """
  Returns the state that this plain data describes.

      iex> BaileysEx.Signal.Group.SenderKeyState.from_structure(%{
      ...>   sender_key_id: 42,
      ...>   sender_chain_key: %{iteration: 7, seed: <<0::256>>},
      ...>   sender_signing_key: %{public: <<1::256>>},
      ...>   sender_message_keys: [%{iteration: 5, seed: <<2::256>>}]
      ...> })
      #BaileysEx.Signal.Group.SenderKeyState<sender_key_id: 42, iteration: 7, skipped: 1>

  Raises an `ArgumentError`, which does not show the data, if it does not describe a state.
  """
  @spec from_structure(structure()) :: t()
  def from_structure(
        %{
          sender_key_id: id,
          sender_chain_key: %{iteration: iteration, seed: seed},
          sender_signing_key: signing_key
        } = structure
      ) do
    keys = Map.get(structure, :sender_message_keys) || []

    %{new(id, iteration, seed, signing_key) | sender_message_keys: Enum.map(keys, &message_key/1)}
  end

  def from_structure(_structure), do: raise(ArgumentError, "not the structure of a sender key")

  @doc """
  Returns the state as plain data.

      iex> alias BaileysEx.Signal.Group.SenderKeyState
      iex> state = SenderKeyState.new(42, 0, <<0::256>>, %{public: <<1::256>>})
      iex> SenderKeyState.to_structure(state).sender_chain_key
      %{iteration: 0, seed: <<0::256>>}
  """
  @spec to_structure(t()) :: structure()
  def to_structure(%__MODULE__{} = state) do
    %{
      sender_key_id: state.sender_key_id,
      sender_chain_key: Map.take(state.sender_chain_key, [:iteration, :seed]),
      sender_signing_key: state.sender_signing_key,
      sender_message_keys: Enum.map(state.sender_message_keys, &Map.take(&1, [:iteration, :seed]))
    }
  end

  @doc """
  Whether this state keeps the key of the skipped message with this number.

      iex> alias BaileysEx.Signal.Group.SenderKeyState
      iex> state = SenderKeyState.new(42, 0, <<0::256>>, %{public: <<1::256>>})
      iex> SenderKeyState.has_sender_message_key?(state, 5)
      false
  """
  @spec has_sender_message_key?(t(), non_neg_integer()) :: boolean()
  def has_sender_message_key?(%__MODULE__{sender_message_keys: keys}, iteration) do
    Enum.any?(keys, &(&1.iteration == iteration))
  end

  @doc """
  Keeps the key of a skipped message. If this makes more than 2000, the oldest is removed.

      iex> alias BaileysEx.Signal.Group.{SenderKeyState, SenderMessageKey}
      iex> state = SenderKeyState.new(42, 0, <<0::256>>, %{public: <<1::256>>})
      iex> SenderKeyState.add_sender_message_key(state, SenderMessageKey.new(5, <<2::256>>))
      #BaileysEx.Signal.Group.SenderKeyState<sender_key_id: 42, iteration: 0, skipped: 1>
  """
  @spec add_sender_message_key(t(), SenderMessageKey.t()) :: t()
  def add_sender_message_key(
        %__MODULE__{sender_message_keys: keys} = state,
        %SenderMessageKey{} = key
      ) do
    %{state | sender_message_keys: Enum.take(keys ++ [key], -@max_message_keys)}
  end

  @doc """
  Removes and returns the key of a skipped message, as `{state, key}`. The key is `nil` if this state does not
  keep it.

      iex> alias BaileysEx.Signal.Group.{SenderKeyState, SenderMessageKey}
      iex> state = SenderKeyState.new(42, 0, <<0::256>>, %{public: <<1::256>>})
      iex> state = SenderKeyState.add_sender_message_key(state, SenderMessageKey.new(5, <<2::256>>))
      iex> {state, key} = SenderKeyState.remove_sender_message_key(state, 5)
      iex> key
      #BaileysEx.Signal.Group.SenderMessageKey<iteration: 5>
      iex> {^state, nil} = SenderKeyState.remove_sender_message_key(state, 5)
  """
  @spec remove_sender_message_key(t(), non_neg_integer()) :: {t(), SenderMessageKey.t() | nil}
  def remove_sender_message_key(%__MODULE__{sender_message_keys: keys} = state, iteration) do
    case Enum.split_while(keys, &(&1.iteration != iteration)) do
      {before, [key | rest]} -> {%{state | sender_message_keys: before ++ rest}, key}
      {_all, []} -> {state, nil}
    end
  end

  @doc """
  Replaces the chain, for example by the one of the next message.

      iex> alias BaileysEx.Signal.Group.{SenderChainKey, SenderKeyState}
      iex> state = SenderKeyState.new(42, 0, <<0::256>>, %{public: <<1::256>>})
      iex> SenderKeyState.put_sender_chain_key(state, SenderChainKey.next(state.sender_chain_key))
      #BaileysEx.Signal.Group.SenderKeyState<sender_key_id: 42, iteration: 1, skipped: 0>
  """
  @spec put_sender_chain_key(t(), SenderChainKey.t()) :: t()
  def put_sender_chain_key(%__MODULE__{} = state, %SenderChainKey{} = chain_key) do
    %{state | sender_chain_key: chain_key}
  end

  @doc """
  Returns the public signing key in its 33-byte form. A key that is neither 32 nor 33 bytes is returned
  unchanged.

      iex> alias BaileysEx.Signal.Group.SenderKeyState
      iex> state = SenderKeyState.new(42, 0, <<0::256>>, %{public: <<1::256>>})
      iex> SenderKeyState.signing_key_public(state)
      <<5, 1::256>>
  """
  @spec signing_key_public(t()) :: binary()
  def signing_key_public(%__MODULE__{sender_signing_key: %{public: public}}) do
    case Curve.generate_signal_pub_key(public) do
      {:ok, prefixed} -> prefixed
      {:error, :invalid_public_key} -> public
    end
  end

  @doc """
  Returns the private signing key, if this is our own sender key, or `nil` for that of another member.

      iex> alias BaileysEx.Signal.Group.SenderKeyState
      iex> state = SenderKeyState.new(42, 0, <<0::256>>, %{public: <<1::256>>})
      iex> SenderKeyState.signing_key_private(state)
      nil
  """
  @spec signing_key_private(t()) :: binary() | nil
  def signing_key_private(%__MODULE__{sender_signing_key: signing_key}) do
    Map.get(signing_key, :private)
  end

  defp signing_key(%{public: public} = signing_key) do
    %{public: public, private: present(Map.get(signing_key, :private))}
  end

  defp signing_key(_signing_key), do: raise(ArgumentError, "a signing key needs :public")

  defp present(<<>>), do: nil
  defp present(private), do: private

  defp message_key(%{iteration: iteration, seed: seed}), do: SenderMessageKey.new(iteration, seed)
  defp message_key(_key), do: raise(ArgumentError, "a message key needs :iteration and :seed")

  defimpl Inspect do
    alias BaileysEx.Auth.ShortInspect
    alias BaileysEx.Signal.Group.SenderKeyState

    def inspect(
          %{sender_chain_key: %{iteration: iteration}, sender_message_keys: keys} = state,
          opts
        )
        when is_integer(state.sender_key_id) and is_integer(iteration) and length(keys) >= 0 do
      shown = [sender_key_id: state.sender_key_id, iteration: iteration, skipped: length(keys)]
      ShortInspect.render(SenderKeyState, shown, opts)
    end

    def inspect(_malformed, opts), do: ShortInspect.render(SenderKeyState, [], opts)
  end
end
