defmodule BaileysEx.Test.Quiet do
  @moduledoc false

  @doc "From here on the calling process logs nothing."
  @spec log() :: :ok
  def log do
    # Elixir 1.14 has only the older one, which later versions warn of.
    if function_exported?(Logger, :put_process_level, 2),
      do: apply(Logger, :put_process_level, [self(), :none]),
      else: apply(Logger, :disable, [self()])
  end
end
