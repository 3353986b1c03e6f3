defmodule BaileysEx.Auth.KeyStore.CacheTest do
  use ExUnit.Case, async: true

  alias BaileysEx.Auth.KeyStore
  alias BaileysEx.Auth.KeyStore.{Cache, OperationError}
  alias BaileysEx.Test.Backends.{Batch, KeyByKey, Table}
  alias BaileysEx.Test.Gate

  defp key(n), do: {:session, "#{n}"}
  defp entries(range), do: Map.new(range, &{key(&1), &1})

  describe "several keys at once" do
    test "are loaded if they are missing, and keep what was committed in the meantime" do
      cache = Cache.new(:infinity)
      Cache.put(cache, entries(1..1))

      load = fn [_, _, _] = keys ->
        Cache.put(cache, %{key(3) => :committed})
        {:ok, Map.take(%{key(2) => 2, key(3) => :read}, keys)}
      end

      assert {:ok, %{}} = Cache.load_many(cache, Enum.map(2..4, &key/1), load)
      expected = [{:ok, 1}, {:ok, 2}, {:ok, :committed}, :absent]
      assert Enum.map(1..4, &Cache.fetch(cache, key(&1))) == expected
    end

    test "are asked for again after an error" do
      cache = Cache.new(:infinity)
      assert {:error, :down} = Cache.load_many(cache, [key(1)], fn _keys -> {:error, :down} end)
      assert Cache.load(cache, key(1), fn -> {:ok, 1} end) == {:ok, 1}
    end
  end

  describe "a bounded cache" do
    test "never holds more than its bound, and what it holds is right" do
      cache = Cache.new(100)

      for n <- 1..2_000 do
        if rem(n, 2) == 0 do
          Cache.put(cache, %{key(n) => n})
        else
          assert Cache.load(cache, key(n), fn -> {:ok, n} end) == {:ok, n}
        end

        assert Cache.count(cache) <= 100
      end

      found = for n <- 1..2_000, {:ok, value} <- [Cache.fetch(cache, key(n))], do: {n, value}
      assert length(found) == 100
      assert Enum.all?(found, fn {n, value} -> n == value end)
    end

    test "holds to its bound when a commit is larger than it" do
      cache = Cache.new(10)
      Cache.put(cache, entries(1..1_000))
      assert Cache.count(cache) <= 10
    end

    test "keeps what is read again and again" do
      cache = Cache.new(50)
      Cache.put(cache, entries(1..10))

      for n <- 11..1_000 do
        for hot <- 1..10, do: assert(Cache.fetch(cache, key(hot)) == {:ok, hot})
        Cache.put(cache, %{key(n) => n})
      end
    end

    test "keeps what is pinned until it is put" do
      cache = Cache.new(5)
      Cache.pin(cache, entries(1..3))
      for n <- 10..100, do: Cache.put(cache, %{key(n) => n})
      for n <- 1..3, do: assert(Cache.fetch(cache, key(n)) == {:ok, n})
      Cache.put(cache, entries(1..3))
      for n <- 101..200, do: Cache.put(cache, %{key(n) => n})
      assert Cache.count(cache) <= 5
    end

    test "does not search the table to evict, however full of used entries it is" do
      work = fn size ->
        cache = Cache.new(size)
        Cache.put(cache, entries(1..size))
        for n <- 1..size, do: Cache.fetch(cache, key(n))
        {:reductions, before} = Process.info(self(), :reductions)
        for n <- 1..100, do: Cache.put(cache, %{key(size + n) => n})
        {:reductions, later} = Process.info(self(), :reductions)
        later - before
      end

      assert work.(20_000) < 3 * work.(1_000)
    end

    test "loses no write: the backend has everything that the cache has not" do
      for backend <- [Batch, KeyByKey] do
        table = Table.new()
        opts = [persistence_module: backend, persistence_context: table, max_cached_entries: 10]
        ref = KeyStore.wrap(start_supervised!({KeyStore, opts}))
        for n <- 1..500, do: KeyStore.set(ref, %{"lid-mapping": %{"#{n}" => "#{n}"}})
        for n <- 1..500//3, do: KeyStore.set(ref, %{"lid-mapping": %{"#{n}" => nil}})
        ids = Enum.map(1..500, &"#{&1}")
        expected = for n <- 1..500, rem(n, 3) != 1, into: %{}, do: {"#{n}", "#{n}"}
        assert KeyStore.get(ref, :"lid-mapping", ids) == expected
        assert Cache.count(ref.table) <= 10
        stop_supervised!(KeyStore.child_spec(opts).id)
      end
    end

    test "lets a store stand in front of many more keys than it holds" do
      table = Table.new()
      keys = 100_000
      for n <- 1..keys, do: Table.put(table, :"lid-mapping", "#{n}", "#{n}")
      opts = [persistence_module: Batch, persistence_context: table, max_cached_entries: 1_000]
      ref = KeyStore.wrap(start_supervised!({KeyStore, opts}))

      for n <- 1..keys do
        assert KeyStore.get(ref, :"lid-mapping", ["#{n}"]) == %{"#{n}" => "#{n}"}
      end

      bytes = :ets.info(ref.table, :memory) * :erlang.system_info(:wordsize)
      IO.puts("\n1000 of #{keys} keys cached: #{bytes} bytes")
      assert Cache.count(ref.table) <= 1_000
    end

    test "stays right under many readers and writers" do
      cache = Cache.new(20)
      disk = :ets.new(:disk, [:public])
      for n <- 1..100, do: :ets.insert(disk, {key(n), 0})

      writer =
        Task.async(fn ->
          for version <- 1..300, n <- Enum.take_random(1..100, 5) do
            :ets.insert(disk, {key(n), version})
            Cache.put(cache, %{key(n) => version})
          end
        end)

      readers =
        for _ <- 1..4 do
          Task.async(fn ->
            for _ <- 1..5_000 do
              key = key(:rand.uniform(100))

              {:ok, _} =
                Cache.load(cache, key, fn -> {:ok, :ets.lookup_element(disk, key, 2)} end)
            end
          end)
        end

      Task.await_many([writer | readers], 30_000)

      for n <- 1..100, {:ok, value} <- [Cache.fetch(cache, key(n))] do
        assert value == :ets.lookup_element(disk, key(n), 2)
      end

      assert Cache.count(cache) <= 20 + 4
    end
  end

  test "readers see the old values until a commit that goes key by key is over" do
    for answer <- [:ok, {:error, :enospc}], bound <- [:infinity, 1] do
      table = Table.new()
      for id <- ["a", "b"], do: Table.put(table, :"lid-mapping", id, "old")

      opts = [
        persistence_module: KeyByKey,
        persistence_context: table,
        max_commit_retries: 1,
        max_cached_entries: bound
      ]

      ref = KeyStore.wrap(start_supervised!({KeyStore, opts}, id: make_ref()))
      read = fn -> KeyStore.get(ref, :"lid-mapping", ["a", "b"]) end

      Gate.close(table, [:save_keys])
      commit = Task.async(fn -> change(ref, %{"a" => "new", "b" => "new"}) end)
      Gate.open(Gate.arrived(:save_keys))
      second = Gate.arrived(:save_keys)
      assert "new" in Map.values(Table.contents(table))
      # Other entries come and go in the cache in the meantime.
      KeyStore.get(ref, :session, Enum.map(1..100, &"#{&1}"))
      assert read.() == %{"a" => "old", "b" => "old"}

      Table.before_calls(table, fn _callback, _args -> :ok end)
      Gate.open(second, answer)
      Task.await(commit)
      expected = if answer == :ok, do: "new", else: "old"
      assert read.() == %{"a" => expected, "b" => expected}
      assert Map.values(Table.contents(table)) == [expected, expected]
    end
  end

  defp change(ref, ids) do
    KeyStore.set(ref, %{"lid-mapping": ids})
  rescue
    OperationError -> :failed
  end
end
