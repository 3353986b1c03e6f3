defmodule BaileysEx.Auth.Inspection.PreKeys do
  @moduledoc """
  Counts how many pre-keys an account has left, from its files and the counters of its credentials.

  A pre-key is made with the id `next_pre_key_id`, uploaded, and deleted when somebody has started
  a session with it. Ids below `first_unuploaded_pre_key_id` were uploaded (Baileys' `uploadPreKeys`
  increases that counter), so:

    * an uploaded id whose file is there is unused: the server may still hand it out
    * an uploaded id whose file is gone was used
    * a file from that counter on has not been uploaded yet
  """

  alias BaileysEx.Auth.State

  @typedoc """
    * `:made`: how many were ever made, by the counter `next_pre_key_id`; `nil` where that is no integer
    * `:stored`: pre-keys on disk, `unused + not_uploaded`
    * `:unused`: uploaded and not used yet
    * `:not_uploaded`: made, and not uploaded yet
    * `:used`: uploaded once, and gone
  """
  @type t() :: %{
          made: non_neg_integer() | nil,
          stored: non_neg_integer(),
          unused: non_neg_integer(),
          not_uploaded: non_neg_integer(),
          used: non_neg_integer()
        }

  @doc """
  Counts from the credentials and the ids of the pre-keys on disk; `nil` where
  `first_unuploaded_pre_key_id` is no integer.

      iex> state = BaileysEx.Auth.State.new(first_unuploaded_pre_key_id: 4, next_pre_key_id: 6)
      iex> BaileysEx.Auth.Inspection.PreKeys.count(state, ["1", "3", "4", "5"])
      %{made: 5, stored: 4, unused: 2, not_uploaded: 2, used: 1}
  """
  @spec count(State.t(), [String.t()]) :: t() | nil
  def count(%State{first_unuploaded_pre_key_id: first} = state, ids) when is_integer(first) do
    {uploaded, others} = Enum.split_with(ids, &uploaded?(&1, first))
    unused = length(uploaded)

    %{
      made: made(state.next_pre_key_id),
      stored: length(ids),
      unused: unused,
      not_uploaded: length(others),
      used: max(first - 1 - unused, 0)
    }
  end

  # Credentials are read without it, and what it was cannot be told.
  def count(%State{}, _ids), do: nil

  defp made(next) when is_integer(next), do: max(next - 1, 0)
  defp made(_unknown), do: nil

  defp uploaded?(id, first) do
    case Integer.parse(id) do
      {number, ""} -> number < first
      _no_number -> false
    end
  end
end
