defmodule Bench.KeyStoreRows do
  @moduledoc false
  # The key store against its foundations, and against itself with one caller.

  alias Bench.{Accounts, Measure, Report, SlowFlush}
  alias BaileysEx.Auth.{KeyStore, NativeFilePersistence}

  @spec run(Bench.Saves.context()) :: [Report.row()]
  def run(context) do
    List.flatten([
      cached_get(context),
      for(keys <- [1, 3], do: transactions(context, keys, "", nil)),
      if SlowFlush.available?() do
        SlowFlush.with_millisecond(fn ->
          for keys <- [1, 3], do: transactions(context, keys, ", flush + 1 ms", {:at_least, 3})
        end)
      else
        []
      end
    ])
  end

  defp cached_get(context) do
    ref = start(Accounts.small(NativeFilePersistence, "store"))
    record = %{public: <<1::256>>, private: <<2::256>>}
    ids = Enum.map(1..50, &Integer.to_string/1)
    KeyStore.set(ref, %{"pre-key": Map.new(ids, &{&1, record})})
    table = :ets.new(:reference, [:set, :public, read_concurrency: true])
    for id <- ids, do: :ets.insert(table, {{:"pre-key", id}, record})
    each = fn read -> fn -> Enum.each(1..400, fn _ -> Enum.each(ids, read) end) end end
    side = fn read -> fn -> {elem(Measure.nanoseconds(each.(read)), 0), 400 * 50} end end

    [
      side.(fn id -> :ets.lookup(table, {:"pre-key", id}) end),
      side.(fn id -> KeyStore.get(ref, :"pre-key", [id]) end)
    ]
    |> Measure.sides(2 * context.rounds)
    |> then(&Report.times("KeyStore cached get of 1 key", ":ets.lookup", &1, {:at_most, 3}))
    |> Report.print()
  end

  # Transactions per second: the ratio says how many times more transactions sixteen callers complete.
  defp transactions(context, keys, note, target) do
    ref = start(Accounts.small(NativeFilePersistence, "store"))

    one = fn -> callers(ref, 1, 60, keys) end
    sixteen = fn -> callers(ref, 16, 20, keys) end
    # The ratio of times: how many times longer a transaction takes with one caller.
    %{reference: sixteen, work: one, ratio: ratio} = Measure.sides([sixteen, one], context.rounds)

    Report.print(%{
      work: "transactions of #{counted(keys)}, 16 callers#{note}",
      value: 1.0e9 / sixteen,
      unit: "/s",
      reference: "1 caller",
      reference_value: 1.0e9 / one,
      ratio: ratio,
      target: target
    })
  end

  defp counted(1), do: "1 key"
  defp counted(keys), do: "#{keys} keys"

  defp callers(ref, callers, times, keys) do
    {nanoseconds, _} =
      Measure.nanoseconds(fn ->
        1..callers
        |> Enum.map(fn caller ->
          Task.async(fn -> for n <- 1..times, do: transaction(ref, "#{caller}", n, keys) end)
        end)
        |> Task.await_many(:infinity)
      end)

    {nanoseconds, callers * times}
  end

  defp transaction(ref, caller, n, keys) do
    ids = for k <- 1..keys, do: "#{caller}#{k}"

    KeyStore.transaction(ref, caller, fn tx ->
      KeyStore.get(tx, :"pre-key", ids)

      KeyStore.set(tx, %{
        "pre-key": Map.new(ids, &{&1, %{public: <<n::256>>, private: <<n::256>>}})
      })
    end)
  end

  defp start(path) do
    {:ok, pid} =
      KeyStore.start_link(
        persistence_module: NativeFilePersistence,
        persistence_context: path
      )

    KeyStore.wrap(pid)
  end
end
