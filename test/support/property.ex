defmodule BaileysEx.Test.Property do
  @moduledoc """
  Property tests without a dependency: a body runs with many seeds of `:rand`, and a failure names its seed.
  """

  @doc """
  Runs a function of the seed, with `:rand` seeded by it. `PROPERTY_SEED=n` selects a single seed.
  """
  @spec for_seeds(Range.t(), (integer() -> term())) :: :ok
  def for_seeds(seeds, body) do
    Enum.each(only(System.get_env("PROPERTY_SEED")) || seeds, fn seed ->
      :rand.seed(:exsss, {seed, seed, seed})

      try do
        body.(seed)
      rescue
        error in ExUnit.AssertionError ->
          message = "with PROPERTY_SEED=#{seed}: #{error.message}"
          reraise %{error | message: message}, __STACKTRACE__

        error ->
          IO.puts(:stderr, "with PROPERTY_SEED=#{seed}:")
          reraise error, __STACKTRACE__
      end
    end)
  end

  @doc "Returns random bytes from the seeded generator."
  @spec bytes(non_neg_integer()) :: binary()
  def bytes(length), do: :rand.bytes(length)

  @doc "Returns one of the items."
  @spec one_of([item]) :: item when item: term()
  def one_of(items), do: Enum.random(items)

  @doc "Returns a number from 0 to one less than the limit."
  @spec below(pos_integer()) :: non_neg_integer()
  def below(limit), do: :rand.uniform(limit) - 1

  defp only(nil), do: nil
  defp only(seed), do: [String.to_integer(seed)]
end
