defmodule BaileysEx.Auth.State do
  defstruct [:account, :me, toy: true]

  def new, do: %__MODULE__{}
end

defimpl Inspect, for: BaileysEx.Auth.State do
  def inspect(_state, _opts), do: "the client's own"
end
