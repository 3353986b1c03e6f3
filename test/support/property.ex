defmodule BaileysEx.Test.Property do
  @moduledoc """
  Property tests without a dependency: a body runs with many seeds of `:rand`, and a failure names the
  seed that it happened with.
  """

  @doc """
  Runs a function of the seed, `:rand` seeded with it; one seed alone with `PROPERTY_SEED=n`.
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

  @doc "Random bytes of the seeded generator."
  @spec bytes(non_neg_integer()) :: binary()
  def bytes(length), do: :rand.bytes(length)

  @doc "One of the items."
  @spec one_of([item]) :: item when item: term()
  def one_of(items), do: Enum.random(items)

  @doc "A number from 0 up to, and without, the limit."
  @spec below(pos_integer()) :: non_neg_integer()
  def below(limit), do: :rand.uniform(limit) - 1

  defp only(nil), do: nil
  defp only(seed), do: [String.to_integer(seed)]
end
