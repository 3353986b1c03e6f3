defmodule BaileysEx.Auth.KeyStore.InfoTest do
  use ExUnit.Case, async: true

  import BaileysEx.Auth.TempDir

  alias BaileysEx.Auth.{KeyStore, NativeFilePersistence, Owner}
  alias BaileysEx.Auth.KeyStore.OperationError

  @moduletag :capture_log

  setup :setup_temp_dir

  setup %{tmp: tmp} do
    path = Path.join(tmp, "ada")
    opts = [persistence_context: path, max_commit_retries: 2, delay_between_tries_ms: 10]
    store = KeyStore.wrap(start_supervised!({KeyStore, opts}))
    {:ok, path: path, store: store}
  end

  test "a store tells its place, backend and owner, and counts", %{path: path, store: store} do
    assert %{
             place: ^path,
             backend: NativeFilePersistence,
             cached_entries: 0,
             commits: 0,
             last_error: nil,
             owner: %Owner{}
           } = KeyStore.info(store)

    :ok = KeyStore.set(store, %{"lid-mapping": %{"1" => "2", "3" => "4"}})
    KeyStore.transaction(store, "a", &KeyStore.set(&1, %{"lid-mapping": %{"1" => nil}}))
    KeyStore.get(store, :"lid-mapping", ["5"])
    assert %{commits: 2, cached_entries: 3} = KeyStore.info(store)
    {:ok, owner} = NativeFilePersistence.owner(path)
    assert KeyStore.info(store).owner.id == owner.id
  end

  test "a store tells its last failure without a value, and who has lost its place", context do
    %{path: path, store: store} = context
    secret = "a-secret-of-the-account"

    assert_raise OperationError, fn ->
      KeyStore.set(store, %{"lid-mapping": %{"1" => fn -> secret end}})
    end

    assert %{commits: 0, last_error: %{message: message, at: %DateTime{}}} = KeyStore.info(store)
    assert message =~ path
    refute message =~ secret

    :ok = NativeFilePersistence.delete_auth_state(path)

    assert_raise OperationError, fn ->
      KeyStore.set(store, %{"lid-mapping": %{"1" => "2"}})
    end

    assert %{owner: nil, last_error: %{message: message}} = KeyStore.info(store)
    assert message =~ path
  end

  test "all stores of the VM are listed, and none that has stopped", %{tmp: tmp, store: store} do
    places = fn -> for store <- KeyStore.running(), do: store.place end
    {:ok, pid} = KeyStore.start_link(persistence_context: Path.join(tmp, "eve"))
    assert store.pid in Enum.map(KeyStore.running(), & &1.pid)
    assert Path.join(tmp, "eve") in places.()
    GenServer.stop(pid)
    refute Path.join(tmp, "eve") in places.()
  end

  test "a stop reason and the reports of a crash name the place", %{tmp: tmp} do
    Process.flag(:trap_exit, true)
    path = Path.join(tmp, "eve")

    printed =
      ExUnit.CaptureLog.capture_log(fn ->
        {:ok, pid} = KeyStore.start_link(persistence_context: path)
        {:links, links} = Process.info(pid, :links)
        Process.exit(hd(links -- [self()]), :kill)
        assert_receive {:EXIT, ^pid, {:committer_stopped, ^path}}
      end)

    assert printed =~ ~s(place: "#{path}")
  end

  test "only a reference tells anything" do
    assert_raise ArgumentError, fn -> KeyStore.info(:none) end
  end
end
