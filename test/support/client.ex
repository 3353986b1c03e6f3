defmodule BaileysEx do
  @moduledoc """
  Stands in for the client of this name, for the quick start in its documents. `connect/2` starts the Signal
  store that it receives, asks for a pairing if the account has none, keeps the auth state in memory and tells
  subscribers of `:creds_update`. It writes no file itself.
  """

  use GenServer

  alias BaileysEx.Auth.State

  @doc "As the client's function: takes the auth state and its options."
  def connect(auth_state, opts), do: GenServer.start_link(__MODULE__, {auth_state, opts})

  def subscribe_raw(connection, handler) do
    :ok = GenServer.call(connection, {:subscribe, handler})
    fn -> GenServer.call(connection, {:unsubscribe, handler}) end
  end

  def auth_state(connection), do: GenServer.call(connection, :auth_state)

  @doc "What the phone does after the QR code: Baileys' finished pairing, without `registered`."
  def scan(connection, me), do: GenServer.call(connection, {:scan, me})

  @doc "Returns the store that the connection uses."
  def signal_store(connection), do: GenServer.call(connection, :signal_store)

  @impl true
  def init({auth_state, opts}) do
    Process.flag(:trap_exit, true)
    module = Keyword.fetch!(opts, :signal_store_module)
    name = {:global, {__MODULE__, make_ref()}}

    {:ok, store} =
      opts
      |> Keyword.fetch!(:signal_store_opts)
      |> Keyword.put(:name, name)
      |> module.start_link()

    # A paired account logs in; an unpaired one shows its code.
    if State.me_id(auth_state) == nil, do: opts[:on_qr].("2@stand-in")
    {:ok, %{auth_state: auth_state, handlers: [], store: store, wrapped: {module, name}}}
  end

  @impl true
  def handle_call({:subscribe, handler}, _from, state) do
    {:reply, :ok, %{state | handlers: [handler | state.handlers]}}
  end

  def handle_call({:unsubscribe, handler}, _from, state) do
    {:reply, :ok, %{state | handlers: List.delete(state.handlers, handler)}}
  end

  def handle_call(:auth_state, _from, state), do: {:reply, {:ok, state.auth_state}, state}
  def handle_call(:signal_store, _from, state), do: {:reply, state.wrapped, state}

  def handle_call({:scan, me}, _from, state) do
    auth_state = State.merge_updates(state.auth_state, %{me: me})
    connection = self()
    # Handlers ask the connection for the state.
    spawn_link(fn -> Enum.each(state.handlers, & &1.(%{creds_update: %{me: me}})) end)
    {:reply, {:ok, connection}, %{state | auth_state: auth_state}}
  end

  @impl true
  def handle_info(_message, state), do: {:noreply, state}

  @impl true
  def terminate(_reason, state), do: GenServer.stop(state.store)
end

defmodule BaileysEx.Connection.Transport.MintWebSocket do
  @moduledoc "The transport that the quick start names; this stand-in opens none."
end
