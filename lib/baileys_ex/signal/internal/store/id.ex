defmodule BaileysEx.Signal.Store.Id do
  @moduledoc false
  # The id of a key as text, as everything compares it.

  @doc "Raises for what has no text, and does not show it: it may be a value that is in the place of the id."
  @spec text!(term()) :: String.t()
  def text!(id) when is_binary(id), do: id

  def text!(id) do
    to_string(id)
  rescue
    _ in [ArgumentError, Protocol.UndefinedError, UnicodeConversionError] ->
      raise ArgumentError,
            "expected a type and an id that to_string/1 takes, such as a text or a number"
  end
end
