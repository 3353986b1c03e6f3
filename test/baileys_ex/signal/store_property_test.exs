defmodule BaileysEx.Signal.StorePropertyTest do
  use ExUnit.Case, async: true

  alias BaileysEx.Test.{Backends, StoreDriver, Stores}

  @moduletag :tmp_dir
  @moduletag timeout: 300_000

  @sequences 1_000

  for name <- Stores.all() do
    test "#{inspect(name)} does what a map does in #{@sequences} random sequences", %{
      tmp_dir: dir
    } do
      name = unquote(name)

      for n <- 1..@sequences do
        StoreDriver.run(name, Stores.new_place(name, dir), {seed(), n, 1}, bound(name, n))
      end
    end
  end

  # What is put back after a failure takes up to nine calls, which do not fail as well.
  for {backend, spared} <- [{Backends.Batch, 0}, {Backends.KeyByKey, 9}] do
    test "#{inspect(backend)} that fails at random changes nothing when it does", %{tmp_dir: dir} do
      backend = unquote(backend)

      failed =
        for n <- 1..@sequences do
          table = Stores.new_place(backend, dir)
          calls = :counters.new(2, [])
          fail = fn _callback, _args -> fail_at_random(calls, n, unquote(spared)) end
          Backends.Table.before_calls(table, fail)
          opts = [max_commit_retries: rem(n, 2) + 1] ++ bound(backend, n)
          StoreDriver.run(backend, table, {seed(), n, 2}, opts)
        end

      assert Enum.sum(failed) > @sequences
    end
  end

  # A cache of two entries evicts all the time.
  defp bound(:memory, _n), do: []
  defp bound(_backend, n), do: if(rem(n, 2) == 0, do: [max_cached_entries: 2], else: [])

  defp seed, do: ExUnit.configuration()[:seed]

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
