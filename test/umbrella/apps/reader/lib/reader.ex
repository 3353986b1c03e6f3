defmodule Reader do
  alias BaileysEx.Auth.NativeFilePersistence

  @doc "Lets the writer save under `path`, and loads the result. Raises if it differs."
  def run(path) do
    :ok = Writer.save(path)
    {:ok, %{platform: "android"}} = NativeFilePersistence.load_credentials(path)
    {:ok, "2"} = NativeFilePersistence.load_keys(path, :"lid-mapping", "1")
    IO.puts("umbrella: saved and loaded")
  end
end
