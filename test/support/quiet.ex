defmodule BaileysEx.Test.Quiet do
  @moduledoc false

  @doc "Stops the calling process from logging."
  @spec log() :: :ok
  def log do
    # Elixir 1.14 has only the older function, about which later versions warn.
    if function_exported?(Logger, :put_process_level, 2),
      do: apply(Logger, :put_process_level, [self(), :none]),
      else: apply(Logger, :disable, [self()])
  end
end
