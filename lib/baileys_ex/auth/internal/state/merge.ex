defmodule BaileysEx.Auth.State.Merge do
  @moduledoc false
  # How an update changes a field of the credentials.

  alias BaileysEx.Protocol.Proto.ADVSignedDeviceIdentity

  # Halves of two key pairs do not make a key pair: these fields are replaced, never merged.
  @whole [:noise_key, :pairing_ephemeral_key, :signed_identity_key, :signed_pre_key]

  # The names of the disappearing mode's members in an event of baileys_ex, and in a file of Baileys.
  @mode_names [
    ephemeral_expiration: "ephemeralExpiration",
    ephemeral_setting_timestamp: "ephemeralSettingTimestamp"
  ]

  @doc "Returns the new value of a field."
  @spec field(term(), old :: term(), update :: term()) :: term()
  def field(key, _old, new) when key in @whole, do: new
  def field(:account, nil, new), do: merge(%ADVSignedDeviceIdentity{}, new)

  def field(:account_settings, %{default_disappearing_mode: old_mode} = old, new)
      when is_map(old_mode) and is_map(new) do
    mode = without_twins(old_mode, Map.get(new, :default_disappearing_mode))
    merge(%{old | default_disappearing_mode: mode}, new)
  end

  def field(_key, old, new), do: merge(old, new)

  # If an update sets a member under one name, the other name is removed.
  defp without_twins(mode, update) when is_map(update) do
    pairs = @mode_names ++ Enum.map(@mode_names, fn {atom, name} -> {name, atom} end)
    Map.drop(mode, for({name, twin} <- pairs, is_map_key(update, name), do: twin))
  end

  defp without_twins(mode, _update), do: mode

  defp merge(old, new) when not is_map(old) or not is_map(new) or is_struct(new), do: new
  defp merge(old, new) when is_struct(old), do: struct(old, new)
  defp merge(old, new), do: Map.merge(old, new, fn _key, old, new -> merge(old, new) end)
end
