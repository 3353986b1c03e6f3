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
end
