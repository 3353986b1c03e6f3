defmodule Bench.Measure do
  @moduledoc false
  # Times two or more sides alternately: the speed of a machine changes within seconds, so only measurements
  # taken side by side can be compared. A side is a function that does its work some times and returns
  # `{nanoseconds, times}`.

  # A rest before each side lets the system place the threads again. On few cores, a thread that waits for
  # another one's core makes either side twice as slow, and stays there while it is busy.
  @rest_ms 50

  @type side() :: (() -> {non_neg_integer(), pos_integer()})

  @typedoc "Nanoseconds for one piece of work, of each side, by round."
  @type rounds() :: [[float()]]

  @typedoc "Medians of two sides' nanoseconds, and of the ratio of work to reference in each round."
  @type comparison() :: %{reference: float(), work: float(), ratio: float()}

  @doc "Runs all sides, round by round."
  @spec rounds([side()], pos_integer()) :: rounds()
  def rounds(sides, count), do: for(round <- 1..count, do: round(sides, round))

  @doc "Compares two sides, given by their position."
  @spec compare(rounds(), non_neg_integer(), non_neg_integer()) :: comparison()
  def compare(rounds, reference, work) do
    %{
      reference: rounds |> Enum.map(&Enum.at(&1, reference)) |> median(),
      work: rounds |> Enum.map(&Enum.at(&1, work)) |> median(),
      ratio: rounds |> Enum.map(&(Enum.at(&1, work) / Enum.at(&1, reference))) |> median()
    }
  end

  @doc """
  A reference and the work that is compared to it. An additional first round warms up and does not count.
  """
  @spec sides([side()], pos_integer()) :: comparison()
  def sides([_reference, _work] = sides, count) do
    [_warm_up | rounds] = rounds(sides, count + 1)
    compare(rounds, 0, 1)
  end

  @doc "A side that runs `fun` some times."
  @spec times(pos_integer(), (() -> term()) | (pos_integer() -> term())) :: side()
  def times(count, fun) do
    fun = if is_function(fun, 0), do: fn _ -> fun.() end, else: fun

    fn ->
      {nanoseconds, _} = nanoseconds(fn -> repeat(fun, count) end)
      {nanoseconds, count}
    end
  end

  @doc "A side that runs `fun` once, with the result of `prepare`, whose time does not count."
  @spec once((() -> prepared), (prepared -> term())) :: side() when prepared: term()
  def once(prepare, fun) do
    fn ->
      prepared = prepare.()
      {nanoseconds, _} = nanoseconds(fn -> fun.(prepared) end)
      {nanoseconds, 1}
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

  # Every second round runs in the reverse order, because what one side leaves to be written slows the next.
  defp round(sides, round) do
    indexed = Enum.with_index(sides)
    order = if rem(round, 2) == 0, do: indexed, else: Enum.reverse(indexed)

    order
    |> Enum.map(fn {side, index} ->
      Process.sleep(@rest_ms)
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
