defmodule BaileysEx.Auth.KeyStore.CommitTest do
  # Concurrent commits, and processes that die around them.
  use ExUnit.Case, async: true

  alias BaileysEx.Auth.{InvalidTermError, KeyStore}
  alias BaileysEx.Auth.KeyStore.OperationError
  alias BaileysEx.Test.Backends.{Batch, KeyByKey, Table}
  alias BaileysEx.Test.Gate

  setup do
    %{table: Table.new()}
  end

  defp start(backend, table, opts \\ []) do
    {:ok, pid} = start_link(backend, table, opts)
    KeyStore.wrap(pid)
  end

  defp start_link(backend, table, opts \\ []) do
    defaults = [persistence_module: backend, persistence_context: table]
    KeyStore.start_link(Keyword.merge(defaults ++ [delay_between_tries_ms: 0], opts))
  end

  defp set(ref, id, value), do: KeyStore.set(ref, %{"lid-mapping": %{id => value}})
  defp get(ref, id), do: KeyStore.get(ref, :"lid-mapping", [id])[id]

  # Before this returns, the requests are in the committer's mailbox or pending, in the order of `funs`.
  defp queue_up(funs) do
    Enum.map(funs, fn fun ->
      task = Task.async(fn -> attempt(fun) end)
      await_waiting(task.pid)
      task
    end)
  end

  defp attempt(fun) do
    {:ok, fun.()}
  rescue
    error in OperationError -> {:failed, error.reason}
  end

  defp await_waiting(pid) do
    case Process.info(pid, [:status, :current_function]) do
      [status: :waiting, current_function: {:gen, _, _}] -> :ok
      nil -> flunk("ended early")
      _ -> Process.sleep(1) && await_waiting(pid)
    end
  end

  describe "commits that arrive while one is being written" do
    test "are written together, the last one wins, and all are answered", %{table: table} do
      ref = start(Batch, table)
      Gate.close(table, [:commit_keys])
      first = Task.async(fn -> set(ref, "first", "1") end)
      gate = Gate.arrived(:commit_keys)

      sets = for n <- 1..7, do: fn -> set(ref, "same", "#{n}") end

      own =
        for n <- 1..8,
            do: fn ->
              KeyStore.transaction(
                ref,
                "#{n}",
                &KeyStore.set(&1, %{"lid-mapping": %{"own#{n}" => "#{n}"}})
              )
            end

      waiting = queue_up(sets ++ own)

      Gate.open(gate)
      Gate.open(Gate.arrived(:commit_keys))
      assert Task.await(first) == :ok
      assert Task.await_many(waiting) == List.duplicate({:ok, :ok}, 15)
      assert Table.count(table, :commit_keys) == 2
      assert get(ref, "same") == "7"
      for n <- 1..8, do: assert(get(ref, "own#{n}") == "#{n}")
      assert Table.contents(table)[{:"lid-mapping", "same"}] == "7"
    end

    test "do not fail with one of them that cannot be written", %{table: table} do
      ref = start(Batch, table)
      Gate.close(table, [:commit_keys])
      first = Task.async(fn -> set(ref, "first", "1") end)
      gate = Gate.arrived(:commit_keys)

      waiting =
        queue_up(
          for value <- ["1", "unwritable", "3"], do: fn -> set(ref, "k" <> value, value) end
        )

      refusal = %InvalidTermError{member: nil, problem: "unwritable"}

      Table.before_calls(table, fn :commit_keys, [%{"lid-mapping": ids}] ->
        if "unwritable" in Map.values(ids), do: {:error, refusal}, else: :ok
      end)

      Gate.open(gate)
      assert Task.await(first) == :ok
      assert Task.await_many(waiting) == [{:ok, :ok}, {:failed, refusal}, {:ok, :ok}]
      assert {get(ref, "k1"), get(ref, "k3")} == {"1", "3"}
      refute Map.has_key?(Table.contents(table), {:"lid-mapping", "kunwritable"})
    end

    test "keep their place around a clear", %{table: table} do
      ref = start(Batch, table)
      Table.put(table, :session, "never read", 1)
      Gate.close(table, [:commit_keys])
      first = Task.async(fn -> set(ref, "first", "1") end)
      gate = Gate.arrived(:commit_keys)

      waiting =
        queue_up([
          fn -> set(ref, "before", "1") end,
          fn -> KeyStore.clear(ref) end,
          fn -> set(ref, "after", "1") end
        ])

      Gate.open(gate)
      Gate.open(Gate.arrived(:commit_keys))
      Task.await_many([first | waiting])
      assert Table.contents(table) == %{{:"lid-mapping", "after"} => "1"}
      assert {get(ref, "first"), get(ref, "before"), get(ref, "after")} == {nil, nil, "1"}
    end

    test "leave the store free to answer", %{table: table} do
      ref = start(Batch, table)
      Gate.close(table, [:commit_keys])
      commit = Task.async(fn -> set(ref, "a", "1") end)
      gate = Gate.arrived(:commit_keys)
      assert KeyStore.wrap(ref.pid) == ref
      assert get(ref, "b") == nil
      assert KeyStore.transaction(ref, "k", fn tx -> KeyStore.get(tx, :session, ["a"]) end) == %{}
      Gate.open(gate)
      assert Task.await(commit) == :ok
    end
  end

  describe "a caller that is killed" do
    test "before its commit is written has committed nothing", %{table: table} do
      ref = start(Batch, table)
      Gate.close(table, [:commit_keys])
      first = Task.async(fn -> set(ref, "first", "1") end)
      gate = Gate.arrived(:commit_keys)

      doomed =
        spawn(fn ->
          KeyStore.transaction(ref, "k", &KeyStore.set(&1, %{"lid-mapping": %{"a" => "1"}}))
        end)

      await_waiting(doomed)
      Process.exit(doomed, :kill)
      # The next transaction already has the lock, and reads values that will stay.
      read = KeyStore.transaction(ref, "k", &KeyStore.get(&1, :"lid-mapping", ["a"]))

      Gate.open(gate)
      Task.await(first)
      assert read == %{}
      Table.before_calls(table, fn _callback, _args -> :ok end)
      set(ref, "later", "1")
      refute Map.has_key?(Table.contents(table), {:"lid-mapping", "a"})
    end

    test "while its commit is written keeps its lock until it is over", %{table: table} do
      ref = start(Batch, table)
      Gate.close(table, [:commit_keys])

      doomed =
        spawn(fn ->
          KeyStore.transaction(ref, "k", &KeyStore.set(&1, %{"lid-mapping": %{"a" => "1"}}))
        end)

      gate = Gate.arrived(:commit_keys)
      Process.exit(doomed, :kill)

      next =
        Task.async(fn ->
          KeyStore.transaction(ref, "k", &KeyStore.get(&1, :"lid-mapping", ["a"]))
        end)

      refute Task.yield(next, 100)
      Gate.open(gate)
      assert Task.await(next) == %{"a" => "1"}
    end

    test "at any moment leaves all of its changes or none", %{table: table} do
      for backend <- [Batch, KeyByKey] do
        ref = start(backend, table)
        KeyStore.set(ref, %{"device-list": Map.new(1..4, &{"#{&1}", [100]})})

        Table.before_calls(table, fn called, _args ->
          if(called != :load_keys, do: Process.sleep(1)) || :ok
        end)

        killer =
          Task.async(fn ->
            kill_some(for(_ <- 1..6, do: spawn(fn -> shift_for_ever(ref) end)), ref, 150)
          end)

        Task.await(killer, 60_000)
        assert total(ref) == 400
        Table.before_calls(table, fn _called, _args -> :ok end)

        assert for({{:"device-list", _}, [n]} <- Table.contents(table), do: n) |> Enum.sum() ==
                 400

        GenServer.stop(ref.pid)
      end
    end
  end

  # Moves one unit from one of four numbers to another, and checks that the sum that it sees is unchanged.
  defp shift_for_ever(ref) do
    [from, to] = Enum.take_random(["1", "2", "3", "4"], 2)

    KeyStore.transaction(ref, "numbers", fn tx ->
      %{^from => [a], ^to => [b]} =
        numbers = KeyStore.get(tx, :"device-list", ["1", "2", "3", "4"])

      400 = numbers |> Map.values() |> List.flatten() |> Enum.sum()
      KeyStore.set(tx, %{"device-list": %{from => [a - 1], to => [b + 1]}})
    end)

    shift_for_ever(ref)
  end

  defp kill_some(pids, _ref, 0), do: Enum.each(pids, &Process.exit(&1, :kill))

  defp kill_some([pid | pids], ref, left) do
    Process.sleep(:rand.uniform(4))
    assert Process.alive?(pid), "a transaction saw half a commit"
    Process.exit(pid, :kill)
    kill_some(pids ++ [spawn(fn -> shift_for_ever(ref) end)], ref, left - 1)
  end

  defp total(ref) do
    numbers =
      KeyStore.transaction(
        ref,
        "numbers",
        &KeyStore.get(&1, :"device-list", ["1", "2", "3", "4"])
      )

    numbers |> Map.values() |> List.flatten() |> Enum.sum()
  end

  describe "a store that ends" do
    test "no longer answers anybody, whatever the question", %{table: table} do
      ref = start(Batch, table)
      set(ref, "a", "1")
      tx = KeyStore.transaction(ref, "k", & &1)
      GenServer.stop(ref.pid)
      refute KeyStore.in_transaction?(tx)

      for ask <- [
            fn -> get(ref, "a") end,
            fn -> set(ref, "a", "2") end,
            fn -> KeyStore.clear(ref) end,
            fn -> KeyStore.transaction(ref, "k", & &1) end
          ] do
        error = assert_raise OperationError, ask
        assert error.reason == :store_stopped
        assert Exception.message(error) =~ "the store is not running"
      end
    end

    test "by its supervisor lets the current commit end, and begins no other", context do
      table = context.table
      Process.flag(:trap_exit, true)
      ref = start(Batch, table)
      Gate.close(table, [:commit_keys])
      written = Task.async(fn -> attempt(fn -> set(ref, "written", "1") end) end)
      gate = Gate.arrived(:commit_keys)
      [waiting] = queue_up([fn -> set(ref, "waiting", "1") end])
      stopping = Task.async(fn -> GenServer.stop(ref.pid, :shutdown) end)
      refute Task.yield(stopping, 50)
      Gate.open(gate)
      assert Task.await(stopping) == :ok
      assert Task.await(written) == {:ok, :ok}
      assert Task.await(waiting) == {:failed, :store_stopped}
      assert Table.contents(table) == %{{:"lid-mapping", "written"} => "1"}
    end

    @tag :capture_log
    test "by a kill fails its callers, and its successor reads what it wrote last", context do
      table = context.table
      Process.flag(:trap_exit, true)
      ref = start(Batch, table)
      Gate.close(table, [:commit_keys])
      written = Task.async(fn -> attempt(fn -> set(ref, "a", "1") end) end)
      gate = Gate.arrived(:commit_keys)
      Process.exit(ref.pid, :kill)
      assert_receive {:EXIT, _pid, :killed}

      successor =
        Task.async(fn ->
          {:ok, pid} = start_link(Batch, table)
          read = get(KeyStore.wrap(pid), "a")
          GenServer.stop(pid)
          read
        end)

      refute Task.yield(successor, 100)
      Gate.open(gate)
      assert Task.await(successor) == "1"
      assert {:failed, :store_stopped} = Task.await(written)
    end

    @tag :capture_log
    test "together with its committer, so that a supervisor restarts both", %{table: table} do
      Process.flag(:trap_exit, true)
      ref = start(Batch, table)
      {:links, links} = Process.info(ref.pid, :links)
      [committer] = links -- [self()]
      Process.exit(committer, :kill)
      assert_receive {:EXIT, _pid, {:committer_stopped, _place}}
      assert_raise OperationError, fn -> set(ref, "a", "1") end
    end
  end
end
