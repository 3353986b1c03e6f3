defmodule BaileysEx.Protocol.Proto.ADVDeviceIdentity do
  defstruct [:raw_id]

  def new, do: %__MODULE__{}
end

# What the account signs.
defmodule BaileysEx.Protocol.Proto.ADVSignedDeviceIdentity do
  defstruct [:details]

  def encode(identity), do: identity.details
  def decode(binary), do: {:ok, %__MODULE__{details: binary}}
end

defmodule BaileysEx.Protocol.Proto.ADVSignedDeviceIdentityHMAC do
  defstruct [:details, :hmac]
end
