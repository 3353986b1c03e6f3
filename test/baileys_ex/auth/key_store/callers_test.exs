defmodule BaileysEx.Auth.KeyStore.CallersTest do
  # Ecto's sandbox gives a connection to the process that owns one, or to one that works for it according to
  # `$callers`. For all others it raises.
  use ExUnit.Case, async: true

  alias BaileysEx.Auth.KeyStore
  alias BaileysEx.Test.Backends.Table

  defmodule Sandboxed do
    @moduledoc false
    # Context: `{table, the pid of the owner}`.
    @behaviour BaileysEx.Auth.Persistence

    @impl true
    def load_keys(context, type, id), do: answer(context, :load_keys, [type, id])
    @impl true
    def save_keys(context, type, id, value), do: answer(context, :save_keys, [type, id, value])
    @impl true
    def delete_keys(context, type, id), do: answer(context, :delete_keys, [type, id])
    @impl true
    def commit_keys(context, changes), do: answer(context, :commit_keys, [changes])
    @impl true
    def commit_keys_unless_changed(context, changes, _seen), do: commit_keys(context, changes)
    @impl true
    def changes_seen(context), do: told(context, :changes_seen, {:ok, 0})
    @impl true
    def claim(context, _owner), do: told(context, :claim, :ok)
    @impl true
    def release(context, _owner), do: told(context, :release, :ok)

    defp answer({table, _owner} = context, callback, args) do
      told(context, callback, :ok)
      Table.answer(table, callback, args)
    end

    defp told({_table, owner}, callback, answer) do
      if owner not in [self() | Process.get(:"$callers", [])], do: raise("not the owner's")
      send(owner, callback)
      answer
    end
  end

  @opts [persistence_module: Sandboxed, delay_between_tries_ms: 0, max_commit_retries: 1]

  test "a store works on behalf of the process that started it, from claim to release" do
    {:ok, pid} = KeyStore.start_link(@opts ++ [persistence_context: {Table.new(), self()}])
    works(pid)
  end

  test "and of those on whose behalf that one works" do
    opts = @opts ++ [persistence_context: {Table.new(), self()}]

    start = fn ->
      {:ok, pid} = KeyStore.start_link(opts)
      Process.unlink(pid)
      pid
    end

    start |> Task.async() |> Task.await() |> works()
  end

  defp works(pid) do
    keys = KeyStore.wrap(pid)
    :ok = KeyStore.set(keys, %{"lid-mapping": %{"1" => "2"}})

    :ok =
      KeyStore.transaction(keys, "lid-mapping", fn tx ->
        assert KeyStore.get(tx, :"lid-mapping", ["1", "3"]) == %{"1" => "2"}
        KeyStore.set(tx, %{"lid-mapping": %{"1" => "4"}})
      end)

    :ok = GenServer.stop(pid)

    for callback <- [:claim, :changes_seen, :commit_keys, :commit_keys, :release],
        do: assert_receive(^callback)
  end
end
