defmodule BaileysEx.Auth.KeyStore.TxRef do
  @moduledoc """
  The handle of a transaction of a `BaileysEx.Auth.KeyStore`, given to the callback of `transaction/3`.

  It ends with the callback.
  """

  @enforce_keys [:pid, :table, :tx_table]
  defstruct [:pid, :table, :tx_table]

  @type t() :: %__MODULE__{pid: pid(), table: :ets.tid(), tx_table: :ets.tid()}
end
