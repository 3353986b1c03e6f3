defmodule BaileysEx.Auth.FilePersistence do
  alias BaileysEx.Auth.State

  def save_credentials(path, %State{} = state) do
    File.write(path, :erlang.term_to_binary(state))
  end

  def load_credentials(path, default \\ nil, read \\ &File.read/1) do
    case read.(path) do
      {:ok, binary} -> {:ok, :erlang.binary_to_term(binary)}
      {:error, :enoent} -> {:ok, default || State.new()}
    end
  end
end
