defmodule BaileysEx.Auth.CLI.Ages do
  @moduledoc false
  # The ages of an account's keys, in tables that fit into 60 columns.

  alias BaileysEx.Auth.CLI.{Layout, Terminal}
  alias BaileysEx.Auth.Numbers

  @spans ["a day", "a week", "30 days", "before"]

  @doc "Returns the tables of a report on a directory, or on an account in a database, which has fewer of them."
  @spec tables(map(), Terminal.t()) :: iodata()
  def tables(report, terminal) do
    [
      table(terminal, ["last written within" | @spans], written(Map.get(report, :ages, %{}))),
      table(terminal, ["known within" | @spans] ++ ["unknown"], known(report))
    ]
  end

  defp table(_terminal, _header, []), do: []
  defp table(terminal, header, rows), do: ["\n", Layout.table(terminal, header, rows)]

  defp written(by_type) do
    for {type, ages} <- Enum.sort_by(by_type, fn {type, _ages} -> to_string(type) end) do
      row(Terminal.safe(to_string(type)), ages, [:day, :week, :month, :older])
    end
  end

  defp known(report) do
    pre_keys =
      for %{ages: %{} = ages} <- [report.pre_keys], {name, of} <- pre_keys(ages), do: {name, of}

    rows = pre_keys ++ [{"sessions used", report.sessions}]

    for {name, ages} <- rows,
        any?(ages),
        do: row(name, ages, [:day, :week, :month, :older, :unknown])
  end

  defp pre_keys(ages) do
    [
      {"pre-keys made", ages.made},
      {"  and unused", ages.unused},
      {"  and used", ages.used}
    ]
  end

  defp any?(ages), do: Enum.any?(ages, fn {_span, count} -> count > 0 end)

  defp row(name, ages, spans), do: [name | Enum.map(spans, &Numbers.number(ages[&1]))]
end
