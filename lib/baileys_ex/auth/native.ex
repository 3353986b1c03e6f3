defmodule BaileysEx.Auth.Native do
  @moduledoc false
  # Stubs of the NIF, and nothing else. `native/auth_nif` says what each takes and gives.

  @on_load :load

  def load do
    :baileys_ex_auth
    |> Application.app_dir("priv/native/baileys_ex_auth_nif")
    |> String.to_charlist()
    |> :erlang.load_nif(0)
  end

  # Curve25519: `BaileysEx.Signal.Curve`
  def curve_generate_key_pair, do: :erlang.nif_error(:nif_not_loaded)
  def curve_public_key(_private), do: :erlang.nif_error(:nif_not_loaded)
  def curve_shared_secret(_private, _public), do: :erlang.nif_error(:nif_not_loaded)
  def curve_sign(_private, _message), do: :erlang.nif_error(:nif_not_loaded)
  def curve_verify(_public, _message, _signature), do: :erlang.nif_error(:nif_not_loaded)
end
