defmodule BaileysEx.Auth.Inspection.Growth do
  @moduledoc """
  What grows in an auth directory, by when the file of each key was last written.

  A session is written with every message, so its age is the time since its last use; a pre-key, a mapping or a
  device list is written when it is made or renewed. In a copy, or after a migration, the time is that of the copy
  for files that were not linked.

  Nothing is deleted by age: a session that rests is as good as new, and a pre-key that was uploaded may be handed
  out after months.
  """

  @typedoc "How many keys were last written within a day, within a week, within 30 days, and before that."
  @type ages() :: %{
          day: non_neg_integer(),
          week: non_neg_integer(),
          month: non_neg_integer(),
          older: non_neg_integer()
        }

  @typedoc "A type of which there are more keys than expected."
  @type warning() :: %{type: atom() | String.t(), keys: pos_integer(), older: non_neg_integer()}

  @day 86_400

  @doc """
  Counts times, in seconds since 1970, by their age.

      iex> BaileysEx.Auth.Inspection.Growth.ages([1_000_000, 950_000, 400_001, 0], 1_000_000)
      %{day: 2, week: 1, month: 1, older: 0}
  """
  @spec ages([integer()], now :: integer()) :: ages()
  def ages(times, now) do
    Enum.reduce(times, %{day: 0, week: 0, month: 0, older: 0}, fn time, ages ->
      Map.update!(ages, span(now - time), &(&1 + 1))
    end)
  end

  @doc """
  The types with more keys than `above`, the most first.

      iex> alias BaileysEx.Auth.Inspection.Growth
      iex> ages = %{session: %{day: 2, week: 1, month: 0, older: 7}, "pre-key": %{day: 9, week: 0, month: 0, older: 0}}
      iex> Growth.warnings(ages, 9)
      [%{type: :session, keys: 10, older: 7}]
  """
  @spec warnings(%{optional(atom() | String.t()) => ages()}, above :: non_neg_integer()) ::
          [warning()]
  def warnings(ages, above) do
    for({type, of} <- ages, do: %{type: type, keys: keys(of), older: of.older})
    |> Enum.filter(&(&1.keys > above))
    |> Enum.sort_by(&{-&1.keys, to_string(&1.type)})
  end

  defp keys(ages), do: ages |> Map.values() |> Enum.sum()

  defp span(seconds) when seconds < @day, do: :day
  defp span(seconds) when seconds < 7 * @day, do: :week
  defp span(seconds) when seconds < 30 * @day, do: :month
  defp span(_seconds), do: :older
end
