defmodule Consumer do
  alias BaileysEx.Auth.{NativeFilePersistence, State}

  @doc "Saves and loads an identity and a key under `path`. Raises if either differs."
  def run(path) do
    {:ok, auth} = NativeFilePersistence.use_native_file_auth_state(path)
    :ok = auth.save_creds.(auth.state)
    :ok = NativeFilePersistence.save_keys(path, :"lid-mapping", "1", "2")

    {:ok, %{state: %State{} = state}} = NativeFilePersistence.use_native_file_auth_state(path)
    true = state == auth.state
    {:ok, "2"} = NativeFilePersistence.load_keys(path, :"lid-mapping", "1")
    IO.puts("consumer: saved and loaded")
  end
end
