defmodule BaileysEx.Pairing do
  alias BaileysEx.Auth.{FilePersistence, State}
  alias BaileysEx.Protocol.Proto.{ADVDeviceIdentity, ADVSignedDeviceIdentity}

  @doc "Pairs, saves under `path` and loads it again. Raises if the loaded state differs."
  def run(path) do
    signed = ADVSignedDeviceIdentity.encode(%ADVSignedDeviceIdentity{details: "device"})
    {:ok, account} = ADVSignedDeviceIdentity.decode(signed)
    %ADVDeviceIdentity{} = ADVDeviceIdentity.new()

    state = %{State.new() | account: account}
    :ok = FilePersistence.save_credentials(path, state)
    {:ok, ^state} = FilePersistence.load_credentials(path)
    IO.puts("client: paired and saved")
  end
end
