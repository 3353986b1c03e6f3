defmodule BaileysEx.Auth.JSON do
  @moduledoc false
  # Writes JSON, in ASCII so that no locale can spoil it. Members are sorted by name.

  @type value() ::
          nil
          | boolean()
          | number()
          | atom()
          | String.t()
          | DateTime.t()
          | [value()]
          | %{optional(atom() | String.t()) => value()}

  @doc """
  Encodes a value. Atoms become text; names lose a question mark at their end, which tools for JSON take for
  an operator. Bytes that are not text become U+FFFD.

      iex> IO.iodata_to_binary(BaileysEx.Auth.JSON.encode(%{b: [1, nil], a: "Zoë"}))
      ~S({"a":"Zo\\u00EB","b":[1,null]})
  """
  @spec encode(value()) :: iodata()
  def encode(nil), do: "null"
  def encode(value) when is_boolean(value), do: Atom.to_string(value)
  def encode(value) when is_atom(value), do: text(Atom.to_string(value))
  def encode(value) when is_integer(value), do: Integer.to_string(value)
  def encode(value) when is_float(value), do: Float.to_string(value)
  def encode(value) when is_binary(value), do: text(value)
  def encode(%DateTime{} = time), do: text(DateTime.to_iso8601(time))
  def encode(items) when is_list(items), do: [?[, items |> Enum.map(&encode/1) |> comma(), ?]]

  def encode(%{} = members) do
    pairs =
      members
      |> Enum.map(fn {name, value} -> {member_name(name), value} end)
      |> Enum.sort_by(&elem(&1, 0))
      |> Enum.map(fn {name, value} -> [text(name), ?:, encode(value)] end)

    [?{, comma(pairs), ?}]
  end

  defp member_name(name) when is_atom(name) do
    name |> Atom.to_string() |> String.trim_trailing("?")
  end

  defp member_name(name), do: name

  defp comma(items), do: Enum.intersperse(items, ?,)

  defp text(text), do: [?", escape(text, []), ?"]

  defp escape("", done), do: Enum.reverse(done)
  defp escape(<<?", rest::binary>>, done), do: escape(rest, ["\\\"" | done])
  defp escape(<<?\\, rest::binary>>, done), do: escape(rest, ["\\\\" | done])
  defp escape(<<?\n, rest::binary>>, done), do: escape(rest, ["\\n" | done])

  defp escape(<<char, rest::binary>>, done) when char in 0x20..0x7E do
    escape(rest, [char | done])
  end

  defp escape(<<char::utf8, rest::binary>>, done), do: escape(rest, [units(char) | done])
  defp escape(<<_no_text, rest::binary>>, done), do: escape(rest, [units(0xFFFD) | done])

  # Characters beyond 16 bits become two UTF-16 units.
  defp units(char) do
    for <<(unit::16 <- <<char::utf16>>)>> do
      ["\\u", unit |> Integer.to_string(16) |> String.pad_leading(4, "0")]
    end
  end
end
