defmodule BaileysEx.Auth.Inspection.Growth do
  @moduledoc """
  Counts the keys of an auth directory by age, the time since the key's file was last written.

  A session is written with every message, so its age is the time since its last use. A pre-key, a mapping or
  a device list is written when it is made or renewed. After a copy or a migration, files that were not linked
  have the time of the copy, so the keys may be older than they look. The last use that is recorded inside a
  session survives a copy: see `last_uses/3`.

  Do not delete anything because of its age. A session works however long it has not been used, and the server
  may hand out a pre-key months after it was uploaded.
  """

  alias BaileysEx.Auth.Inspection.WarnAbove

  @typedoc "How many keys were last written within a day, within a week, within 30 days, and before that."
  @type ages() :: %{
          day: non_neg_integer(),
          week: non_neg_integer(),
          month: non_neg_integer(),
          older: non_neg_integer()
        }

  @typedoc "As `t:ages/0`, with the number of keys whose age is not known."
  @type known() :: %{
          day: non_neg_integer(),
          week: non_neg_integer(),
          month: non_neg_integer(),
          older: non_neg_integer(),
          unknown: non_neg_integer()
        }

  @typedoc """
  A type with more keys than expected. `:above` is the expected maximum. `:older` is the number of keys that
  have not been written for 30 days, or `nil` if no times are known.
  """
  @type warning() :: %{
          type: atom() | String.t(),
          keys: pos_integer(),
          above: non_neg_integer(),
          older: non_neg_integer() | nil
        }

  @day 86_400

  @doc """
  Counts times, in seconds since 1970, by age.

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
  As `ages/2`, if the times of only some of the `total` things are known.

      iex> BaileysEx.Auth.Inspection.Growth.known([1_000_000], 3, 1_000_000)
      %{day: 1, week: 0, month: 0, older: 0, unknown: 2}
  """
  @spec known([integer()], total :: non_neg_integer(), now :: integer()) :: known()
  def known(times, total, now),
    do: times |> ages(now) |> Map.put(:unknown, max(total - length(times), 0))

  @doc """
  Counts sessions by the last use in their records, in milliseconds since 1970.

      iex> BaileysEx.Auth.Inspection.Growth.last_uses([999_999_000], 2, 1_000_000)
      %{day: 1, week: 0, month: 0, older: 0, unknown: 1}
  """
  @spec last_uses([integer()], sessions :: non_neg_integer(), now :: integer()) :: known()
  def last_uses(milliseconds, sessions, now),
    do: milliseconds |> Enum.map(&div(&1, 1000)) |> known(sessions, now)

  @doc """
  The span that contains a moment this many seconds ago.

      iex> for day <- [0, 1, 8, 31], do: BaileysEx.Auth.Inspection.Growth.span(day * 86_400)
      [:day, :week, :month, :older]
  """
  @spec span(seconds_ago :: integer()) :: :day | :week | :month | :older
  def span(seconds) when seconds < @day, do: :day
  def span(seconds) when seconds < 7 * @day, do: :week
  def span(seconds) when seconds < 30 * @day, do: :month
  def span(_seconds), do: :older

  @doc """
  Returns the types with more keys than expected, the most numerous first. `ages` maps types to the result of
  `ages/2`, for the types for which it is known.

      iex> alias BaileysEx.Auth.Inspection.Growth
      iex> ages = %{session: %{day: 2, week: 1, month: 0, older: 7}}
      iex> Growth.warnings(%{session: 10, "pre-key": 9, "sender-key": 1}, 9, ages)
      [%{type: :session, keys: 10, above: 9, older: 7}]
      iex> Growth.warnings(%{session: 10, "pre-key": 9, "sender-key": 1}, %{"pre-key": 8})
      [%{type: :"pre-key", keys: 9, above: 8, older: nil}]
  """
  @spec warnings(
          %{optional(atom() | String.t()) => non_neg_integer()},
          BaileysEx.Auth.Inspection.warn_above(),
          %{optional(atom() | String.t()) => ages()}
        ) :: [warning()]
  def warnings(keys, warn_above, ages \\ %{}) do
    for {type, count} <- keys, above = WarnAbove.of(warn_above, type), count > above do
      %{type: type, keys: count, above: above, older: ages[type] && ages[type].older}
    end
    |> Enum.sort_by(&{-&1.keys, to_string(&1.type)})
  end
end
