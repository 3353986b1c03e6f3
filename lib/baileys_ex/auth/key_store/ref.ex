defmodule BaileysEx.Auth.KeyStore.Ref do
  @moduledoc """
  The reference of a running `BaileysEx.Auth.KeyStore`, made by its `wrap/1`.
  """

  @enforce_keys [:pid, :table]
  defstruct [:pid, :table]

  @type t() :: %__MODULE__{pid: pid(), table: :ets.tid()}
end
