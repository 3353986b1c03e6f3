# Prints the table and writes it to bench/results.json. Started by bin/bench, which builds what this needs.
#
# Every ratio is taken side by side: the two sides alternate within a round, and the figure is the
# median over the rounds of the ratio within each. Times are medians too.

for file <- ~w(json postgres_server postgres_driver) do
  Code.require_file("../test/support/#{file}.ex", __DIR__)
end

for file <-
      ~w(support/measure support/peer support/accounts support/slow_flush support/report
               rows/engine rows/saves rows/loads rows/key_store rows/many rows/postgres rows/scale) do
  Code.require_file("#{file}.exs", __DIR__)
end

# Scale first: saves delete the files that they replace, which may slow the creation of files for a while.
groups = [
  scale: &Bench.Scale.run/1,
  saves: &Bench.Saves.run/1,
  loads: &Bench.Loads.run/1,
  store: &Bench.KeyStoreRows.run/1,
  many: &Bench.Many.run/1,
  postgres: &Bench.Postgres.run/1,
  # Deletes many files, so nothing comes after it.
  engine: &Bench.Engine.run/1
]

known = Enum.map(groups, fn {name, _} -> Atom.to_string(name) end)

{options, rest, invalid} =
  OptionParser.parse(System.argv(), strict: [only: :keep, quick: :boolean])

named = Keyword.get_values(options, :only)

if rest != [] or invalid != [] or Enum.any?(named, &(&1 not in known)) do
  IO.puts(:stderr, "usage: bin/bench [--only GROUP]... [--quick]")
  IO.puts(:stderr, "GROUP is one of #{Enum.join(known, ", ")}")
  System.halt(2)
end

context = %{
  floor: Bench.Peer.floor(),
  node: Bench.Peer.baileys(),
  rounds: if(options[:quick], do: 3, else: 9),
  slow_rounds: if(options[:quick], do: 1, else: 3)
}

IO.puts(
  "#{Date.utc_today()}, #{System.schedulers_online()} cores, Elixir #{System.version()}, OTP #{System.otp_release()}\n"
)

Bench.Report.print_head()

rows =
  for {name, group} <- groups,
      named == [] or Atom.to_string(name) in named,
      row <- group.(context),
      do: row

Bench.Report.write_json(rows, Path.expand("results.json", __DIR__))
