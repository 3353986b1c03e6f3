defmodule BaileysEx.Auth.CLI.Layout do
  @moduledoc false
  # Numbers, tables and lists for people.

  alias BaileysEx.Auth.CLI.Terminal
  alias BaileysEx.Auth.Numbers

  @shown 10

  @doc """
  Formats rows under a header: the first column aligned left, the others, which are numbers, aligned right.
  """
  @spec table(Terminal.t(), [String.t()], [[String.t()]]) :: iodata()
  def table(terminal, header, rows) do
    widths =
      [header | rows]
      |> Enum.zip_with(& &1)
      |> Enum.map(fn cells -> cells |> Enum.map(&String.length/1) |> Enum.max() end)

    [Terminal.paint(terminal, [:bright, row(header, widths)]), Enum.map(rows, &row(&1, widths))]
  end

  @doc "Formats names and values, one per line; leaves out a value of `nil`."
  @spec facts([{String.t(), iodata() | nil}]) :: iodata()
  def facts(facts) do
    facts = Enum.reject(facts, fn {_name, value} -> value == nil end)
    width = facts |> Enum.map(fn {name, _} -> String.length(name) end) |> Enum.max(fn -> 0 end)
    for {name, value} <- facts, do: ["  ", String.pad_trailing(name, width), "  ", value, "\n"]
  end

  @doc "Formats a title and up to ten items; returns nothing without items."
  @spec list(Terminal.t(), String.t(), [String.t()]) :: iodata()
  def list(_terminal, _title, []), do: []

  def list(terminal, title, items) do
    count = length(items)
    shown = items |> Enum.take(@shown) |> Enum.map(&["  ", Terminal.safe(&1), "\n"])

    more =
      if count > @shown, do: ["  and #{Numbers.number(count - @shown)} more (--json has all)\n"]

    head = Terminal.paint(terminal, [:bright, "#{title} (#{Numbers.number(count)})\n"])
    ["\n", head, shown, more || []]
  end

  @doc """
  A rounded size.

      iex> Enum.map([999, 2048, 5_000_000], &BaileysEx.Auth.CLI.Layout.size/1)
      ["999 B", "2.0 KiB", "4.8 MiB"]
  """
  @spec size(non_neg_integer()) :: String.t()
  def size(bytes) when bytes < 1024, do: "#{bytes} B"
  def size(bytes), do: size(bytes / 1024, ["KiB", "MiB", "GiB"])

  @doc """
  Minutes and seconds.

      iex> Enum.map([0, 75, 3700], &BaileysEx.Auth.CLI.Layout.duration/1)
      ["0:00", "1:15", "61:40"]
  """
  @spec duration(non_neg_integer()) :: String.t()
  def duration(seconds) do
    "#{div(seconds, 60)}:#{seconds |> rem(60) |> to_string() |> String.pad_leading(2, "0")}"
  end

  defp size(amount, [_unit | [_ | _] = units]) when amount >= 1024, do: size(amount / 1024, units)
  defp size(amount, [unit | _]), do: "#{Float.round(amount, 1)} #{unit}"

  defp row([first | rest], [width | widths]) do
    cells = rest |> Enum.zip(widths) |> Enum.map(fn {cell, w} -> String.pad_leading(cell, w) end)
    ["  ", Enum.intersperse([String.pad_trailing(first, width) | cells], "  "), "\n"]
  end
end
