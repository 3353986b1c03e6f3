defmodule BaileysEx.Auth.AccountsTest do
  use ExUnit.Case, async: true

  import BaileysEx.Auth.TempDir
  import ExUnit.CaptureLog

  alias BaileysEx.Auth.{Accounts, FilePersistence, KeyStore, NativeFilePersistence, State}
  alias BaileysEx.Auth.{CorruptFileError, PostgresPersistence}

  alias BaileysEx.Auth.KeyStore.OperationError
  alias BaileysEx.Auth.Postgres.Schema
  alias BaileysEx.Test.{PostgresDriver, PostgresServer}

  setup :setup_temp_dir

  defp start(tmp, opts \\ []) do
    name = Module.concat(__MODULE__, "A#{System.unique_integer([:positive])}")
    start_supervised!({Accounts, [name: name, root: tmp] ++ opts})
    name
  end

  defp save(store, value), do: KeyStore.set(store, %{"lid-mapping": %{"1" => value}})
  defp read(store), do: KeyStore.get(store, :"lid-mapping", ["1"])["1"]

  for backend <- [NativeFilePersistence, FilePersistence] do
    test "opens an account of #{inspect(backend)}, and finds it when it is open", %{tmp: tmp} do
      accounts = start(tmp, backend: unquote(backend))
      assert {:ok, ada} = Accounts.open(accounts, "ada")
      assert %State{} = ada.state
      assert ada.connect_opts[:signal_store_module] == KeyStore
      :ok = ada.save_creds.(ada.state)
      :ok = save(ada.store, "2")

      assert {:ok, again} = Accounts.open(accounts, "ada", must_exist: true)
      assert again.store == ada.store
      assert again.state == ada.state
      assert Accounts.whereis(accounts, "ada") == ada.store.pid
      assert unquote(backend).load_keys(Path.join(tmp, "ada"), :"lid-mapping", "1") == {:ok, "2"}
    end
  end

  test "lists what is open, and gives the claim back when an account is closed", %{tmp: tmp} do
    accounts = start(tmp)
    for name <- ["bob", "ada"], do: {:ok, _} = Accounts.open(accounts, name)
    assert Accounts.list(accounts) == ["ada", "bob"]
    assert {:ok, %{}} = NativeFilePersistence.owner(Path.join(tmp, "ada"))

    assert Accounts.close(accounts, "ada") == :ok
    assert Accounts.close(accounts, "ada") == :ok
    assert Accounts.list(accounts) == ["bob"]
    assert Accounts.whereis(accounts, "ada") == nil
    assert NativeFilePersistence.owner(Path.join(tmp, "ada")) == {:ok, nil}
    assert {:ok, _} = Accounts.open(accounts, "ada")
  end

  test "refuses names that could leave the root, and makes nothing", %{tmp: tmp} do
    root = Path.join(tmp, "root")
    File.mkdir!(root)
    accounts = start(root)

    for name <-
          ["", ".", "..", "../ada", "a/b", "a\\b", "/etc", ".hidden", "a\0b", "a\nb"] ++
            [String.duplicate("x", 201), <<255>>, nil, 1] do
      assert {:error, {:invalid_account_name, problem}} = Accounts.open(accounts, name)
      assert is_binary(problem)
    end

    assert File.ls!(tmp) == ["root"]
    assert File.ls!(root) == []
  end

  test "must_exist creates nothing for a missing account", %{tmp: tmp} do
    accounts = start(tmp)
    place = Path.join(tmp, "nobody")

    assert Accounts.open(accounts, "nobody", must_exist: true) ==
             {:error, {:no_credentials, place}}

    assert File.ls!(tmp) == []
    assert Accounts.list(accounts) == []
  end

  test "a damaged account is an error, and the next one opens", %{tmp: tmp} do
    accounts = start(tmp)
    File.mkdir_p!(Path.join(tmp, "ada"))
    File.write!(Path.join(tmp, "ada/creds.etf"), "no term")
    assert {:error, %CorruptFileError{}} = Accounts.open(accounts, "ada")
    assert {:ok, _} = Accounts.open(accounts, "bob")
    assert Accounts.list(accounts) == ["bob"]
  end

  test "a place that cannot be made is an error of that account alone, and can be tried again",
       %{tmp: tmp} do
    accounts = start(tmp)
    dangling = Path.join(tmp, "ada")
    File.ln_s!(Path.join(tmp, "nowhere/else"), dangling)
    assert {:error, _reason} = Accounts.open(accounts, "ada")
    assert {:ok, _} = Accounts.open(accounts, "bob")

    File.rm!(dangling)
    assert {:ok, _} = Accounts.open(accounts, "ada")
  end

  test "a store of somebody else on the account is named", %{tmp: tmp} do
    accounts = start(tmp)
    :ok = NativeFilePersistence.save_credentials(Path.join(tmp, "ada"), State.new())
    pid = start_supervised!({KeyStore, persistence_context: Path.join(tmp, "ada")})
    assert Accounts.open(accounts, "ada") == {:error, {:already_started, pid}}
  end

  test "many callers get the one store", %{tmp: tmp} do
    accounts = start(tmp)

    stores =
      1..20
      |> Enum.map(fn _ -> Task.async(fn -> Accounts.open(accounts, "ada") end) end)
      |> Task.await_many()
      |> Enum.map(fn {:ok, account} -> account.store end)

    assert [_one] = Enum.uniq(stores)
  end

  test "an account that crashes comes back, and one that goes on crashing takes no other along",
       %{tmp: tmp} do
    accounts = start(tmp)
    {:ok, ada} = Accounts.open(accounts, "ada")
    {:ok, bob} = Accounts.open(accounts, "bob")
    :ok = save(ada.store, "kept")

    capture_log(fn ->
      kill(ada.store.pid)
      await(fn -> Accounts.whereis(accounts, "ada") not in [nil, ada.store.pid] end)
      {:ok, again} = Accounts.open(accounts, "ada")
      assert read(again.store) == "kept"

      # On a slow machine, some crashes are too far apart to count as one series.
      await(fn ->
        if pid = Accounts.whereis(accounts, "ada"), do: Process.exit(pid, :kill)
        Accounts.list(accounts) == ["bob"]
      end)
    end)

    assert Accounts.whereis(accounts, "bob") == bob.store.pid
    :ok = save(bob.store, "2")
    assert {:ok, again} = Accounts.open(accounts, "ada")
    assert read(again.store) == "kept"
  end

  @tag :postgres
  @tag :capture_log
  test "accounts of one database open, are claimed and closed as directories are" do
    directory = PostgresServer.start!()
    context = [connection: PostgresDriver.connect!(directory)]
    :ok = Schema.migrate(context)
    name = __MODULE__.Postgres
    backend = [name: name, backend: PostgresPersistence, context: context]
    start_supervised!({Accounts, backend})

    {:ok, ada} = Accounts.open(name, "ada")
    {:ok, bob} = Accounts.open(name, "bob")
    :ok = ada.save_creds.(ada.state)
    :ok = save(ada.store, "2")
    :ok = save(bob.store, "3")
    assert Accounts.list(name) == ["ada", "bob"]
    assert {:ok, again} = Accounts.open(name, "ada", must_exist: true)
    assert {again.store, again.state} == {ada.store, ada.state}
    assert {:error, {:no_credentials, _}} = Accounts.open(name, "eve", must_exist: true)
    assert {:error, {:invalid_account_name, _}} = Accounts.open(name, "../eve")
    assert KeyStore.info(bob.store).place == "account bob in PostgreSQL"

    # Another machine takes one account: that account fails, its neighbour does not.
    {:ok, owner} = PostgresPersistence.owner([account: "ada"] ++ context)
    assert owner.id == KeyStore.info(ada.store).owner.id
    :ok = PostgresPersistence.delete_auth_state([account: "ada"] ++ context)
    error = assert_raise OperationError, fn -> save(ada.store, "4") end
    assert error.place == "account ada in PostgreSQL"
    :ok = save(bob.store, "4")
    assert read(bob.store) == "4"

    for account <- ["ada", "bob"], do: :ok = Accounts.close(name, account)
    assert PostgresPersistence.owner([account: "bob"] ++ context) == {:ok, nil}
  end

  test "an error says which account it is about", %{tmp: tmp} do
    accounts = start(tmp, max_commit_retries: 1)
    {:ok, ada} = Accounts.open(accounts, "ada")
    place = Path.join(tmp, "ada")

    error =
      assert_raise KeyStore.OperationError, fn ->
        KeyStore.set(ada.store, %{"lid-mapping": %{"1" => self()}})
      end

    assert error.place == place
    assert Exception.message(error) =~ "key store of #{place} could not save: "

    File.ln_s!(Path.join(tmp, "nowhere/else"), Path.join(tmp, "bob"))

    assert {:error, %KeyStore.OperationError{} = error} =
             KeyStore.start_link(persistence_context: Path.join(tmp, "bob"))

    assert Exception.message(error) =~ "key store of #{Path.join(tmp, "bob")} could not start: "
  end

  test "a hundred accounts open side by side", %{tmp: tmp} do
    accounts = start(tmp, max_cached_entries: 10)
    names = for n <- 100..199, do: "account-#{n}"

    names
    |> Task.async_stream(&Accounts.open(accounts, &1), timeout: :infinity)
    |> Enum.each(fn {:ok, {:ok, _account}} -> :ok end)

    assert Accounts.list(accounts) == names
  end

  test "options that are unknown or do not fit the backend are refused", %{tmp: tmp} do
    for {opts, message} <- [
          {[name: A, root: tmp, retries: 1], "unknown options [:retries]"},
          {[root: tmp], "expected :name"},
          {[name: A], "expected :root"},
          {[name: A, root: tmp, backend: File], "expected :backend"},
          {[name: A, root: tmp, backend: PostgresPersistence], "expected :context"},
          {[name: A, context: [account: "a"], backend: PostgresPersistence], "without :account"}
        ] do
      assert_raise ArgumentError, ~r/#{Regex.escape(message)}/, fn ->
        Accounts.start_link(opts)
      end
    end

    accounts = start(tmp)
    assert_raise ArgumentError, fn -> Accounts.open(accounts, "ada", must_exists: true) end
  end

  defp kill(pid) do
    ref = Process.monitor(pid)
    Process.exit(pid, :kill)
    receive do: ({:DOWN, ^ref, _, _, _} -> :ok)
  end

  defp await(condition, tries \\ 500) do
    cond do
      condition.() -> :ok
      tries == 0 -> flunk("did not happen")
      true -> Process.sleep(10) && await(condition, tries - 1)
    end
  end
end
