defmodule BaileysEx.Signal.StorePropertyTest do
  use ExUnit.Case, async: true

  alias BaileysEx.Test.{Backends, Property, Quiet, StoreDriver, Stores}

  @moduletag timeout: 300_000

  @sequences 1_000

  for name <- Stores.all() do
    test "#{inspect(name)} does what a map does in #{@sequences} random sequences" do
      name = unquote(name)

      Property.for_seeds(seeds(), fn seed ->
        place = Stores.new_place(name)
        StoreDriver.run(name, place, bound(name, seed))
        Stores.delete_place(place)
      end)
    end
  end

  # Undoing a failed commit takes up to nine calls, which do not fail as well.
  for {backend, spared} <- [{Backends.Batch, 0}, {Backends.KeyByKey, 9}] do
    test "#{inspect(backend)} that fails at random changes nothing when it does" do
      backend = unquote(backend)
      failed = :counters.new(1, [])

      # Injected failures cause thousands of warnings, at which the logger would begin to drop those of other
      # tests.
      Quiet.log()

      Property.for_seeds(seeds(), fn seed ->
        table = Backends.Table.new()
        calls = :counters.new(2, [])
        fail = fn _callback, _args -> fail_at_random(calls, seed, unquote(spared)) end
        Backends.Table.before_calls(table, fail)
        opts = [max_commit_retries: rem(seed, 2) + 1] ++ bound(backend, seed)
        :counters.add(failed, 1, StoreDriver.run(backend, table, opts))
        Stores.delete_place(table)
      end)

      IO.puts("\n#{inspect(backend)}: #{:counters.get(failed, 1)} operations failed")
      assert :counters.get(failed, 1) > 0
    end
  end

  # Different seeds each time, and the same ones for the same `mix test --seed`.
  defp seeds do
    first = ExUnit.configuration()[:seed] * @sequences
    first..(first + @sequences - 1)
  end

  # A cache of two entries evicts all the time.
  defp bound(:memory, _seed), do: []
  defp bound(_backend, seed), do: if(rem(seed, 2) == 0, do: [max_cached_entries: 2], else: [])

  defp fail_at_random(calls, seed, spared) do
    :counters.add(calls, 1, 1)
    [call, last_failed] = for counter <- [1, 2], do: :counters.get(calls, counter)

    if call - last_failed > spared and rem(:erlang.phash2({seed, call}), 4) == 0 do
      :counters.put(calls, 2, call)
      {:error, :injected}
    else
      :ok
    end
  end
end
