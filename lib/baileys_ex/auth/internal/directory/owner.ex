defmodule BaileysEx.Auth.Directory.Owner do
  @moduledoc false
  # A process that holds the locks of directories and works on them for its caller.
  #
  # If a process is killed inside a NIF, its locks are released at once, but the NIF goes on writing and would
  # overwrite the next owner's commit. Here the caller may be killed: work that has begun ends before the
  # locks are released, and work that has not begun never starts.

  alias BaileysEx.Auth.Lock

  @typedoc "Runs a function in the owner, and returns its result or raises its exception."
  @type call() :: ((() -> term()) -> term())

  @doc """
  Runs `fun` in the caller, while nobody else owns the directories. It must access them through the function
  that it receives.

  Inside a `Lock.run/2` for one of the resources, everything runs in the caller, which already holds the lock.
  """
  @spec run([{module(), Path.t()}], (call() -> result)) :: result when result: var
  def run(resources, fun) do
    resources = Enum.uniq(resources)

    if Enum.any?(resources, &Lock.holds?/1) do
      hold(resources, fn -> fun.(fn work -> work.() end) end)
    else
      caller = self()
      owner = spawn(fn -> own(resources, caller) end)

      try do
        fun.(&request(owner, &1))
      after
        await_end(owner)
      end
    end
  end

  # All callers lock several resources in the same order, so that two of them cannot wait for each other.
  defp hold(resources, fun) do
    resources
    |> Enum.sort(:desc)
    |> Enum.reduce(fun, fn resource, locked -> fn -> Lock.run_in_order(resource, locked) end end)
    |> apply([])
  end

  defp request(owner, work) do
    ref = Process.monitor(owner)
    send(owner, {:work, ref, work})

    answer =
      receive do
        {^ref, answer} -> answer
        {:DOWN, ^ref, :process, _pid, reason} -> {:exit, {:owner_stopped, reason}, []}
      end

    Process.demonitor(ref, [:flush])

    case answer do
      {:ok, result} -> result
      {kind, reason, stacktrace} -> :erlang.raise(kind, reason, stacktrace)
    end
  end

  defp await_end(owner) do
    ref = Process.monitor(owner)
    send(owner, :done)

    receive do
      {:DOWN, ^ref, :process, _pid, _reason} -> :ok
    end
  end

  defp own(resources, caller) do
    # Messages contain keys: this flag keeps them out of crash dumps and process information.
    Process.flag(:sensitive, true)
    monitor = Process.monitor(caller)

    try do
      hold(resources, fn -> serve(caller, monitor, &answer/1) end)
    catch
      # Without the locks nothing is done, and each request gets the reason.
      kind, reason ->
        failure = {kind, reason, __STACKTRACE__}
        serve(caller, monitor, fn _work -> failure end)
    end
  end

  defp serve(caller, monitor, answer) do
    receive do
      {:work, ref, work} ->
        if Process.alive?(caller), do: send(caller, {ref, answer.(work)})
        serve(caller, monitor, answer)

      :done ->
        :ok

      {:DOWN, ^monitor, :process, _pid, _reason} ->
        :ok
    end
  end

  defp answer(work) do
    {:ok, work.()}
  catch
    kind, reason -> {kind, reason, __STACKTRACE__}
  end
end
