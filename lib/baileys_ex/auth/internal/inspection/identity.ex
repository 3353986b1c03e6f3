defmodule BaileysEx.Auth.Inspection.Identity do
  @moduledoc false
  # The identity of an account, from its credentials, if they could be read.

  alias BaileysEx.Auth.State

  @spec of(State.t() | nil) :: %{
          account: %{id: String.t() | nil, name: String.t() | nil, lid: String.t() | nil} | nil,
          registered?: boolean() | nil,
          paired?: boolean() | nil
        }
  def of(nil), do: %{account: nil, registered?: nil, paired?: nil}

  def of(%State{} = state) do
    %{
      account: %{id: State.me_id(state), name: State.me_name(state), lid: State.me_lid(state)},
      registered?: state.registered == true,
      paired?: State.paired?(state)
    }
  end
end
