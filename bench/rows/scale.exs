defmodule Bench.Scale do
  @moduledoc false
  # What grows with the number of keys, and what must not.

  alias Bench.{Accounts, Measure, Report, Saves}
  alias BaileysEx.Auth.{NativeFilePersistence, PersistenceMigration}

  @small 10_000
  @large 100_000

  @spec run(Saves.context()) :: [Report.row()]
  def run(context) do
    rounds = context.slow_rounds
    small = migration(@small, 2 * rounds)
    large = migration(@large, rounds)

    [
      small |> Map.fetch!(:row),
      large |> Map.fetch!(:row),
      Report.print(%{
        work: "migration of #{@large} keys",
        value: large.ns / 1000,
        unit: "us",
        reference: "migration of #{@small} keys",
        reference_value: small.ns / 1000,
        ratio: large.ns / small.ns,
        target: {:at_most, 12}
      }),
      memory(large.source),
      flat(context, large.target)
    ]
  end

  # `cp -r` and `sync` of the same files; what either left is gone, and on disk, before the next.
  defp migration(keys, rounds) do
    source = Accounts.json("source", keys)
    target = Path.join(Path.dirname(source), "migrated")
    copy = Path.join(Path.dirname(source), "copied")

    clean = fn path ->
      File.rm_rf!(path)
      {_, 0} = System.cmd("sync", [])
    end

    clean.(target)

    cp =
      Measure.times(
        1,
        fn ->
          {_, 0} = System.cmd("cp", ["-r", source, copy])
          {_, 0} = System.cmd("sync", [])
        end,
        fn -> clean.(copy) end
      )

    migrate =
      Measure.times(
        1,
        fn -> {:ok, _} = PersistenceMigration.migrate_compat_json_to_native(source, target) end,
        fn -> clean.(target) end
      )

    %{ns: [_, ns]} = measured = Measure.sides([cp, migrate], rounds)
    clean.(copy)

    row =
      "migration of #{keys} keys to native"
      |> Report.times("cp -r of them, then sync", measured, {:at_most, 1.5})
      |> Report.print()

    %{row: row, ns: ns, source: source, target: target}
  end

  # In a VM of its own: this one has migrated, and has the memory for it already.
  defp memory(source) do
    target = Accounts.path("migrated for its memory")
    {printed, 0} = System.cmd("mix", ["run", "--no-compile", "bench/peak.exs", source, target])
    peak = printed |> String.trim() |> String.to_integer()
    File.rm_rf!(target)

    Report.print(%{
      work: "memory of migrating #{@large} keys, peak over the listing",
      value: peak / 1024,
      unit: "MiB",
      reference: nil,
      reference_value: nil,
      ratio: nil,
      target: {:at_most, 64}
    })
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
