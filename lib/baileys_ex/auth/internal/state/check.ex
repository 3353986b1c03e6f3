defmodule BaileysEx.Auth.State.Check do
  @moduledoc false
  # Checks that a state contains an identity. A state without one must neither be saved nor be accepted as
  # credentials. Problems name the member and never show a value.

  @type problem() :: {member :: String.t(), problem :: String.t()}

  @spec identity(map()) :: :ok | {:error, problem()}
  def identity(state) do
    with :ok <- key_pair(state, :noise_key),
         :ok <- key_pair(state, :signed_identity_key),
         :ok <- optional_key_pair(state, :pairing_ephemeral_key),
         :ok <- signed_pre_key(state.signed_pre_key),
         :ok <- integer("registration_id", state.registration_id),
         :ok <- text("adv_secret_key", state.adv_secret_key) do
      map("unknown_fields", state.unknown_fields)
    end
  end

  defp optional_key_pair(state, field) do
    if Map.fetch!(state, field) == nil, do: :ok, else: key_pair(state, field)
  end

  defp key_pair(state, field), do: key_pair_at(Atom.to_string(field), Map.fetch!(state, field))

  defp key_pair_at(member, pair) do
    with :ok <- map(member, pair),
         :ok <- bytes(member <> ".public", Map.get(pair, :public), [32, 33]) do
      bytes(member <> ".private", Map.get(pair, :private), [32])
    end
  end

  defp signed_pre_key(signed) do
    with :ok <- map("signed_pre_key", signed),
         :ok <- key_pair_at("signed_pre_key.key_pair", Map.get(signed, :key_pair)),
         :ok <- integer("signed_pre_key.key_id", Map.get(signed, :key_id)) do
      bytes("signed_pre_key.signature", Map.get(signed, :signature), [64])
    end
  end

  defp map(_member, value) when is_map(value), do: :ok
  defp map(member, value), do: wrong(member, value, "is not a map")

  defp integer(_member, value) when is_integer(value) and value >= 0, do: :ok
  defp integer(member, value), do: wrong(member, value, "is not a non-negative integer")

  defp text(_member, value) when is_binary(value), do: :ok
  defp text(member, value), do: wrong(member, value, "is not text")

  defp bytes(member, value, lengths) when is_binary(value) do
    if byte_size(value) in lengths do
      :ok
    else
      {:error, {member, "has #{byte_size(value)} bytes instead of #{Enum.join(lengths, " or ")}"}}
    end
  end

  defp bytes(member, value, _lengths), do: wrong(member, value, "is not a binary")

  defp wrong(member, nil, _problem), do: {:error, {member, "is missing"}}
  defp wrong(member, _value, problem), do: {:error, {member, problem}}
end
