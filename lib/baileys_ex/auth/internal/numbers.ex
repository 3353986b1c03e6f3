defmodule BaileysEx.Auth.Numbers do
  @moduledoc false
  # Numbers in sentences for people.

  @doc """
  An integer with separated thousands.

      iex> BaileysEx.Auth.Numbers.number(1234567)
      "1,234,567"
  """
  @spec number(integer()) :: String.t()
  def number(number) do
    number |> Integer.to_string() |> String.replace(~r/\B(?=(\d{3})+$)/, ",")
  end

  @doc """
  A count with its noun.

      iex> Enum.map([0, 1, 2000], &BaileysEx.Auth.Numbers.count(&1, "key"))
      ["0 keys", "1 key", "2,000 keys"]
  """
  @spec count(non_neg_integer(), String.t()) :: String.t()
  def count(1, noun), do: "1 #{noun}"
  def count(count, noun), do: "#{number(count)} #{noun}s"
end
