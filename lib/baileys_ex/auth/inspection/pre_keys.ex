defmodule BaileysEx.Auth.Inspection.PreKeys do
  @moduledoc """
  Counts the pre-keys that an account has made and has left, and when they were made, from its keys and the
  counters in its credentials.

  A pre-key is made with the id `next_pre_key_id`, handed out, and deleted once somebody has started a session
  with it. Ids below `first_unuploaded_pre_key_id` have been handed out: uploaded to the server, or sent to
  one contact with a request to repeat a message. Therefore:

    * a stored pre-key with such an id is unused: the server may still give it to somebody
    * if there is no pre-key with such an id, it was used or lost; the two cannot be told apart
    * a pre-key with a higher id has not been handed out yet

  The file of a pre-key is written once, so its time is when the pre-key was made. A used pre-key leaves
  nothing behind, but ids are assigned in order: it was made between its two nearest neighbours that are still
  stored. If both have the same age, it has that age too. When it was used is unknown, except that it was
  after it was made. The number of pre-keys that the server still has is unknown too; Baileys asks the server
  at each connection.
  """

  alias BaileysEx.Auth.Inspection.Growth
  alias BaileysEx.Auth.State

  @typedoc """
    * `:made`: how many were ever made, by the counter `next_pre_key_id`; `nil` if that is not an integer
    * `:stored`: how many are stored, `unused + not_uploaded`
    * `:unused`: handed out and not used yet
    * `:not_uploaded`: made, and not handed out yet
    * `:used`: handed out, and no longer stored
    * `:ages`: how long ago the pre-keys were made: all, the unused and the used ones; `nil` if no times are
      known
  """
  @type t() :: %{
          made: non_neg_integer() | nil,
          stored: non_neg_integer(),
          unused: non_neg_integer(),
          not_uploaded: non_neg_integer(),
          used: non_neg_integer(),
          ages: %{made: Growth.known(), unused: Growth.known(), used: Growth.known()} | nil
        }

  @doc """
  Counts pre-keys from the credentials and from the ids of the stored pre-keys. Each id comes with the time at
  which the pre-key was made, in seconds since 1970. The result is `nil` if `first_unuploaded_pre_key_id` is
  not an integer. Without `now` there are no ages.

      iex> state = BaileysEx.Auth.State.new(first_unuploaded_pre_key_id: 5, next_pre_key_id: 7)
      iex> {now, days_ago} = {1_800_000_000, &(1_800_000_000 - &1 * 86_400)}
      iex> stored = [{"2", days_ago.(9)}, {"4", days_ago.(9)}, {"5", now}, {"6", now}]
      iex> counted = BaileysEx.Auth.Inspection.PreKeys.count(state, stored, now)
      iex> Map.delete(counted, :ages)
      %{made: 6, stored: 4, unused: 2, not_uploaded: 2, used: 2}
      iex> counted.ages.made
      %{day: 2, week: 0, month: 3, older: 0, unknown: 1}
      iex> counted.ages.used
      %{day: 0, week: 0, month: 1, older: 0, unknown: 1}
  """
  @spec count(State.t(), [{id :: String.t(), made :: integer() | nil}], now :: integer() | nil) ::
          t() | nil
  def count(%State{first_unuploaded_pre_key_id: first} = state, pre_keys, now)
      when is_integer(first) do
    made = made(state.next_pre_key_id)
    numbered = numbered(pre_keys)
    {uploaded, others} = Enum.split_with(pre_keys, fn {id, _made} -> uploaded?(id, first) end)
    gone = gone(numbered, first - 1, now)

    %{
      made: made,
      stored: length(pre_keys),
      unused: length(uploaded),
      not_uploaded: length(others),
      used: gone |> Map.values() |> Enum.sum(),
      ages:
        now &&
          %{
            made: ages_of_made(numbered, made || max(first - 1, 0), now),
            unused: Growth.known(times(uploaded), length(uploaded), now),
            used: gone
          }
    }
  end

  # Credentials without this counter can be loaded, but its value cannot be reconstructed.
  def count(%State{}, _pre_keys, _now), do: nil

  defp made(next) when is_integer(next), do: max(next - 1, 0)
  defp made(_unknown), do: nil

  defp uploaded?(id, first) do
    case Integer.parse(id) do
      {number, ""} -> number < first
      _no_number -> false
    end
  end

  defp numbered(pre_keys) do
    for(
      {id, made} <- pre_keys,
      {number, ""} when number > 0 <- [Integer.parse(id)],
      do: {number, made}
    )
    |> Enum.sort()
    |> Enum.uniq_by(&elem(&1, 0))
  end

  defp times(pre_keys), do: for({_id, made} when made != nil <- pre_keys, do: made)

  defp ages_of_made(numbered, last, now) do
    there = for {number, made} <- numbered, number <= last, do: {number, made}

    there
    |> times()
    |> Growth.known(length(there), now)
    |> Map.merge(gone(numbered, last, now), fn _span, some, more -> some + more end)
  end

  # Counts the missing ids up to `last` by the time at which they must have been made. The lower bound before
  # the first key is 1970, and the upper bound after the last is now. A counter may be any number, so this
  # computes the size of each gap instead of walking through it.
  defp gone(numbered, last, now) do
    none = %{day: 0, week: 0, month: 0, older: 0, unknown: 0}

    [{0, 0} | numbered]
    |> Enum.zip(numbered ++ [{last + 1, now}])
    |> Enum.reduce(none, fn {{low, after_time}, {high, before_time}}, gone ->
      missing = max(min(high, last + 1) - low - 1, 0)
      Map.update!(gone, between(after_time, before_time, now), &(&1 + missing))
    end)
  end

  defp between(from, to, now) when is_nil(from) or is_nil(to) or is_nil(now),
    do: :unknown

  defp between(from, to, now) do
    span = Growth.span(now - from)
    if Growth.span(now - to) == span, do: span, else: :unknown
  end
end
