defmodule Writer do
  alias BaileysEx.Auth.{NativeFilePersistence, State}

  @doc "Saves an identity and a key under `path`."
  def save(path) do
    :ok = NativeFilePersistence.save_credentials(path, State.new(platform: "android"))
    :ok = NativeFilePersistence.save_keys(path, :"lid-mapping", "1", "2")
  end
end
