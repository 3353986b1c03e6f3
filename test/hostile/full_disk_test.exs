defmodule BaileysEx.Hostile.FullDiskTest do
  # One account's disk is full: that account says so at once, the others go on, and it does too when there is
  # room again.
  use ExUnit.Case, async: true

  import BaileysEx.Auth.TempDir

  alias BaileysEx.Test.{Mounts, Terminal}

  @ebin Path.dirname(to_string(:code.which(BaileysEx.Auth.CLI)))

  setup :setup_temp_dir

  @tag skip: if(Mounts.allowed?(), do: false, else: "this machine lets nobody mount here")
  test "an account whose disk is full fails alone, is named at once, and goes on later",
       context do
    ada = Path.join(context.tmp, "ada")
    File.mkdir!(ada)

    code = """
    {:ok, _} = Application.ensure_all_started(:baileys_ex_auth)
    alias BaileysEx.Auth.{Accounts, KeyStore}
    options = [name: :accounts, root: #{inspect(context.tmp)}, max_commit_retries: 3, delay_between_tries_ms: 20]
    {:ok, _} = Supervisor.start_link([{Accounts, options}], strategy: :one_for_one)
    {:ok, ada} = Accounts.open(:accounts, "ada")
    {:ok, bob} = Accounts.open(:accounts, "bob")
    large = :crypto.strong_rand_bytes(50_000) |> Base.encode16()
    save = fn store, id -> KeyStore.set(store, %{"lid-mapping": %{id => large}}) end

    error =
      try do
        for id <- 1..100, do: save.(ada.store, to_string(id))
      rescue
        error in KeyStore.OperationError -> error
      end

    IO.puts("ada: " <> inspect(error.reason) <> " at " <> error.place)
    for id <- 1..20, do: :ok = save.(bob.store, to_string(id))
    [^large] = Map.values(KeyStore.get(ada.store, :"lid-mapping", ["1"]))
    {"", 0} = System.cmd("mount", ["-o", "remount,size=20m", #{inspect(ada)}])
    :ok = save.(ada.store, "again")
    true = Accounts.whereis(:accounts, "ada") == ada.store.pid
    true = Accounts.whereis(:accounts, "bob") == bob.store.pid
    IO.puts("both go on")
    """

    script = """
    mount -t tmpfs -o size=1m none #{ada}
    elixir -pa #{@ebin} -e #{Terminal.quoted(code)}
    """

    {shown, errors, 0} = Terminal.run("unshare -m sh -ec #{Terminal.quoted(script)}")
    log = shown <> errors
    assert log =~ "ada: :enospc at #{ada}"
    assert log =~ "both go on"
    assert [_before, _after] = String.split(log, "key store of #{ada} could not save: :enospc")
    refute log =~ "key store of #{Path.join(context.tmp, "bob")}"
  end
end
