defmodule Bench.Engine do
  @moduledoc false
  # The engine beside SQLite, in one process: `bench/engine` says how.

  alias Bench.{Accounts, Measure, Report}

  @targets %{
    "commit of 1 key" => 0.9,
    "commit of 10 keys" => 0.9,
    "commit of 812 new keys" => 0.5,
    "ten commits of 812 new keys, until they are written out" => 1.5,
    "load of 1 key" => 1.5
  }

  @spec run(Bench.Saves.context()) :: [Report.row()]
  def run(context) do
    rows(Accounts.path("engine"), context, "") ++ after_deletions(context)
  end

  defp rows(path, context, note) do
    arguments = [path, Integer.to_string(context.rounds)]
    {printed, 0} = System.cmd(System.fetch_env!("BENCH_ENGINE"), arguments)

    rounds =
      printed
      |> String.split("\n", trim: true)
      |> Enum.map(&String.split(&1, "\t"))
      |> Enum.group_by(&hd/1, fn [_work | times] -> Enum.map(times, &String.to_integer/1) end)

    for {work, limit} <- Enum.sort(@targets) do
      target = if note == "", do: {:at_most, limit}

      Report.times(
        "engine: #{work}#{note}",
        "SQLite",
        Measure.compare(rounds[work], 1, 0),
        target
      )
      |> Report.print()
    end
  end

  # ext4 without a journal passes over each inode that was freed in the last minute.
  defp after_deletions(context) do
    deleted = Accounts.path("deleted")
    File.mkdir_p!(deleted)
    for n <- 1..20_000, do: File.write!(Path.join(deleted, "#{n}"), "", [:raw])
    File.rm_rf!(deleted)
    rounds = min(context.rounds, 3)
    note = ", after 20,000 files were deleted"
    rows(Accounts.path("engine"), %{context | rounds: rounds}, note)
  end
end
