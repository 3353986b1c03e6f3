defmodule BaileysEx.Auth.KeyStore.StepwiseTest do
  # Backends without `commit_keys`.
  use ExUnit.Case, async: true

  alias BaileysEx.Auth.KeyStore
  alias BaileysEx.Auth.KeyStore.OperationError
  alias BaileysEx.Test.Backends.{KeyByKey, Table}

  setup do
    table = Table.new()
    opts = [persistence_module: KeyByKey, persistence_context: table, max_commit_retries: 1]
    %{table: table, ref: KeyStore.wrap(start_supervised!({KeyStore, opts}))}
  end

  defp fail(table, rule) do
    Table.before_calls(table, fn callback, args ->
      if rule.(callback, args), do: {:error, :eio}, else: :ok
    end)
  end

  defp set!(ref, ids), do: KeyStore.set(ref, %{"lid-mapping": ids})

  test "a failure at any key puts all of them back", %{table: table, ref: ref} do
    set!(ref, %{"a" => "old", "b" => "old"})
    before = Table.contents(table)
    changes = %{"a" => "new", "b" => nil, "c" => "new", "d" => nil}

    for failing <- 1..4 do
      counter = :counters.new(1, [])

      fail(table, fn callback, _args ->
        if callback in [:save_keys, :delete_keys], do: :counters.add(counter, 1, 1)
        :counters.get(counter, 1) == failing and callback != :load_keys
      end)

      error = assert_raise OperationError, fn -> set!(ref, changes) end
      assert error.reason == :eio
      assert Table.contents(table) == before
      assert KeyStore.get(ref, :"lid-mapping", ["a", "b", "c"]) == %{"a" => "old", "b" => "old"}
    end

    fail(table, fn _callback, _args -> false end)
    assert set!(ref, changes) == :ok
    assert KeyStore.get(ref, :"lid-mapping", ["a", "b", "c"]) == %{"a" => "new", "c" => "new"}
  end

  test "keys that cannot be put back are named, and read from the backend", context do
    %{table: table, ref: ref} = context
    set!(ref, %{"a" => "old", "b" => "old"})

    # After the first new value, every save fails.
    fail(table, fn callback, _args ->
      callback == :save_keys and "new" in Map.values(Table.contents(table))
    end)

    error = assert_raise OperationError, fn -> set!(ref, %{"a" => "new", "b" => "new"}) end
    assert {:rollback_failed, :eio, failed} = error.reason
    assert {{:"lid-mapping", "a"}, :eio} in failed

    fail(table, fn _callback, _args -> false end)
    on_disk = for {{_type, id}, value} <- Table.contents(table), into: %{}, do: {id, value}
    assert KeyStore.get(ref, :"lid-mapping", ["a", "b"]) == on_disk
  end

  test "a key that cannot be read is not replaced along with others", %{table: table, ref: ref} do
    for id <- ["a", "b"], do: Table.put(table, :"lid-mapping", id, "old")
    before = Table.contents(table)
    fail(table, fn callback, args -> callback == :load_keys and args == [:"lid-mapping", "b"] end)
    error = assert_raise OperationError, fn -> set!(ref, %{"a" => "new", "b" => "new"}) end
    assert error.reason == :eio
    assert Table.contents(table) == before
  end

  test "keys that cannot be read can be deleted, alone, with others and by clear", context do
    %{table: table, ref: ref} = context
    unreadable = fn callback, args -> callback == :load_keys and args == [:"lid-mapping", "b"] end
    fail(table, unreadable)

    for delete <- [
          fn -> set!(ref, %{"b" => nil}) end,
          fn -> set!(ref, %{"a" => "new", "b" => nil}) end,
          fn -> KeyStore.clear(ref) end
        ] do
      Table.put(table, :"lid-mapping", "b", "damaged")
      assert delete.() == :ok
      refute Map.has_key?(Table.contents(table), {:"lid-mapping", "b"})
    end
  end
end
