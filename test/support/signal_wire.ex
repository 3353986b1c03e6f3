defmodule BaileysEx.Test.SignalWire do
  @moduledoc """
  The messages of Signal's wire format, as far as the tests read them: protocol buffers with varint and
  bytes fields, between a version byte and a MAC or a signature.

  Field numbers are those of libsignal's `WhisperTextProtocol.proto` and Baileys' `WAProto.proto`.
  """

  import Bitwise

  @version 0x33
  @mac_length 8
  @signature_length 64

  @doc "Returns a direct message; `signed` is what its MAC covers besides the identity keys."
  def whisper(message) do
    {body, mac} = split(message, @mac_length)
    <<@version, proto::binary>> = body
    %{1 => ephemeral, 2 => counter, 4 => ciphertext} = fields = fields(proto)

    %{
      ephemeral: ephemeral,
      counter: counter,
      previous_counter: Map.get(fields, 3, 0),
      ciphertext: ciphertext,
      signed: body,
      mac: mac
    }
  end

  @doc "Returns the first message of a session that has not been answered yet."
  def pre_key_whisper(<<@version, proto::binary>>) do
    %{2 => base_key, 3 => identity_key, 4 => message, 5 => registration_id, 6 => signed_id} =
      fields = fields(proto)

    %{
      pre_key_id: Map.get(fields, 1),
      base_key: base_key,
      identity_key: identity_key,
      message: whisper(message),
      registration_id: registration_id,
      signed_pre_key_id: signed_id
    }
  end

  @doc "Returns a group message."
  def sender_key(message) do
    {body, signature} = split(message, @signature_length)
    <<@version, proto::binary>> = body
    %{1 => id, 2 => iteration, 3 => ciphertext} = fields(proto)

    %{
      id: id,
      iteration: iteration,
      ciphertext: ciphertext,
      signed: body,
      signature: signature
    }
  end

  defp split(message, tail), do: :erlang.split_binary(message, byte_size(message) - tail)

  defp fields(<<>>), do: %{}

  defp fields(proto) do
    {tag, rest} = varint(proto)
    {value, rest} = value(tag &&& 7, rest)
    Map.put(fields(rest), tag >>> 3, value)
  end

  defp value(0, rest), do: varint(rest)

  defp value(2, rest) do
    {length, rest} = varint(rest)
    :erlang.split_binary(rest, length)
  end

  defp varint(<<0::1, low::7, rest::binary>>), do: {low, rest}

  defp varint(<<1::1, low::7, rest::binary>>) do
    {high, rest} = varint(rest)
    {high <<< 7 ||| low, rest}
  end
end
