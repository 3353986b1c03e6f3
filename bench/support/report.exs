defmodule Bench.Report do
  @moduledoc false
  # One table, on the terminal and as JSON.
  #
  # A row is `%{work, value, unit, reference, reference_value, ratio, target}`; `target` is
  # `{:at_most | :at_least, limit}` of the ratio (of the value where there is no reference), or
  # `nil` for a figure that is only stated.

  alias BaileysEx.Test.JSON

  @type row() :: %{
          work: String.t(),
          value: float(),
          unit: String.t(),
          reference: String.t() | nil,
          reference_value: float() | nil,
          ratio: float() | nil,
          target: {:at_most | :at_least, number()} | nil
        }

  @doc "A row of times: the work, its reference, and how they compare."
  @spec times(String.t(), String.t(), Bench.Measure.comparison(), target :: term()) :: row()
  def times(work, reference, comparison, target) do
    %{
      work: work,
      value: comparison.work / 1000,
      unit: "us",
      reference: reference,
      reference_value: comparison.reference / 1000,
      ratio: comparison.ratio,
      target: target
    }
  end

  @spec print(row()) :: row()
  def print(row) do
    IO.puts("| " <> Enum.map_join(cells(row), " | ", & &1) <> " |")
    row
  end

  @spec print_head() :: :ok
  def print_head do
    IO.puts("| work | measured | reference | measured | ratio | must reach | |")
    IO.puts("|---|---:|---|---:|---:|---:|---|")
  end

  @spec write_json([row()], Path.t()) :: :ok
  def write_json(rows, path) do
    document = %{
      date: DateTime.utc_now() |> DateTime.to_iso8601(),
      cores: System.schedulers_online(),
      otp: System.otp_release(),
      elixir: System.version(),
      command: "bin/bench",
      rows: Enum.map(rows, &json/1)
    }

    File.write!(path, JSON.encode(document) <> "\n")
  end

  @doc "Whether the row reaches its target; `nil` without one."
  @spec reached?(row()) :: boolean() | nil
  def reached?(%{target: nil}), do: nil
  def reached?(%{target: {:at_most, limit}} = row), do: compared(row) <= limit
  def reached?(%{target: {:at_least, limit}} = row), do: compared(row) >= limit

  defp compared(%{ratio: nil, value: value}), do: value
  defp compared(%{ratio: ratio}), do: ratio

  defp cells(row) do
    [
      row.work,
      quantity(row.value, row.unit),
      row.reference || "",
      (row.reference_value && quantity(row.reference_value, row.unit)) || "",
      (row.ratio && "#{decimals(row.ratio, 2)}×") || "",
      target(row),
      verdict(row)
    ]
  end

  defp quantity(microseconds, "us") when microseconds >= 1_000_000,
    do: "#{decimals(microseconds / 1_000_000, 2)} s"

  defp quantity(microseconds, "us") when microseconds >= 1_000,
    do: "#{decimals(microseconds / 1_000, 2)} ms"

  defp quantity(value, "us") when value < 10, do: "#{decimals(value, 2)} µs"
  defp quantity(value, "us"), do: "#{decimals(value, 0)} µs"
  defp quantity(value, unit), do: "#{decimals(value, 1)} #{unit}"

  defp target(%{target: nil}), do: "stated"
  defp target(%{target: {:at_most, limit}} = row), do: "≤ #{limit}#{mark(row)}"
  defp target(%{target: {:at_least, limit}} = row), do: "≥ #{limit}#{mark(row)}"

  defp mark(%{ratio: nil, unit: unit}), do: " " <> unit
  defp mark(_row), do: "×"

  defp verdict(row) do
    case reached?(row) do
      nil -> ""
      true -> "yes"
      false -> "**no**"
    end
  end

  defp json(row) do
    {bound, limit} = row.target || {nil, nil}

    row
    |> Map.delete(:target)
    |> Map.merge(%{must_be: bound, limit: limit, reached: reached?(row)})
  end

  defp decimals(number, decimals), do: :erlang.float_to_binary(number / 1, decimals: decimals)
end
