defmodule BaileysEx.Signal.StoreTest do
  use ExUnit.Case, async: true

  import BaileysEx.Auth.TempDir

  alias BaileysEx.Auth.{KeyStore, Lock}
  alias BaileysEx.Signal.Store
  alias BaileysEx.Signal.Store.Memory
  alias BaileysEx.Test.{Stores, Values}

  doctest Store
  doctest Memory

  for name <- Stores.all() do
    describe "#{inspect(name)}:" do
      setup do
        name = unquote(name)
        place = Stores.new_place(name)
        {:ok, store} = Stores.start(name, place)
        if name in Stores.file_backends(), do: on_exit(fn -> Stores.delete_place(place) end)
        %{store: store}
      end

      test "get gives what was set, and leaves out what was not", %{store: store} do
        pair = Values.value(:"pre-key", 1)
        assert Store.set(store, %{"pre-key": %{"1" => pair}, "lid-mapping": %{"a" => "b"}}) == :ok
        assert Store.get(store, :"pre-key", ["1", "2"]) == %{"1" => pair}
        assert Store.get(store, :"lid-mapping", ["a"]) == %{"a" => "b"}
        assert Store.get(store, :"device-list", ["1", "a"]) == %{}
        assert Store.get(store, :"pre-key", []) == %{}
      end

      test "nil deletes, and deleting what is not there is fine", %{store: store} do
        Store.set(store, %{"lid-mapping": %{"a" => "1", "b" => "2"}})
        assert Store.set(store, %{"lid-mapping": %{"a" => nil, "c" => nil}}) == :ok
        assert Store.get(store, :"lid-mapping", ["a", "b", "c"]) == %{"b" => "2"}
      end

      test "an id is its string", %{store: store} do
        pair = Values.value(:"pre-key", 7)
        Store.set(store, %{"pre-key": %{7 => pair}})
        assert Store.get(store, :"pre-key", [7]) == %{"7" => pair}
        assert Store.transaction(store, "k", &Store.get(&1, :"pre-key", [7])) == %{"7" => pair}
      end

      test "a transaction gives its result, and is seen by others when it is over", context do
        store = context.store
        Store.set(store, %{"lid-mapping": %{"a" => "old", "b" => "old"}})

        result =
          Store.transaction(store, "k", fn tx ->
            Store.set(tx, %{"lid-mapping": %{"a" => "new", "b" => nil, "c" => "new"}})
            inside = Store.get(tx, :"lid-mapping", ["a", "b", "c"])
            {inside, Store.get(store, :"lid-mapping", ["a", "b", "c"])}
          end)

        assert result == {%{"a" => "new", "c" => "new"}, %{"a" => "old", "b" => "old"}}
        assert Store.get(store, :"lid-mapping", ["a", "b", "c"]) == %{"a" => "new", "c" => "new"}
      end

      test "a value that a transaction has read stays the same for it", %{store: store} do
        Store.set(store, %{"lid-mapping": %{"a" => "1"}})

        Store.transaction(store, "k", fn tx ->
          assert Store.get(tx, :"lid-mapping", ["a", "b"]) == %{"a" => "1"}
          others = %{"lid-mapping": %{"a" => "2", "b" => "2"}}
          :ok = Task.await(Task.async(fn -> Store.set(store, others) end))
          assert Store.get(tx, :"lid-mapping", ["a", "b"]) == %{"a" => "1"}
        end)

        assert Store.get(store, :"lid-mapping", ["a", "b"]) == %{"a" => "2", "b" => "2"}
      end

      test "a process in a transaction cannot save outside of it", context do
        %{store: store} = context
        Store.set(store, %{"lid-mapping": %{"a" => "1"}})

        Store.transaction(store, "k", fn tx ->
          for outside <- [
                fn -> Store.set(store, %{"lid-mapping": %{"b" => "2"}}) end,
                fn -> Store.clear(store) end
              ] do
            assert_raise ArgumentError, ~r/use the handle/, outside
            # A nested transaction does not end the outer one either.
            Store.transaction(store, "other", fn _inner -> :ok end)
            assert_raise ArgumentError, ~r/use the handle/, outside
          end

          Store.set(tx, %{"lid-mapping": %{"c" => "3"}})
        end)

        expected = %{"a" => "1", "c" => "3"}
        assert Store.get(store, :"lid-mapping", ["a", "b", "c"]) == expected
        assert Store.set(store, %{"lid-mapping": %{"b" => "2"}}) == :ok
      end

      test "a transaction that raises, throws or exits changes nothing", %{store: store} do
        for leave <- [fn -> raise "no" end, fn -> throw(:no) end, fn -> exit(:no) end] do
          try do
            Store.transaction(store, "k", fn tx ->
              Store.set(tx, %{"lid-mapping": %{"a" => "1"}})
              leave.()
            end)

            flunk("did not leave")
          catch
            kind, reason -> assert {kind, reason} != {:error, %ExUnit.AssertionError{}}
          end

          assert Store.get(store, :"lid-mapping", ["a"]) == %{}

          assert Task.await(Task.async(fn -> Store.transaction(store, "k", fn _ -> 1 end) end)) ==
                   1
        end
      end

      test "a nested transaction is a part of the outer one", %{store: store} do
        assert_raise RuntimeError, fn ->
          Store.transaction(store, "k", fn tx ->
            Store.set(tx, %{"lid-mapping": %{"a" => "1"}})

            Store.transaction(tx, "k", fn nested ->
              assert Store.in_transaction?(nested)
              assert Store.get(nested, :"lid-mapping", ["a"]) == %{"a" => "1"}
              Store.set(nested, %{"lid-mapping": %{"b" => "2"}})
            end)

            assert Store.get(tx, :"lid-mapping", ["b"]) == %{"b" => "2"}
            raise "both are undone"
          end)
        end

        assert Store.get(store, :"lid-mapping", ["a", "b"]) == %{}
      end

      test "a transaction on the store inside one with its key raises and does not hang",
           context do
        store = context.store

        assert_raise ArgumentError, ~r/use the handle/, fn ->
          Store.transaction(store, "k", fn _tx -> Store.transaction(store, "k", & &1) end)
        end

        assert Store.transaction(store, "k", fn _tx ->
                 Store.transaction(store, "other", fn _tx -> :ran end)
               end) == :ran
      end

      test "transactions with different keys run side by side", %{store: store} do
        Store.transaction(store, "k", fn _tx ->
          other = Task.async(fn -> Store.transaction(store, "l", fn _tx -> :ran end) end)
          assert Task.await(other) == :ran
        end)
      end

      test "a process of the callback can use its handle", %{store: store} do
        Store.transaction(store, "k", fn tx ->
          Task.await(Task.async(fn -> Store.set(tx, %{"lid-mapping": %{"a" => "1"}}) end))
          assert Store.get(tx, :"lid-mapping", ["a"]) == %{"a" => "1"}
        end)

        assert Store.get(store, :"lid-mapping", ["a"]) == %{"a" => "1"}
      end

      test "the handle of a transaction ends with it", %{store: store} do
        refute Store.in_transaction?(store)
        tx = Store.transaction(store, "k", fn tx -> Store.in_transaction?(tx) && tx end)
        refute Store.in_transaction?(tx)
        assert_raise ArgumentError, ~r/is over/, fn -> Store.get(tx, :session, ["a"]) end
        assert_raise ArgumentError, ~r/is over/, fn -> Store.set(tx, %{session: %{}}) end
        assert_raise ArgumentError, ~r/is over/, fn -> Store.clear(tx) end
      end

      test "clear deletes everything, in a transaction when it is over", %{store: store} do
        all = %{"lid-mapping": %{"a" => "1"}, "device-list": %{"b" => ["2"]}}
        Store.set(store, all)
        assert Store.clear(store) == :ok
        assert Store.get(store, :"lid-mapping", ["a"]) == %{}

        Store.set(store, all)

        Store.transaction(store, "k", fn tx ->
          Store.set(tx, %{"lid-mapping": %{"a" => "lost"}})
          Store.clear(tx)
          assert Store.get(tx, :"lid-mapping", ["a"]) == %{}
          Store.set(tx, %{"lid-mapping": %{"c" => "kept"}})
          assert Store.get(store, :"lid-mapping", ["a"]) == %{"a" => "1"}
        end)

        assert Store.get(store, :"lid-mapping", ["a", "c"]) == %{"c" => "kept"}
        assert Store.get(store, :"device-list", ["b"]) == %{}
      end

      test "changes of the wrong shape are refused without being shown", %{store: store} do
        for wrong <- [["TOPSECRET"], %{session: "TOPSECRET"}, %{"TOPSECRET" => %{}}] do
          for set <- [
                &Store.set(store, &1),
                &Store.transaction(store, "k", fn tx -> Store.set(tx, &1) end)
              ] do
            error = assert_raise ArgumentError, fn -> set.(wrong) end
            refute Exception.message(error) =~ "TOPSECRET"
          end
        end
      end

      test "64 processes x 200 transactions on 8 keys: every increment counts", context do
        context.store |> count_up(200) |> report(unquote(name))
      end
    end
  end

  defp count_up(store, times) do
    waits =
      for n <- 1..64 do
        id = "#{rem(n, 8)}"
        Task.async(fn -> for _ <- 1..times, do: add_one(store, id) end)
      end
      |> Task.await_many(120_000)
      |> List.flatten()

    ids = for n <- 0..7, do: "#{n}"
    counted = Store.get(store, :"lid-mapping", ids)
    assert counted == Map.new(ids, &{&1, "#{8 * times}"})
    waits
  end

  defp add_one(store, id) do
    asked = System.monotonic_time(:microsecond)

    Store.transaction(store, "counter:" <> id, fn tx ->
      waited = System.monotonic_time(:microsecond) - asked
      number = tx |> Store.get(:"lid-mapping", [id]) |> Map.get(id, "0") |> String.to_integer()
      Store.set(tx, %{"lid-mapping": %{id => "#{number + 1}"}})
      waited
    end)
  end

  # First come, first served: nobody waits much longer than a line of eight takes.
  defp report(waits, name) do
    sorted = Enum.sort(waits)
    median = Enum.at(sorted, div(length(sorted), 2))
    longest = List.last(sorted)

    IO.puts(
      "\n#{inspect(name)}: #{length(waits)} transactions, waits for the lock: median #{median} us, longest #{longest} us"
    )
  end

  describe "wrap_running/1" do
    test "finds a store by pid and by name, and takes a handle for itself" do
      {:ok, pid} = Memory.start_link(name: __MODULE__.Named)
      store = %Store{module: Memory, ref: Memory.wrap(pid)}

      for running <- [pid, __MODULE__.Named, {Memory, pid}, {Memory, __MODULE__.Named}, store] do
        assert Store.wrap_running(running) == store
      end
    end

    test "is nil if nothing runs" do
      assert Store.wrap_running(nil) == nil
      assert Store.wrap_running(__MODULE__.Nobody) == nil
      assert Store.wrap_running({Memory, __MODULE__.Nobody}) == nil
      assert Store.wrap_running({:global, __MODULE__.Nobody}) == nil
    end

    test "recognises a key store by its pid or name alone" do
      {:ok, tmp: tmp} = setup_temp_dir(%{})

      {:ok, pid} = KeyStore.start_link(name: __MODULE__.NamedKeys, persistence_context: tmp)

      store = %Store{module: KeyStore, ref: KeyStore.wrap(pid)}
      for running <- [pid, __MODULE__.NamedKeys], do: assert(Store.wrap_running(running) == store)
    end

    test "refuses a store of another module, which lives on with its keys" do
      {:ok, memory} = Memory.start_link()
      {:ok, tmp: tmp} = setup_temp_dir(%{})
      {:ok, keys} = KeyStore.start_link(persistence_context: tmp)
      Store.set(Store.wrap_running(memory), %{session: %{"a" => 1}})

      for {wrap, expected} <- [
            {fn -> KeyStore.wrap(memory) end, ~r/running BaileysEx.Auth.KeyStore$/},
            {fn -> Store.wrap_running({KeyStore, memory}) end, ~r/running BaileysEx.Auth.KeySt/},
            {fn -> Memory.wrap(keys) end, ~r/running BaileysEx.Signal.Store.Memory$/},
            {fn -> Store.wrap_running({Memory, keys}) end,
             ~r/running BaileysEx.Signal.Store.Mem/},
            {fn -> Store.wrap_running(Lock.Server) end, ~r/running store$/}
          ] do
        lock_server = Process.whereis(Lock.Server)
        assert_raise ArgumentError, expected, wrap
        assert Process.whereis(Lock.Server) == lock_server
      end

      assert Store.get(Store.wrap_running(memory), :session, ["a"]) == %{"a" => 1}
      assert %Store{module: KeyStore} = Store.wrap_running(keys)
      %{committer: committer} = :sys.get_state(keys)
      assert_raise ArgumentError, ~r/running store$/, fn -> Store.wrap_running(committer) end
      assert Process.alive?(committer)
    end

    test "refuses anything that names no process, without showing it" do
      for wrong <- ["TOPSECRET", 7, ["TOPSECRET"], %{}, {Memory, "TOPSECRET"}, {Memory, 7}],
          wrap <- [&Store.wrap_running/1, &KeyStore.wrap/1, &Memory.wrap/1] do
        error = assert_raise ArgumentError, ~r/^expected the pid or name/, fn -> wrap.(wrong) end
        refute Exception.message(error) =~ "TOPSECRET"
      end
    end
  end

  test "a memory store fits under a supervisor, with a name" do
    start_supervised!({Memory, name: __MODULE__.Supervised})
    store = Store.wrap_running(__MODULE__.Supervised)
    assert Store.set(store, %{session: %{"a" => :any_term}}) == :ok
    assert Store.get(store, :session, ["a"]) == %{"a" => :any_term}
  end
end
