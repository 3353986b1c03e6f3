defmodule BaileysEx.Auth.KeyStore.ManyStoresTest do
  use ExUnit.Case, async: false

  alias BaileysEx.Auth.{KeyStore, NativeFilePersistence}
  alias BaileysEx.Test.Stores

  @stores 1_000

  test "a thousand stores over a thousand directories start, serve and stop" do
    places = for _ <- 1..@stores, do: Stores.new_place(NativeFilePersistence)
    on_exit(fn -> Enum.each(places, &Stores.delete_place/1) end)
    {:ok, supervisor} = DynamicSupervisor.start_link(strategy: :one_for_one)
    before = used()

    refs =
      for path <- places do
        child = {KeyStore, persistence_module: NativeFilePersistence, persistence_context: path}
        {:ok, pid} = DynamicSupervisor.start_child(supervisor, child)
        KeyStore.wrap(pid)
      end

    {memory, processes} = used()

    IO.puts(
      "\nan idle store: #{div(memory - elem(before, 0), @stores)} bytes, #{div(processes - elem(before, 1), @stores)} processes"
    )

    for {ref, n} <- Enum.with_index(refs) do
      KeyStore.transaction(ref, "k", &KeyStore.set(&1, %{"lid-mapping": %{"own" => "#{n}"}}))
    end

    for {ref, n} <- Enum.with_index(refs) do
      assert KeyStore.get(ref, :"lid-mapping", ["own", "other"]) == %{"own" => "#{n}"}
    end

    DynamicSupervisor.stop(supervisor)
    assert Enum.all?(refs, &(not Process.alive?(&1.pid)))
    assert Enum.all?(refs, &(:ets.info(&1.table) == :undefined))

    for {path, n} <- Enum.take(Enum.with_index(places), -3) do
      assert NativeFilePersistence.load_keys(path, :"lid-mapping", "own") == {:ok, "#{n}"}
    end
  end

  defp used do
    Enum.each(Process.list(), &:erlang.garbage_collect/1)
    {:erlang.memory(:total), :erlang.system_info(:process_count)}
  end
end
