defmodule BaileysEx.Protocol.Proto.ADVSignedDeviceIdentity do
  @moduledoc """
  The account's signature over this device, which WhatsApp sends during pairing: `creds.account`.

  All members are raw binaries, or `nil`. Baileys keeps them as base64 text. `inspect/1` shows the names of
  the members that are present, without their values.

  `encode/1` and `decode/1` use the protobuf form, that of `proto.ADVSignedDeviceIdentity` in Baileys
  (`WAProto`): four optional members of bytes, numbered 1 to 4 in the order of the struct.
  """

  @type t() :: %__MODULE__{
          details: binary() | nil,
          account_signature_key: binary() | nil,
          account_signature: binary() | nil,
          device_signature: binary() | nil
        }

  @members [:details, :account_signature_key, :account_signature, :device_signature]

  defstruct @members

  # The wire types of protobuf.
  @varint 0
  @fixed64 1
  @bytes 2
  @start_group 3
  @end_group 4
  @fixed32 5

  # The longest possible varint: 64 bits in ten bytes of seven bits, as protobuf.js reads them.
  @longest_varint 10

  @typedoc """
  Why bytes are not such a message: they end inside a member, or contain something that protobuf does not
  allow.
  """
  @type reason() :: :truncated | :invalid_protobuf

  @doc """
  Returns the message in protobuf. Members that are `nil` are left out.

      iex> alias BaileysEx.Protocol.Proto.ADVSignedDeviceIdentity
      iex> ADVSignedDeviceIdentity.encode(%ADVSignedDeviceIdentity{details: "ab"})
      <<0x0A, 2, "ab">>

  Raises an `ArgumentError`, which does not show the member, if one is neither a binary nor `nil`.
  """
  @spec encode(t()) :: binary()
  def encode(%__MODULE__{} = identity) do
    @members
    |> Enum.with_index(1)
    |> Enum.map(fn {name, number} -> encode_member(name, number, Map.fetch!(identity, name)) end)
    |> IO.iodata_to_binary()
  end

  @doc """
  Reads a message. As protobuf requires, the last of several values for a member counts, and unknown members
  are skipped. Other bytes are `{:error, reason}`, see `t:reason/0`.

      iex> alias BaileysEx.Protocol.Proto.ADVSignedDeviceIdentity
      iex> {:ok, identity} = ADVSignedDeviceIdentity.decode(<<0x0A, 2, "ab", 0x50, 1>>)
      iex> identity.details
      "ab"
      iex> ADVSignedDeviceIdentity.decode(<<0x0A, 3, "ab">>)
      {:error, :truncated}
  """
  @spec decode(binary()) :: {:ok, t()} | {:error, reason()}
  def decode(message) when is_binary(message), do: decode(message, %__MODULE__{})
  def decode(_message), do: {:error, :invalid_protobuf}

  defp encode_member(_name, _number, nil), do: []

  defp encode_member(_name, number, value) when is_binary(value) do
    [varint(Bitwise.bor(Bitwise.bsl(number, 3), @bytes)), varint(byte_size(value)), value]
  end

  defp encode_member(name, _number, _value), do: raise(ArgumentError, "#{name} must be a binary")

  defp varint(integer) when integer < 128, do: <<integer>>

  defp varint(integer) do
    [<<1::1, Bitwise.band(integer, 127)::7>>, varint(Bitwise.bsr(integer, 7))]
  end

  defp decode(<<>>, identity), do: {:ok, identity}

  defp decode(message, identity) do
    with {:ok, number, type, rest} <- tag(message),
         {:ok, value, rest} <- value(type, number, rest) do
      decode(rest, put(identity, number, type, value))
    end
  end

  # A member with an unexpected wire type counts as unknown.
  for {name, number} <- Enum.with_index(@members, 1) do
    defp put(identity, unquote(number), @bytes, value), do: %{identity | unquote(name) => value}
  end

  defp put(identity, _number, _type, _value), do: identity

  defp tag(message) do
    with {:ok, tag, rest} <- read_varint(message) do
      case {Bitwise.bsr(tag, 3), Bitwise.band(tag, 7)} do
        {number, type} when number in 1..0x1FFFFFFF -> {:ok, number, type, rest}
        _outside -> {:error, :invalid_protobuf}
      end
    end
  end

  defp value(@varint, _number, rest), do: read_varint(rest)
  defp value(@fixed64, _number, rest), do: take(rest, 8)
  defp value(@fixed32, _number, rest), do: take(rest, 4)
  defp value(@start_group, number, rest), do: skip_group([number], rest)

  defp value(@bytes, _number, rest) do
    with {:ok, length, rest} <- read_varint(rest), do: take(rest, length)
  end

  defp value(_end_group_or_none, _number, _rest), do: {:error, :invalid_protobuf}

  # Groups may be nested: a list of their numbers replaces recursion, however deep they are.
  defp skip_group([], rest), do: {:ok, nil, rest}

  defp skip_group([open | outer] = groups, rest) do
    case tag(rest) do
      {:ok, ^open, @end_group, rest} -> skip_group(outer, rest)
      {:ok, number, @start_group, rest} -> skip_group([number | groups], rest)
      {:ok, number, type, rest} -> skip_member(groups, type, number, rest)
      error -> error
    end
  end

  defp skip_member(groups, type, number, rest) do
    with {:ok, _value, rest} <- value(type, number, rest), do: skip_group(groups, rest)
  end

  defp take(rest, length) when byte_size(rest) >= length do
    {value, rest} = :erlang.split_binary(rest, length)
    {:ok, :binary.copy(value), rest}
  end

  defp take(_shorter, _length), do: {:error, :truncated}

  defp read_varint(rest), do: read_varint(rest, 0, 0)

  defp read_varint(_rest, @longest_varint, _value), do: {:error, :invalid_protobuf}

  defp read_varint(<<more::1, bits::7, rest::binary>>, count, value) do
    value = Bitwise.bor(value, Bitwise.bsl(bits, 7 * count))
    if more == 1, do: read_varint(rest, count + 1, value), else: {:ok, value, rest}
  end

  defp read_varint(<<>>, _count, _value), do: {:error, :truncated}

  defimpl Inspect do
    @members [:details, :account_signature_key, :account_signature, :device_signature]

    def inspect(identity, _opts) do
      names = Enum.filter(@members, &(Map.get(identity, &1) != nil))
      "#BaileysEx.Protocol.Proto.ADVSignedDeviceIdentity<#{Enum.join(names, ", ")}>"
    end
  end
end
