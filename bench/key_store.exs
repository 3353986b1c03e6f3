# What the key store costs over what it stands on, measured side by side in this run.
#
#     mix run bench/key_store.exs
#
# Figures are medians of rounds that alternate between the sides of a ratio. Transactions are durable:
# they end with a commit of the backend. "Slow flush" makes each commit sleep for a millisecond, which
# takes one to two: about what a flush costs on a cloud disk.

defmodule Bench.SlowFlush do
  # A backend whose commits take a millisecond longer. The context is `{module, path}`.
  def load_keys({module, path}, type, id), do: module.load_keys(path, type, id)
  def save_keys({module, path}, type, id, value), do: module.save_keys(path, type, id, value)
  def delete_keys({module, path}, type, id), do: module.delete_keys(path, type, id)
  def list_keys({module, path}), do: module.list_keys(path)

  def commit_keys({module, path}, changes) do
    Process.sleep(1)
    module.commit_keys(path, changes)
  end
end

defmodule Bench.KeyStore do
  alias BaileysEx.Auth.{KeyStore, Lock, NativeFilePersistence}

  @rounds 7

  def run do
    backend = NativeFilePersistence
    IO.puts("#{System.schedulers_online()} schedulers, backend #{inspect(backend)}\n")
    cached_get()
    lock()
    transactions(backend, false)
    transactions(backend, true)
  end

  defp cached_get do
    in_directory(fn path ->
      ref = start(NativeFilePersistence, path)
      record = %{public: <<1::256>>, private: <<2::256>>}
      KeyStore.set(ref, %{"pre-key": Map.new(1..50, &{"#{&1}", record})})
      ids = Enum.map(1..50, &"#{&1}")
      table = :ets.new(:reference, [:set, :public, read_concurrency: true])
      for id <- ids, do: :ets.insert(table, {{:"pre-key", id}, record})

      [lookup, one, many] =
        medians([
          fn ->
            for(_ <- 1..2_000, id <- ids, do: :ets.lookup(table, {:"pre-key", id})) && 100_000
          end,
          fn ->
            for(_ <- 1..2_000, id <- ids, do: KeyStore.get(ref, :"pre-key", [id])) && 100_000
          end,
          fn -> for(_ <- 1..2_000, do: KeyStore.get(ref, :"pre-key", ids)) && 100_000 end
        ])

      row("ets.lookup", lookup, "")
      row("cached get of 1 key", one, "#{ratio(one, lookup)} x ets.lookup, must be <= 3")
      row("cached get of 50 keys, per key", many, "#{ratio(many, lookup)} x ets.lookup")
    end)
  end

  defp lock do
    [node, cluster] =
      medians([
        fn -> for(_ <- 1..5_000, do: Lock.run_local(:bench, fn -> :ok end)) && 5_000 end,
        fn -> for(_ <- 1..5_000, do: Lock.run(:bench, fn -> :ok end)) && 5_000 end
      ])

    row("free lock of the node", node, "")
    row("free lock of the cluster", cluster, "")
  end

  defp transactions(backend, slow?) do
    for keys <- [1, 3] do
      [bare, one, sixteen] =
        in_directory(fn path ->
          {backend, context} =
            if slow?, do: {Bench.SlowFlush, {backend, path}}, else: {backend, path}

          ref = start(backend, context)

          medians([
            fn -> commits(backend, context, 100, keys) end,
            fn -> callers(ref, 1, 100, keys) end,
            fn -> callers(ref, 16, 40, keys) end
          ])
        end)

      what = "#{keys} #{if keys == 1, do: "key", else: "keys"}#{if slow?, do: ", slow flush"}"
      row("bare commit of #{what}", bare, "")

      row(
        "transaction of #{what}, 1 caller",
        one,
        "#{per_second(one)}/s, #{ratio(one, bare)} x a bare commit"
      )

      must = if slow?, do: ", must be >= 3"
      note = "#{per_second(sixteen)}/s, #{ratio(one, sixteen)} x one caller#{must}"
      row("transaction of #{what}, 16 callers", sixteen, note)
    end
  end

  defp commits(backend, context, times, keys) do
    for n <- 1..times,
        do: :ok = backend.commit_keys(context, %{"pre-key": pre_keys("bare", n, keys)})

    times
  end

  defp callers(ref, callers, times, keys) do
    1..callers
    |> Enum.map(fn caller ->
      Task.async(fn -> for n <- 1..times, do: transaction(ref, "#{caller}", n, keys) end)
    end)
    |> Task.await_many(120_000)

    callers * times
  end

  defp transaction(ref, caller, n, keys) do
    KeyStore.transaction(ref, caller, fn tx ->
      changes = pre_keys(caller, n, keys)
      KeyStore.get(tx, :"pre-key", Map.keys(changes))
      KeyStore.set(tx, %{"pre-key": changes})
    end)
  end

  defp pre_keys(caller, n, keys) do
    Map.new(1..keys, &{"#{caller}.#{&1}", %{public: <<n::256>>, private: <<n::256>>}})
  end

  defp start(backend, context) do
    {:ok, pid} = KeyStore.start_link(persistence_module: backend, persistence_context: context)
    KeyStore.wrap(pid)
  end

  defp in_directory(fun) do
    path =
      Path.join(
        System.tmp_dir!(),
        "key_store_bench_#{System.pid()}_#{System.unique_integer([:positive])}"
      )

    File.mkdir_p!(path)

    try do
      fun.(path)
    after
      File.rm_rf!(path)
    end
  end

  # Each function does some work and says how many times; microseconds for one.
  defp medians(funs) do
    Enum.each(funs, & &1.())

    for(_ <- 1..@rounds, do: Enum.map(funs, &time/1))
    |> Enum.zip_with(fn times -> times |> Enum.sort() |> Enum.at(div(@rounds, 2)) end)
  end

  defp time(fun) do
    {microseconds, times} = :timer.tc(fun)
    microseconds / times
  end

  defp ratio(a, b), do: Float.round(a / b, 2)
  defp per_second(microseconds), do: round(1_000_000 / microseconds)

  defp row(what, microseconds, note) do
    number = :erlang.float_to_binary(microseconds, decimals: 2)
    IO.puts("#{String.pad_trailing(what, 46)} #{String.pad_leading(number, 10)} us   #{note}")
  end
end

Bench.KeyStore.run()
