defmodule BaileysEx.Signal.HKDF do
  @moduledoc false
  # HKDF with SHA-256 (RFC 5869), for the few fixed lengths that Signal derives.

  @hash_length 32

  @spec derive(binary(), binary(), binary(), pos_integer()) :: binary()
  def derive(input, salt, info, length) do
    key = hmac(salt, input)
    blocks = div(length + @hash_length - 1, @hash_length)

    {output, _last} =
      Enum.reduce(1..blocks, {<<>>, <<>>}, fn counter, {output, last} ->
        block = hmac(key, <<last::binary, info::binary, counter>>)
        {<<output::binary, block::binary>>, block}
      end)

    binary_part(output, 0, length)
  end

  @spec hmac(binary(), binary()) :: binary()
  def hmac(key, data), do: :crypto.mac(:hmac, :sha256, key, data)
end
