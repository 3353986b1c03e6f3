defmodule Reader do
  alias BaileysEx.Auth.NativeFilePersistence

  @doc "Has the writer save under `path`, and loads it; raises when it is not the same."
  def run(path) do
    :ok = Writer.save(path)
    {:ok, %{platform: "android"}} = NativeFilePersistence.load_credentials(path)
    {:ok, "2"} = NativeFilePersistence.load_keys(path, :"lid-mapping", "1")
    IO.puts("umbrella: saved and loaded")
  end
end
