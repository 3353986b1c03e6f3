defmodule BaileysEx.Protocol.Proto.ADVSignedDeviceIdentity do
  @moduledoc """
  The account's signature over this device, as WhatsApp hands it out when pairing: `creds.account`.

  All members are raw binaries, or `nil`. Baileys keeps them as base64 text. The struct prints the
  names of the members it has, and no value.
  """

  @type t() :: %__MODULE__{
          details: binary() | nil,
          account_signature_key: binary() | nil,
          account_signature: binary() | nil,
          device_signature: binary() | nil
        }

  defstruct [:details, :account_signature_key, :account_signature, :device_signature]

  defimpl Inspect do
    @members [:details, :account_signature_key, :account_signature, :device_signature]

    def inspect(identity, _opts) do
      names = Enum.filter(@members, &(Map.get(identity, &1) != nil))
      "#BaileysEx.Protocol.Proto.ADVSignedDeviceIdentity<#{Enum.join(names, ", ")}>"
    end
  end
end
