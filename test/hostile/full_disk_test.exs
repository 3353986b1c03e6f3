defmodule BaileysEx.Hostile.FullDiskTest do
  # The disk of one account is full: that account reports it at once, the others continue, and it continues
  # too once there is room again. A restore that finds no room changes nothing.
  use ExUnit.Case, async: true

  import BaileysEx.Auth.TempDir

  alias BaileysEx.Auth.{Fixtures, NativeFilePersistence}
  alias BaileysEx.Test.{Mounts, Terminal}

  @ebin Path.dirname(to_string(:code.which(BaileysEx.Auth.CLI)))

  setup :setup_temp_dir

  @moduletag skip: if(Mounts.allowed?(), do: false, else: "this machine lets nobody mount here")

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

  # The snapshot takes about 400 KiB of the directory's disk, and the old content takes the same again.
  for {where, free, refused} <- [
        {"the directory", 100, "volume/ada"},
        {"what it holds is set aside", 500, "volume/aside"}
      ] do
    test "a restore for which there is no room where #{where} leaves it as it was, and says so",
         %{tmp: tmp} do
      template = Fixtures.copy!(:native, tmp)
      [backup, volume, held] = for name <- ["backup", "volume", "held"], do: Path.join(tmp, name)
      :ok = NativeFilePersistence.snapshot(template, backup)
      :ok = NativeFilePersistence.save_keys(template, :"lid-mapping", "after", "the snapshot")
      File.mkdir!(volume)
      [path, aside] = for name <- ["ada", "aside"], do: Path.join(volume, name)
      restore = Terminal.eval(["restore", backup, path, "--aside", aside])

      script = """
      mount -t tmpfs -o size=4m none #{volume}
      cp -r #{template} #{path}
      dd if=/dev/zero of=#{volume}/filler 2>/dev/null || true
      truncate -s -#{unquote(free)}K #{volume}/filler
      files() { cd #{volume}; find . -type f ! -name .baileys_ex.lock -exec sha256sum {} + | sort; cd /; }
      files > #{tmp}/before
      #{restore} || echo "exit $?"
      files | diff #{tmp}/before -
      df --output=avail -k #{volume} | tail -1
      mount -o remount,size=20m #{volume}
      #{restore}
      cp -r #{path} #{held}-path; cp -r #{aside} #{held}-aside
      """

      assert {shown, error, 0} = Terminal.run("unshare -m sh -ec #{Terminal.quoted(script)}")

      assert error == """
             error: #{Path.join(tmp, unquote(refused))} cannot be written to: no space left on device (enospc)
             Make room for the snapshot, and for a copy of what PATH holds, which --aside DIR can keep on another disk. Nothing was changed.
             """

      # No unfinished file takes up room.
      assert [_, left] = Regex.run(~r/^exit 1\n *(\d+)\n/, shown)
      assert_in_delta String.to_integer(left), unquote(free), 16
      assert shown =~ "ok  #{path} is restored"

      load = &Fixtures.load_all!(NativeFilePersistence, &1)
      assert load.(held <> "-path") == load.(backup)
      assert load.(held <> "-aside") == load.(template)
    end
  end
end
