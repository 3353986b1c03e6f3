defmodule BaileysEx.Guides.WithBaileysExTest do
  # The quick start of the client's documents, against a stand-in for the client.
  use ExUnit.Case, async: true

  import BaileysEx.Auth.TempDir
  import ExUnit.CaptureIO

  alias BaileysEx.Auth.{FilePersistence, KeyStore, NativeFilePersistence, State}
  alias BaileysEx.Test.{Guide, Wait}

  setup :setup_temp_dir

  @me %{id: "15551230001:7@s.whatsapp.net", name: "Ada"}

  test "the quick start pairs, saves on :creds_update, and logs in after a restart", %{tmp: tmp} do
    parent = self()

    assert capture_io(fn ->
             send(parent, {:binding, Guide.run("guides/with-baileys-ex.md", dir: tmp)})
           end) == "Scan QR: 2@stand-in\n"

    assert_received {:binding, binding}
    %{connection: connection, auth_path: path} = Map.new(binding)
    fresh = NativeFilePersistence.load_credentials(path)
    assert {:ok, state} = fresh
    assert State.me_id(state) == nil, "nothing is written before the first :creds_update"

    {:ok, _} = BaileysEx.scan(connection, @me)
    saved = Wait.until(fn -> path |> NativeFilePersistence.load_credentials() |> paired() end)
    assert saved == elem(BaileysEx.auth_state(connection), 1)

    # Keys are saved by the store that the connection started from `connect_opts`.
    {KeyStore, name} = BaileysEx.signal_store(connection)
    :ok = KeyStore.set(KeyStore.wrap(name), %{"lid-mapping": %{"1" => "2"}})
    assert binding[:unsubscribe].() == :ok
    GenServer.stop(connection)

    assert log_in(NativeFilePersistence.use_native_file_auth_state(path)) == @me.id
    assert NativeFilePersistence.load_keys(path, :"lid-mapping", "1") == {:ok, "2"}
  end

  test "the JSON form goes by the same lines", %{tmp: tmp} do
    path = Path.join(tmp, "json")
    {:ok, auth} = FilePersistence.use_multi_file_auth_state(path)
    :ok = auth.save_creds.(%{auth.state | me: @me})
    assert log_in(FilePersistence.use_multi_file_auth_state(path)) == @me.id
  end

  # Logs in without a QR code: there is no function that could show one.
  defp log_in({:ok, auth}) do
    {:ok, connection} = BaileysEx.connect(auth.state, auth.connect_opts)
    {:ok, state} = BaileysEx.auth_state(connection)
    GenServer.stop(connection)
    State.me_id(state)
  end

  defp paired({:ok, state}), do: if(State.me_id(state), do: state)
end
