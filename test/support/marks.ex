defmodule BaileysEx.Test.Marks do
  @moduledoc """
  Recognisable secrets: every binary of a term is filled with a mark, and printed text is searched for the
  mark in every form in which bytes are printed.
  """

  alias BaileysEx.Signal.Group.SenderMessageKey

  # Neither an identifier nor a multiple of three bytes, so that base64 has it at every alignment.
  @mark "zQ7/secret+MARK "

  # The fields that a state may show.
  @shown [:id, :name, :lid, :platform]

  def mark, do: @mark

  @doc "Returns a text that begins with the mark."
  @spec text(non_neg_integer()) :: String.t()
  def text(length), do: @mark |> String.duplicate(div(length, 16) + 1) |> binary_part(0, length)

  @doc "Returns the term with every binary filled, including keys of maps; lengths are kept."
  @spec plant(term()) :: term()
  def plant(%SenderMessageKey{} = key), do: SenderMessageKey.new(key.iteration, plant(key.seed))

  def plant(%module{} = struct) do
    struct!(module, struct |> Map.from_struct() |> plant())
  end

  def plant(map) when is_map(map) do
    map
    |> Enum.with_index()
    |> Map.new(fn
      {{key, value}, _} when key in @shown -> {key, value}
      {{key, value}, index} when is_binary(key) -> {plant_key(key, index), plant(value)}
      {{key, value}, _} -> {key, plant(value)}
    end)
  end

  def plant(list) when is_list(list), do: Enum.map(list, &plant/1)
  def plant(<<5, rest::binary-size(32)>>), do: <<5, plant(rest)::binary>>
  def plant(binary) when is_binary(binary), do: text(byte_size(binary))
  def plant(leaf), do: leaf

  # Different keys must stay different. The key of a chain is the base64 of a ratchet key.
  defp plant_key(key, index) do
    case Base.decode64(key) do
      {:ok, raw} when byte_size(raw) in [32, 33] -> Base.encode64(plant_key(raw, index))
      _ -> <<binary_part(plant(key), 0, byte_size(key) - 1)::binary, ?0 + rem(index, 70)>>
    end
  end

  @doc "Returns the form in which a text shows part of a mark, or `nil`."
  @spec shown(iodata()) :: String.t() | nil
  def shown(printed) do
    printed = IO.iodata_to_binary(printed)
    Enum.find_value(forms(), fn {name, form} -> if String.contains?(printed, form), do: name end)
  end

  defp forms do
    bytes = :binary.bin_to_list(@mark)
    numbers = Enum.slice(bytes, 4, 6)

    [
      {"text", "secret+MARK"},
      {"hexadecimal", Base.encode16(binary_part(@mark, 4, 8))},
      {"hexadecimal", Base.encode16(binary_part(@mark, 4, 8), case: :lower)},
      {"numbers", Enum.join(numbers, ", ")},
      {"numbers", Enum.join(numbers, ",")}
    ] ++
      for {alphabet, encode} <- [
            {"base64", &Base.encode64/1},
            {"base64url", &Base.url_encode64/1}
          ],
          shift <- 0..2 do
        {alphabet, encode.(String.duplicate("x", shift) <> @mark) |> String.slice(4..-5//1)}
      end
  end
end
