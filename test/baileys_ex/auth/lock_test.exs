defmodule BaileysEx.Auth.LockTest do
  use ExUnit.Case, async: true

  alias BaileysEx.Auth.Lock
  alias BaileysEx.Auth.Lock.Server
  alias BaileysEx.Test.Wait

  # Holds `resource` in a separate process until told to let go.
  defp hold(run, resource) do
    test = self()

    {pid, monitor} =
      spawn_monitor(fn ->
        run.(resource, fn ->
          send(test, {:held, self()})
          receive do: (:let_go -> :ok)
        end)
      end)

    assert_receive {:held, ^pid}
    {pid, monitor}
  end

  # Starts a process that has asked for `resource` before this returns.
  defp wait_in_line(run, resource, name) do
    test = self()
    pid = spawn_link(fn -> run.(resource, fn -> send(test, {:turn, name}) end) end)
    await_waiting(pid)
    # The request is in the server's mailbox; an answered call shows that it has been read.
    Server.idle?()
    pid
  end

  defp await_waiting(pid) do
    Wait.until(fn -> Process.info(pid, :status) == {:status, :waiting} end)
  end

  for {name, run} <- [run: &Lock.run/2, run_local: &Lock.run_local/2] do
    describe "#{name}/2" do
      setup do
        %{run: unquote(Macro.escape(run)), resource: make_ref()}
      end

      test "returns what the function returns", %{run: run, resource: resource} do
        assert run.(resource, fn -> {:any, "term"} end) == {:any, "term"}
        assert run.(resource, fn -> :aborted end) == :aborted
      end

      test "never lets two processes in together", %{run: run, resource: resource} do
        counter = :counters.new(2, [])

        overlaps =
          1..8
          |> Enum.map(fn _ ->
            Task.async(fn ->
              for _ <- 1..50 do
                run.(resource, fn ->
                  :counters.add(counter, 1, 1)
                  inside = :counters.get(counter, 1)
                  read = :counters.get(counter, 2)
                  :erlang.yield()
                  :counters.put(counter, 2, read + 1)
                  :counters.sub(counter, 1, 1)
                  inside
                end)
              end
            end)
          end)
          |> Task.await_many(30_000)
          |> List.flatten()
          |> Enum.count(&(&1 > 1))

        assert overlaps == 0
        assert :counters.get(counter, 2) == 400
      end

      test "serves callers in the order they came", %{run: run, resource: resource} do
        {holder, _monitor} = hold(run, resource)
        for name <- 1..20, do: wait_in_line(run, resource, name)
        send(holder, :let_go)

        assert for(_ <- 1..20, do: assert_receive({:turn, _name}, 5_000)) ==
                 for(n <- 1..20, do: {:turn, n})
      end

      test "lets different resources run side by side", %{run: run, resource: resource} do
        {holder, _monitor} = hold(run, resource)
        assert run.({:another, resource}, fn -> :free end) == :free
        send(holder, :let_go)
      end

      test "is given back by a raise, a throw and an exit", %{run: run, resource: resource} do
        assert_raise RuntimeError, "no", fn -> run.(resource, fn -> raise "no" end) end
        assert catch_throw(run.(resource, fn -> throw(:no) end)) == :no
        assert catch_exit(run.(resource, fn -> exit(:no) end)) == :no
        assert Task.await(Task.async(fn -> run.(resource, fn -> :free end) end)) == :free
      end

      test "is given back when its holder is killed", %{run: run, resource: resource} do
        {holder, monitor} = hold(run, resource)
        wait_in_line(run, resource, :next)
        Process.exit(holder, :kill)
        assert_receive {:DOWN, ^monitor, _, _, :killed}
        assert_receive {:turn, :next}
      end

      test "passes over a waiter that was killed", %{run: run, resource: resource} do
        {holder, _monitor} = hold(run, resource)
        Process.flag(:trap_exit, true)
        first = wait_in_line(run, resource, :killed)
        wait_in_line(run, resource, :alive)
        Process.exit(first, :kill)
        assert_receive {:EXIT, ^first, :killed}
        send(holder, :let_go)
        assert_receive {:turn, :alive}
        refute_received {:turn, :killed}
      end

      test "runs a nested call of its holder, and stays held after it", context do
        %{run: run, resource: resource} = context
        test = self()

        {holder, _monitor} =
          spawn_monitor(fn ->
            run.(resource, fn ->
              send(test, {:nested, run.(resource, fn -> :ran end)})
              receive do: (:let_go -> send(test, :left))
            end)
          end)

        assert_receive {:nested, :ran}
        wait_in_line(run, resource, :next)
        refute_receive {:turn, :next}, 50
        send(holder, :let_go)
        assert_receive :left
        assert_receive {:turn, :next}
      end
    end
  end

  test "run and run_local of one resource are separate" do
    resource = make_ref()
    {holder, _monitor} = hold(&Lock.run/2, resource)
    assert Lock.run_local(resource, fn -> :free end) == :free
    send(holder, :let_go)
  end

  test "run holds a lock of :global with its process as the requester" do
    resource = make_ref()

    Lock.run(resource, fn ->
      refute Task.await(Task.async(fn -> :global.set_lock({resource, self()}, [node()], 0) end))
    end)

    assert :global.set_lock({resource, self()}, [node()], 0)
    :global.del_lock({resource, self()}, [node()])
  end

  test "leaves nothing behind" do
    {:ok, server} = Server.start_link()

    holders =
      for n <- 1..20 do
        spawn(fn ->
          {:ok, token} = Server.acquire(server, rem(n, 3))
          receive do: (:let_go -> Server.release(server, token))
          receive do: (:never -> :ok)
        end)
      end

    Enum.each(holders, &await_waiting/1)

    # The fates take turns: killed while holding, let go, killed while waiting.
    for {pid, n} <- Enum.with_index(holders) do
      if rem(n, 2) == 0, do: Process.exit(pid, :kill), else: send(pid, :let_go)
    end

    Wait.until(fn -> Server.idle?(server) end)
    Enum.each(holders, &Process.exit(&1, :kill))
    assert Process.info(server, :monitors) == {:monitors, []}
  end
end
