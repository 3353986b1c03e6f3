defmodule BaileysEx.Test.StoreDriver do
  @moduledoc false
  # Drives a store and a plain-map model of it through the same random sequence of steps, and compares every
  # answer. Transactions run in separate processes, which wait for the next step after each step. They thus
  # interleave in every way, although only one step is made at a time.

  import ExUnit.Assertions

  alias BaileysEx.Test.Quiet
  alias BaileysEx.Auth.KeyStore.OperationError
  alias BaileysEx.Signal.Store
  alias BaileysEx.Test.{Stores, Values}

  @ids ["1", "alice.0", "b:2"]
  @locks ["x", "y"]
  @actors [:ann, :bob, :cy]

  # `keys` is the model of the store. `actors` are the running transactions: the process, the lock and, once
  # it is granted, the model of their view. `lines` are the actors of each lock, the holder first.
  defstruct [:name, :place, :opts, :store, keys: %{}, actors: %{}, lines: %{}, log: []]

  @doc """
  Runs one sequence, determined by the seed of `:rand`. Options: `:steps`, and those of the store. Returns the
  number of steps that failed because of a failing backend.
  """
  @spec run(Stores.name(), Stores.place(), keyword()) :: non_neg_integer()
  def run(name, place, opts \\ []) do
    {steps, opts} = Keyword.pop(opts, :steps, 30)
    {:ok, store} = Stores.start(name, place, opts)
    state = %__MODULE__{name: name, place: place, opts: opts, store: store}

    state = Enum.reduce(1..steps, state, fn _, state -> checked(state, random_step(state)) end)
    state = Enum.reduce(Map.keys(state.actors), state, &checked(&2, {:finish, &1}))
    state = checked(state, :restart)
    Stores.stop(state.store)
    Enum.count(state.log, &match?({:failed, _step}, &1))
  end

  defp checked(state, step) do
    state = step(%{state | log: [step | state.log]}, step)
    check(state)
    state
  rescue
    error ->
      steps = Enum.map_join(Enum.reverse([step | state.log]), "\n  ", &inspect/1)

      reraise "diverged in #{inspect(state.name)} after\n  #{steps}\n" <>
                Exception.message(error),
              __STACKTRACE__
  end

  defp check(state) do
    contents = Stores.contents(state.name, state.place)
    assert contents in [:unknown, state.keys]
  end

  ## Choosing a step that is possible now

  defp random_step(state) do
    case {:rand.uniform(100), Enum.random(@actors)} do
      {n, _actor} when n <= 12 -> {:get, random_type(), random_ids()}
      {n, _actor} when n <= 22 -> {:set, random_data()}
      {23, _actor} -> :clear
      {24, _actor} -> restart(state)
      {_n, actor} -> actor_step(actor, state.actors[actor])
    end
  end

  # Only if nobody is in the middle of something.
  defp restart(%{actors: actors}) when actors == %{}, do: :restart
  defp restart(_state), do: {:get, random_type(), random_ids()}

  defp actor_step(actor, nil), do: {:begin, actor, Enum.random(@locks)}

  defp actor_step(actor, %{view: nil}),
    do: Enum.random([{:kill, actor}, {:get, random_type(), random_ids()}])

  defp actor_step(actor, _in_transaction) do
    case :rand.uniform(20) do
      n when n <= 6 -> {:tx_get, actor, random_type(), random_ids()}
      n when n <= 12 -> {:tx_set, actor, random_data()}
      n when n <= 17 -> {:finish, actor}
      18 -> {:raise, actor}
      19 -> {:kill, actor}
      20 -> {:tx_clear, actor}
    end
  end

  defp random_type, do: Enum.random(Values.types())
  defp random_ids, do: Enum.take_random(@ids, :rand.uniform(3))

  defp random_data do
    for type <- Enum.take_random(Values.types(), :rand.uniform(2)), into: %{} do
      {type, Map.new(random_ids(), &{&1, random_value(type)})}
    end
  end

  defp random_value(type) do
    if :rand.uniform(3) == 1, do: nil, else: Values.value(type, :rand.uniform(1_000))
  end

  ## Making it, in the store and in the model

  defp step(state, {:get, type, ids} = step) do
    case attempt(fn -> Store.get(state.store, type, ids) end) do
      {:ok, found} ->
        assert found == entries(state.keys, type, ids)
        state

      :failed ->
        failed(state, step)
    end
  end

  defp step(state, {:set, data} = step) do
    case attempt(fn -> Store.set(state.store, data) end) do
      {:ok, :ok} -> %{state | keys: write(state.keys, flat(data))}
      :failed -> failed(state, step)
    end
  end

  defp step(state, :clear) do
    case attempt(fn -> Store.clear(state.store) end) do
      {:ok, :ok} -> %{state | keys: %{}}
      :failed -> failed(state, :clear)
    end
  end

  defp step(state, :restart) do
    Stores.stop(state.store)
    {:ok, store} = Stores.start(state.name, state.place, state.opts)
    %{state | store: store, keys: if(state.name == :memory, do: %{}, else: state.keys)}
  end

  defp step(state, {:begin, actor, lock}) do
    pid = spawn_actor(state.store, lock)
    line = Map.get(state.lines, lock, []) ++ [actor]
    actors = Map.put(state.actors, actor, %{pid: pid, lock: lock, view: nil})
    state = %{state | actors: actors, lines: Map.put(state.lines, lock, line)}
    if line == [actor], do: begun(state, actor), else: state
  end

  defp step(state, {:tx_get, actor, type, ids} = step) do
    %{pid: pid, view: view} = state.actors[actor]

    case ask(pid, {:get, type, ids}) do
      {:ok, found} ->
        view = read(view, state.keys, for(id <- ids, do: {type, id}))
        assert found == entries(present(view.known), type, ids)
        put_in(state.actors[actor].view, view)

      :failed ->
        failed(state, step)
    end
  end

  defp step(state, {:tx_set, actor, data}) do
    assert {:ok, :ok} = ask(state.actors[actor].pid, {:set, data})
    update_in(state.actors[actor].view, &written(&1, flat(data)))
  end

  defp step(state, {:tx_clear, actor}) do
    assert {:ok, :ok} = ask(state.actors[actor].pid, :clear)
    put_in(state.actors[actor].view, %{cleared?: true, known: %{}, written: %{}})
  end

  defp step(state, {:finish, actor} = step) do
    case state.actors[actor] do
      %{view: nil} ->
        step(state, {:kill, actor})

      %{pid: pid, view: view} ->
        case ask(pid, :finish) do
          {:ok, :result} -> ended(%{state | keys: commit(state.keys, view)}, actor)
          :failed -> state |> failed(step) |> ended(actor)
        end
    end
  end

  defp step(state, {:raise, actor}) do
    assert ask(state.actors[actor].pid, :raise) == {:raised, "on purpose"}
    ended(state, actor)
  end

  defp step(state, {:kill, actor}) do
    pid = state.actors[actor].pid
    monitor = Process.monitor(pid)
    Process.exit(pid, :kill)
    assert_receive {:DOWN, ^monitor, :process, ^pid, :killed}
    ended(state, actor)
  end

  defp failed(state, step), do: %{state | log: [{:failed, step} | state.log]}

  defp begun(state, actor) do
    pid = state.actors[actor].pid
    assert_receive {^pid, :begun}
    put_in(state.actors[actor].view, %{cleared?: false, known: %{}, written: %{}})
  end

  # Only the next in line continues.
  defp ended(state, actor) do
    {%{lock: lock}, actors} = Map.pop!(state.actors, actor)
    [holder | _] = line = state.lines[lock]
    line = List.delete(line, actor)
    state = %{state | actors: actors, lines: Map.put(state.lines, lock, line)}

    case line do
      [next | _] when holder == actor -> begun(state, next)
      _ -> state
    end
  end

  ## The model: a map, and for a transaction what it knows and what it has written

  defp entries(keys, type, ids) do
    for id <- ids, is_map_key(keys, {type, id}), into: %{}, do: {id, keys[{type, id}]}
  end

  defp flat(data),
    do: for({type, of_type} <- data, {id, v} <- of_type, into: %{}, do: {{type, id}, v})

  defp write(keys, changes), do: keys |> Map.merge(changes) |> present()
  defp present(keys), do: Map.reject(keys, fn {_key, value} -> is_nil(value) end)

  defp read(view, keys, wanted) do
    outside = if view.cleared?, do: %{}, else: keys
    %{view | known: Map.merge(Map.new(wanted, &{&1, outside[&1]}), view.known)}
  end

  defp written(view, changes) do
    %{view | known: Map.merge(view.known, changes), written: Map.merge(view.written, changes)}
  end

  defp commit(keys, view), do: write(if(view.cleared?, do: %{}, else: keys), view.written)

  ## The process of a transaction

  defp spawn_actor(store, lock) do
    driver = self()

    pid =
      spawn(fn ->
        Quiet.log()
        transaction(store, lock, driver)
      end)

    # Is in line before the next step is made.
    wait_until_waiting(pid)
    pid
  end

  defp wait_until_waiting(pid) do
    unless match?({:status, :waiting}, Process.info(pid, :status)) do
      Process.sleep(0)
      wait_until_waiting(pid)
    end
  end

  defp transaction(store, lock, driver) do
    result =
      attempt(fn ->
        Store.transaction(store, lock, fn tx ->
          send(driver, {self(), :begun})
          obey(tx, driver)
        end)
      end)

    send(driver, {self(), result})
  rescue
    error in RuntimeError -> send(driver, {self(), {:raised, Exception.message(error)}})
  end

  defp obey(tx, driver) do
    receive do
      :finish ->
        :result

      :raise ->
        raise "on purpose"

      order ->
        send(driver, {self(), attempt(fn -> perform(tx, order) end)})
        obey(tx, driver)
    end
  end

  # Every second call goes through a nested transaction, which must make no difference.
  defp perform(tx, {:get, type, ids}), do: Store.transaction(tx, "x", &Store.get(&1, type, ids))
  defp perform(tx, {:set, data}), do: Store.set(tx, data)
  defp perform(tx, :clear), do: Store.clear(tx)

  defp ask(pid, order) do
    send(pid, order)
    assert_receive {^pid, answer}
    answer
  end

  defp attempt(fun) do
    {:ok, fun.()}
  rescue
    error in OperationError ->
      assert error.reason == :injected
      :failed
  end
end
