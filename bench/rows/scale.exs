defmodule Bench.Scale do
  @moduledoc false
  # What grows with the number of keys, and what must not grow.

  alias Bench.{Accounts, Measure, Report, Saves}
  alias BaileysEx.Auth.{NativeFilePersistence, PersistenceMigration}

  @small 10_000
  @large 100_000

  @spec run(Saves.context()) :: [Report.row()]
  def run(context) do
    small = Accounts.json("source", @small)
    large = Accounts.json("source", @large)

    # One set of rounds, so that the figures for growth come from one run too.
    sides = [copy(small), migrate(small), copy(large), migrate(large)]
    rounds = Measure.rounds(sides, context.slow_rounds)
    compare = fn reference, work -> Measure.compare(rounds, reference, work) end
    migrated = Accounts.path("migrated")

    [
      migration(@small, compare.(0, 1)),
      migration(@large, compare.(2, 3)),
      growth("migration", compare.(1, 3), {:at_most, 12}),
      growth("cp -r", compare.(0, 2), nil),
      memory(large, migrated),
      flat(context, migrated)
    ]
    |> List.flatten()
  end

  defp copy(source) do
    Measure.once(&target/0, fn target ->
      {_, 0} = System.cmd("cp", ["-r", source, target])
      {_, 0} = System.cmd("sync", [])
    end)
  end

  defp migrate(source) do
    Measure.once(&target/0, fn target ->
      {:ok, _} = PersistenceMigration.migrate_compat_json_to_native(source, target)
    end)
  end

  # First flushes what the previous side has left to be written.
  defp target do
    {_, 0} = System.cmd("sync", [])
    Accounts.path("target")
  end

  defp migration(keys, comparison) do
    "migration of #{keys} keys to native"
    |> Report.times("cp -r of them, then sync", comparison, {:at_most, 1.5})
    |> Report.print()
  end

  defp growth(work, comparison, target) do
    "#{work} of #{@large} keys"
    |> Report.times("#{work} of #{@small} keys", comparison, target)
    |> Report.print()
  end

  # In a separate VM, because this one has migrated and already has the memory for it.
  defp memory(source, target) do
    {printed, 0} = System.cmd("mix", ["run", "--no-compile", "bench/peak.exs", source, target])
    [over_listing, over_all] = printed |> String.split() |> Enum.map(&String.to_integer/1)

    for {kilobytes, over, target} <- [
          {over_listing, "the listing", {:at_most, 64}},
          {over_all, "the idle VM", nil}
        ] do
      Report.print(%{
        work: "memory of migrating #{@large} keys, peak over #{over}",
        value: kilobytes / 1024,
        unit: "MiB",
        reference: nil,
        reference_value: nil,
        ratio: nil,
        target: target
      })
    end
  end

  defp flat(context, large) do
    small = Accounts.small(NativeFilePersistence, "native")
    session = Accounts.session()
    for n <- 0..9, do: :ok = NativeFilePersistence.save_keys(large, :session, "#{n}.0", session)

    [
      Saves.save_side(NativeFilePersistence, small, session, 200),
      Saves.save_side(NativeFilePersistence, large, session, 200)
    ]
    |> Measure.sides(context.rounds)
    |> then(
      &Report.times(
        "native save of 1 key among #{@large}",
        "native save of 1 key among 10",
        &1,
        {:at_most, 1.2}
      )
    )
    |> Report.print()
  end
end
