defmodule BaileysEx.Test.LockWorkload do
  @moduledoc false
  # The work of the nodes in the lock tests.

  alias BaileysEx.Auth.Lock

  @doc """
  Runs `processes` processes, each of which increments the number in a file `times` times, with separate reads
  and writes. Returns the longest wait for the lock, in microseconds.
  """
  @spec count_up(Path.t(), pos_integer(), pos_integer()) :: non_neg_integer()
  def count_up(path, processes, times) do
    1..processes
    |> Enum.map(fn _ ->
      Task.async(fn -> Enum.max(for _ <- 1..times, do: add_one(path)) end)
    end)
    |> Task.await_many(60_000)
    |> Enum.max()
  end

  @doc "Takes the lock for good in a separate process, and returns once that process has it."
  @spec hold(term()) :: pid()
  def hold(resource) do
    caller = self()

    pid =
      spawn(fn ->
        Lock.run(resource, fn ->
          send(caller, {:held, self()})
          Process.sleep(:infinity)
        end)
      end)

    receive do: ({:held, ^pid} -> pid)
  end

  @spec get(term()) :: :had_it
  def get(resource), do: Lock.run(resource, fn -> :had_it end)

  @doc "Whether the lock is free at this moment, without waiting."
  @spec free?(term()) :: boolean()
  def free?(resource) do
    id = {resource, self()}
    nodes = [node() | Node.list()]
    taken = :global.set_lock(id, nodes, 0)
    if taken, do: :global.del_lock(id, nodes)
    taken
  end

  defp add_one(path) do
    asked = System.monotonic_time(:microsecond)

    Lock.run({__MODULE__, path}, fn ->
      waited = System.monotonic_time(:microsecond) - asked
      number = path |> File.read!() |> String.to_integer()
      File.write!(path, Integer.to_string(number + 1))
      waited
    end)
  end
end
