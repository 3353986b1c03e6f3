defmodule BaileysEx.Auth.KeyStore.PermissionTest do
  use ExUnit.Case, async: true

  alias BaileysEx.Auth.KeyStore
  alias BaileysEx.Test.Backends.{Batch, Table}

  test "what another user's rights forbid is said at once, and not tried again" do
    table = Table.new()
    {:ok, pid} = KeyStore.start_link(persistence_module: Batch, persistence_context: table)
    keys = KeyStore.wrap(pid)

    for posix <- [:eacces, :eperm, :erofs] do
      before = Table.count(table, :commit_keys)
      Table.before_calls(table, fn _callback, _args -> {:error, posix} end)

      # Ten attempts, three seconds apart, would take half a minute.
      error =
        assert_raise KeyStore.OperationError, fn ->
          KeyStore.set(keys, %{"lid-mapping": %{"1" => "2"}})
        end

      assert error.reason == posix
      assert Table.count(table, :commit_keys) == before + 1
    end
  end
end
