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
    path = Accounts.path("engine")
    rows(path, context, "") ++ space(path) ++ after_deletions(context)
  end

  # The keys of both sides as the last round has left them, equally many on each side.
  defp space(path) do
    native = Path.join(path, "engine")
    sqlite = Path.join(path, "sqlite")
    keys = length(File.ls!(native))

    [
      stated(
        "disk taken by #{keys} native keys of 1 kB",
        kib(native) / 1024,
        kib(sqlite) / 1024,
        "MiB"
      ),
      stated("inodes of them", keys + 1, 1, "inodes"),
      Measure.sides([copy(sqlite), copy(native)], 3)
      |> then(&Report.times("cp -r of them, then sync", "the SQLite file", &1, nil))
      |> Report.print()
    ]
  end

  defp stated(work, value, reference, unit) do
    Report.print(%{
      work: work,
      value: value / 1,
      unit: unit,
      reference: "the SQLite file",
      reference_value: reference / 1,
      ratio: value / reference,
      target: nil
    })
  end

  defp kib(path) do
    {printed, 0} = System.cmd("du", ["-sk", path])
    printed |> String.split() |> hd() |> String.to_integer()
  end

  defp copy(from) do
    Measure.once(fn -> Accounts.path("copy") end, fn to ->
      {_, 0} = System.cmd("cp", ["-r", from, to])
      {_, 0} = System.cmd("sync", [])
    end)
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

  # ext4 without a journal skips each inode that was freed in the last minute.
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
