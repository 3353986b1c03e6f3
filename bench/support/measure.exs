defmodule Bench.Measure do
  @moduledoc false
  # Times two or more sides in turn: machines change speed within seconds, so only what is taken
  # side by side can be compared. A side is a function that does its work some times and returns
  # `{nanoseconds, times}`.

  @type side() :: (() -> {non_neg_integer(), pos_integer()})

  @doc """
  Medians of the sides' nanoseconds for one piece of work, and the medians of each side's ratio to
  the first within one round. The first round warms up and does not count.
  """
  @spec sides([side()], pos_integer()) :: %{ns: [float()], ratios: [float()]}
  def sides(sides, rounds) do
    [_warm_up | rounds] = for round <- 0..rounds, do: round(sides, round)

    %{
      ns: rounds |> Enum.zip_with(&median/1),
      ratios:
        rounds
        |> Enum.map(fn [one | _] = all -> Enum.map(all, &(&1 / one)) end)
        |> Enum.zip_with(&median/1)
    }
  end

  @doc "A side that runs `fun` some times. `prepare` runs before, and its time does not count."
  @spec times(pos_integer(), (() -> term()) | (pos_integer() -> term()), (() -> term())) :: side()
  def times(count, fun, prepare \\ fn -> :ok end) do
    fun = if is_function(fun, 0), do: fn _ -> fun.() end, else: fun

    fn ->
      prepare.()
      {nanoseconds, _} = nanoseconds(fn -> repeat(fun, count) end)
      {nanoseconds, count}
    end
  end

  @spec nanoseconds((() -> result)) :: {non_neg_integer(), result} when result: term()
  def nanoseconds(fun) do
    start = System.monotonic_time(:nanosecond)
    result = fun.()
    {System.monotonic_time(:nanosecond) - start, result}
  end

  @spec median([number()]) :: number()
  def median(numbers), do: numbers |> Enum.sort() |> Enum.at(div(length(numbers), 2))

  # Every other round in the other order: what one side leaves to be written out slows the next.
  defp round(sides, round) do
    indexed = Enum.with_index(sides)
    order = if rem(round, 2) == 0, do: indexed, else: Enum.reverse(indexed)

    order
    |> Enum.map(fn {side, index} ->
      {nanoseconds, times} = side.()
      {index, nanoseconds / times}
    end)
    |> Enum.sort()
    |> Enum.map(&elem(&1, 1))
  end

  defp repeat(_fun, 0), do: :ok

  defp repeat(fun, count) do
    fun.(count)
    repeat(fun, count - 1)
  end
end
