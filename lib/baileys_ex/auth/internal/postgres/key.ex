defmodule BaileysEx.Auth.Postgres.Key do
  @moduledoc false
  # The types and ids that a row can have.

  alias BaileysEx.Auth.{InvalidKeyError, Keys}

  # An index entry of PostgreSQL holds about 2,700 bytes for account, type and id together.
  @most_bytes 1024

  @doc "Returns an error for the first key that a row cannot have."
  @spec check([Keys.key()]) :: :ok | {:error, InvalidKeyError.t()}
  def check(keys), do: Enum.find_value(keys, :ok, &refused/1)

  defp refused({type, id}) do
    problem = text_problem(type) || text_problem(id)
    problem && {:error, %InvalidKeyError{type: shown(type), id: shown(id), problem: problem}}
  end

  defp text_problem(text) do
    cond do
      byte_size(text) > @most_bytes -> "is longer than #{@most_bytes} bytes"
      not String.valid?(text) -> "is not UTF-8 text"
      :binary.match(text, <<0>>) != :nomatch -> "holds a NUL"
      true -> nil
    end
  end

  defp shown(text), do: if(String.valid?(text), do: text, else: inspect(text))
end
