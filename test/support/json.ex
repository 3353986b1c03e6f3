defmodule BaileysEx.Test.JSON do
  @moduledoc false
  # A JSON reader and writer for the tests, independent of the library's own, because Elixir has one only
  # since 1.18. Objects are maps with string keys; `null` is nil.

  @spec decode!(binary()) :: term()
  def decode!(text) do
    {value, rest} = value(skip(text))
    "" = skip(rest)
    value
  end

  @spec encode(term()) :: String.t()
  def encode(nil), do: "null"
  def encode(value) when is_boolean(value), do: Atom.to_string(value)
  def encode(value) when is_number(value), do: to_string(value)
  def encode(value) when is_list(value), do: "[#{Enum.map_join(value, ",", &encode/1)}]"

  def encode(value) when is_map(value) do
    members = Enum.map_join(value, ",", fn {key, item} -> "#{encode(key)}:#{encode(item)}" end)
    "{#{members}}"
  end

  def encode(value) when is_atom(value), do: encode(Atom.to_string(value))

  def encode(value) when is_binary(value) do
    escaped =
      Regex.replace(~r/["\\\x00-\x1f]/, value, fn <<char>> ->
        "\\u" <> String.pad_leading(Integer.to_string(char, 16), 4, "0")
      end)

    ~s("#{escaped}")
  end

  defp value("{" <> rest), do: object(skip(rest), %{})
  defp value("[" <> rest), do: array(skip(rest), [])
  defp value("\"" <> rest), do: string(rest, [])
  defp value("true" <> rest), do: {true, rest}
  defp value("false" <> rest), do: {false, rest}
  defp value("null" <> rest), do: {nil, rest}

  defp value(text) do
    [number] = Regex.run(~r/^-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/, text)
    rest = binary_part(text, byte_size(number), byte_size(text) - byte_size(number))
    {number(number), rest}
  end

  defp number(text) do
    case Integer.parse(text) do
      {integer, ""} -> integer
      _ -> text |> Float.parse() |> elem(0)
    end
  end

  defp object("}" <> rest, members), do: {members, rest}
  defp object("," <> rest, members), do: object(skip(rest), members)

  defp object("\"" <> rest, members) do
    {key, rest} = string(rest, [])
    ":" <> rest = skip(rest)
    {value, rest} = value(skip(rest))
    object(skip(rest), Map.put(members, key, value))
  end

  defp array("]" <> rest, items), do: {Enum.reverse(items), rest}
  defp array("," <> rest, items), do: array(skip(rest), items)

  defp array(text, items) do
    {value, rest} = value(text)
    array(skip(rest), [value | items])
  end

  defp string("\"" <> rest, parts), do: {IO.iodata_to_binary(Enum.reverse(parts)), rest}

  defp string("\\u" <> <<high::binary-size(4), "\\u", low::binary-size(4), rest::binary>>, parts)
       when high >= "D800" and high <= "DBFF" do
    text = :unicode.characters_to_binary(unhex(high) <> unhex(low), :utf16, :utf8)
    string(rest, [text | parts])
  end

  defp string("\\u" <> <<code::binary-size(4), rest::binary>>, parts) do
    string(rest, [:unicode.characters_to_binary(unhex(code), :utf16, :utf8) | parts])
  end

  defp string(<<"\\", char, rest::binary>>, parts), do: string(rest, [unescape(char) | parts])
  defp string(<<char, rest::binary>>, parts), do: string(rest, [char | parts])

  defp unhex(code), do: Base.decode16!(code, case: :mixed)

  defp unescape(?n), do: ?\n
  defp unescape(?t), do: ?\t
  defp unescape(?r), do: ?\r
  defp unescape(?b), do: ?\b
  defp unescape(?f), do: ?\f
  defp unescape(char), do: char

  defp skip(<<char, rest::binary>>) when char in ~c" \t\r\n", do: skip(rest)
  defp skip(text), do: text
end
