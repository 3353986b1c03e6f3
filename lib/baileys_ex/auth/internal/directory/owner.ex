defmodule BaileysEx.Auth.Directory.Owner do
  @moduledoc false
  # A process that holds the locks of directories and does the work on them for its caller.
  #
  # A process that is killed inside a NIF gives its locks back at once, and the NIF goes on writing:
  # the next owner's commit would be overwritten. Here the caller may be killed; work that has begun
  # ends before the locks are given back, and work that has not begun never does.

  alias BaileysEx.Auth.Lock

  @typedoc "Runs a function in the owner, and returns or raises what it did."
  @type call() :: ((() -> term()) -> term())

  @doc """
  Runs `fun` in the caller, while nobody else owns the directories. What it does to them it does
  through the function that it is given.

  Inside a `Lock.run/2` of one of the resources everything runs in the caller, who holds the lock.
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

  # All take several in one order: two callers cannot wait for each other.
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
    # Messages hold keys: they stay out of crash dumps and process information.
    Process.flag(:sensitive, true)
    monitor = Process.monitor(caller)

    try do
      hold(resources, fn -> serve(caller, monitor, &answer/1) end)
    catch
      # Without the locks nothing is done, and each request is told why.
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
