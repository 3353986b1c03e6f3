defmodule BaileysEx.Signal.Group.SenderKeyRecord do
  @moduledoc """
  The sender keys of one member of a group, the newest last.

  At most 5 are kept, as in Baileys (`MAX_STATES` in `lib/Signal/Group/sender-key-record.js`); the oldest is
  removed first. `inspect/1` shows only their number.
  """

  alias BaileysEx.Signal.Group.SenderKeyState

  @max_states 5

  @type t() :: %__MODULE__{sender_key_states: [SenderKeyState.t()]}

  defstruct sender_key_states: []

  @doc """
  Returns a record without sender keys.

      iex> BaileysEx.Signal.Group.SenderKeyRecord.new()
      #BaileysEx.Signal.Group.SenderKeyRecord<states: 0>
  """
  @spec new() :: t()
  def new, do: %__MODULE__{}

  @doc """
  Whether the record has no sender keys.

      iex> alias BaileysEx.Signal.Group.SenderKeyRecord
      iex> SenderKeyRecord.empty?(SenderKeyRecord.new())
      true
  """
  @spec empty?(t()) :: boolean()
  def empty?(%__MODULE__{sender_key_states: states}), do: states == []

  @doc """
  Returns the newest sender key, which is the one to send with, or `nil` if there is none.

      iex> alias BaileysEx.Signal.Group.SenderKeyRecord
      iex> record = SenderKeyRecord.add_state(SenderKeyRecord.new(), 42, 0, <<0::256>>, <<1::256>>)
      iex> SenderKeyRecord.current_state(record)
      #BaileysEx.Signal.Group.SenderKeyState<sender_key_id: 42, iteration: 0, skipped: 0>
  """
  @spec current_state(t()) :: SenderKeyState.t() | nil
  def current_state(%__MODULE__{sender_key_states: states}), do: List.last(states)

  @doc """
  Returns the sender key with this id, which a message names, or `nil` if there is none. If two have the id,
  it is the older one, as in Baileys.

      iex> alias BaileysEx.Signal.Group.SenderKeyRecord
      iex> record = SenderKeyRecord.add_state(SenderKeyRecord.new(), 42, 0, <<0::256>>, <<1::256>>)
      iex> SenderKeyRecord.state_for_key_id(record, 42)
      #BaileysEx.Signal.Group.SenderKeyState<sender_key_id: 42, iteration: 0, skipped: 0>
      iex> SenderKeyRecord.state_for_key_id(record, 43)
      nil
  """
  @spec state_for_key_id(t(), non_neg_integer()) :: SenderKeyState.t() | nil
  def state_for_key_id(%__MODULE__{sender_key_states: states}, key_id) do
    Enum.find(states, &(&1.sender_key_id == key_id))
  end

  @doc """
  Adds a sender key that another member has distributed: its id, the number of its next message, the seed of
  its chain (32 bytes) and the public signing key (32 bytes, or 33 with the type byte).

      iex> alias BaileysEx.Signal.Group.SenderKeyRecord
      iex> SenderKeyRecord.add_state(SenderKeyRecord.new(), 42, 0, <<0::256>>, <<1::256>>)
      #BaileysEx.Signal.Group.SenderKeyRecord<states: 1>
  """
  @spec add_state(t(), non_neg_integer(), non_neg_integer(), binary(), binary()) :: t()
  def add_state(%__MODULE__{} = record, id, iteration, chain_key, signing_key) do
    append(record, SenderKeyState.new(id, iteration, chain_key, %{public: signing_key}))
  end

  @doc """
  Replaces all sender keys with this one, our own. It takes the arguments of `add_state/5`, but the signing
  key pair instead of the public key.

      iex> alias BaileysEx.Signal.Group.SenderKeyRecord
      iex> pair = BaileysEx.Signal.Curve.generate_key_pair()
      iex> SenderKeyRecord.set_state(SenderKeyRecord.new(), 42, 0, <<0::256>>, pair)
      #BaileysEx.Signal.Group.SenderKeyRecord<states: 1>
  """
  @spec set_state(
          t(),
          non_neg_integer(),
          non_neg_integer(),
          binary(),
          SenderKeyState.signing_key()
        ) ::
          t()
  def set_state(%__MODULE__{} = record, id, iteration, chain_key, key_pair) do
    %{record | sender_key_states: [SenderKeyState.new(id, iteration, chain_key, key_pair)]}
  end

  @doc """
  Replaces the sender key with the same id, which is the one that `state_for_key_id/2` finds, or adds it if
  there is none.

      iex> alias BaileysEx.Signal.Group.{SenderChainKey, SenderKeyRecord, SenderKeyState}
      iex> record = SenderKeyRecord.add_state(SenderKeyRecord.new(), 42, 0, <<0::256>>, <<1::256>>)
      iex> state = SenderKeyRecord.current_state(record)
      iex> chain_key = SenderChainKey.next(state.sender_chain_key)
      iex> next = SenderKeyState.put_sender_chain_key(state, chain_key)
      iex> SenderKeyRecord.current_state(SenderKeyRecord.put_state(record, next))
      #BaileysEx.Signal.Group.SenderKeyState<sender_key_id: 42, iteration: 1, skipped: 0>
  """
  @spec put_state(t(), SenderKeyState.t()) :: t()
  def put_state(%__MODULE__{sender_key_states: states} = record, %SenderKeyState{} = state) do
    case Enum.find_index(states, &(&1.sender_key_id == state.sender_key_id)) do
      nil -> append(record, state)
      index -> %{record | sender_key_states: List.replace_at(states, index, state)}
    end
  end

  defp append(%__MODULE__{sender_key_states: states} = record, state) do
    %{record | sender_key_states: Enum.take(states ++ [state], -@max_states)}
  end

  defimpl Inspect do
    alias BaileysEx.Auth.ShortInspect
    alias BaileysEx.Signal.Group.SenderKeyRecord

    def inspect(%{sender_key_states: states}, opts) when length(states) >= 0 do
      ShortInspect.render(SenderKeyRecord, [states: length(states)], opts)
    end

    def inspect(_malformed, opts), do: ShortInspect.render(SenderKeyRecord, [], opts)
  end
end
