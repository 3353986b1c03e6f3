# Prints the table and writes it to bench/results.json. Started by bin/bench, which builds what this needs.
#
# Every ratio is taken side by side: the two sides alternate within a round, and the figure is the
# median over the rounds of the ratio within each. Times are medians too.

Code.require_file("../test/support/json.ex", __DIR__)

for file <- ~w(support/measure support/peer support/accounts support/slow_flush support/report
               rows/saves rows/loads rows/key_store rows/scale) do
  Code.require_file("#{file}.exs", __DIR__)
end

{options, [], []} = OptionParser.parse(System.argv(), strict: [only: :keep, quick: :boolean])

# Scale first: saves delete the files that they replace, which may make new ones slower for a while.
groups = [
  scale: &Bench.Scale.run/1,
  saves: &Bench.Saves.run/1,
  loads: &Bench.Loads.run/1,
  store: &Bench.KeyStoreRows.run/1
]

only = for {:only, name} <- options, do: String.to_existing_atom(name)

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

rows = for {name, group} <- groups, only == [] or name in only, row <- group.(context), do: row

Bench.Report.write_json(rows, Path.expand("results.json", __DIR__))
