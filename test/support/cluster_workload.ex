defmodule BaileysEx.Test.ClusterWorkload do
  @moduledoc false
  # The work of nodes that share a directory.

  alias BaileysEx.Auth.KeyStore

  @doc "Runs `processes` processes, each of which commits `times` pairs of its own keys."
  @spec write(module(), Path.t(), String.t(), pos_integer(), pos_integer()) :: :ok
  def write(backend, path, name, processes, times) do
    1..processes
    |> Enum.map(fn process ->
      Task.async(fn -> for n <- 1..times, do: commit(backend, path, "#{name}.#{process}", n) end)
    end)
    |> Task.await_many(60_000)

    :ok
  end

  @doc "Returns the ids that `write/5` leaves for the same arguments."
  @spec ids(String.t(), pos_integer(), pos_integer()) :: [String.t()]
  def ids(name, processes, times) do
    for process <- 1..processes,
        n <- 1..times,
        half <- ["a", "b"],
        do: "#{name}.#{process}.#{n}#{half}"
  end

  @doc """
  Runs a key store over the directory that increments both of its keys until it is killed. It tells `report`
  each acknowledged number.
  """
  @spec count_up(module(), Path.t(), pid()) :: pid()
  def count_up(backend, path, report) do
    spawn(fn ->
      ref = start(backend, path)
      go_on(ref, report, current(ref))
    end)
  end

  @doc "Returns the values of the two keys, from a store that starts now. If they differ, a commit was torn."
  @spec take_over(module(), Path.t()) :: {non_neg_integer(), non_neg_integer()}
  def take_over(backend, path) do
    ref = start(backend, path)
    numbers = {current(ref, "a"), current(ref, "b")}
    GenServer.stop(ref.pid)
    numbers
  end

  @doc "Starts a process that keeps the last number that it receives."
  @spec start_report() :: pid()
  def start_report do
    pid = spawn(fn -> keep_last(0) end)
    Process.register(pid, __MODULE__)
    pid
  end

  @spec last_acknowledged() :: non_neg_integer()
  def last_acknowledged do
    send(__MODULE__, {:last, self()})
    receive do: ({:last, number} -> number)
  end

  defp keep_last(last) do
    receive do
      {:acknowledged, number} ->
        keep_last(number)

      {:last, from} ->
        send(from, {:last, last})
        keep_last(last)
    end
  end

  defp go_on(ref, report, number) do
    text = Integer.to_string(number + 1)

    KeyStore.transaction(
      ref,
      "k",
      &KeyStore.set(&1, %{"lid-mapping": %{"a" => text, "b" => text}})
    )

    send(report, {:acknowledged, number + 1})
    go_on(ref, report, number + 1)
  end

  defp start(backend, path) do
    {:ok, pid} = KeyStore.start_link(persistence_module: backend, persistence_context: path)
    KeyStore.wrap(pid)
  end

  defp current(ref, id \\ "a") do
    ref |> KeyStore.get(:"lid-mapping", [id]) |> Map.get(id, "0") |> String.to_integer()
  end

  defp commit(backend, path, name, n) do
    :ok =
      backend.commit_keys(path, %{
        "lid-mapping": %{"#{name}.#{n}a" => "1", "#{name}.#{n}b" => "1"}
      })
  end
end
