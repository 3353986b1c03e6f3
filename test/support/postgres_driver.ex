defmodule BaileysEx.Test.PostgresDriver do
  @moduledoc """
  A `BaileysEx.Auth.Postgres.Connection` over `p1_pgsql`: one connection, one statement at a time, each
  prepared once, with a new connection after a failure. Its handle is a pid.
  """

  @behaviour BaileysEx.Auth.Postgres.Connection

  use GenServer

  # A package of Debian, which is not installed everywhere.
  @compile {:no_warn_undefined, :pgsql}

  alias BaileysEx.Auth.Postgres.Schema
  alias BaileysEx.Test.PostgresServer

  def start_link(directory, user \\ "test", database \\ "postgres"),
    do: GenServer.start_link(__MODULE__, {directory, user, database})

  @doc "Starts a connection under the test's supervisor, and returns it in the form that a context takes."
  def connect!(directory, user \\ "test", database \\ "postgres") do
    spec = %{id: make_ref(), start: {__MODULE__, :start_link, [directory, user, database]}}
    {__MODULE__, ExUnit.Callbacks.start_supervised!(spec)}
  end

  @doc "For `setup_all`: starts a server with the tables, in the test's `:directory`."
  def start_with_tables(_context) do
    directory = PostgresServer.start!()
    :ok = Schema.migrate(connection: connect!(directory))
    {:ok, directory: directory}
  end

  @impl true
  def query(driver, sql, params), do: GenServer.call(driver, {:query, sql, params}, :infinity)

  @doc "Returns how many statements have been executed so far."
  def count(driver), do: GenServer.call(driver, :count)

  @impl true
  def init({directory, user, database}) do
    Process.flag(:trap_exit, true)
    # The library prints when a socket is closed.
    {:ok, silent} = StringIO.open("")
    Process.group_leader(self(), silent)
    place = %{directory: directory, user: user, database: database}
    {:ok, Map.merge(place, %{db: nil, prepared: %{}, count: 0})}
  end

  @impl true
  def handle_call(:count, _from, state), do: {:reply, state.count, state}

  def handle_call({:query, sql, params}, _from, state) do
    state = %{state | count: state.count + 1}

    case run(state, sql, params) do
      {:broken, state} -> {:reply, {:error, :unavailable}, close(state)}
      {result, state} -> {:reply, result, state}
    end
  end

  # Notices of the driver, and its end.
  @impl true
  def handle_info(_message, state), do: {:noreply, state}

  @impl true
  def terminate(_reason, state), do: close(state)

  defp run(%{db: nil} = state, sql, params) do
    port = PostgresServer.port(state.directory)
    place = [host: ~c"127.0.0.1", port: port, database: state.database]
    opts = [user: state.user, as_binary: true] ++ place

    case driver().connect(opts) do
      {:ok, db} -> run(%{state | db: db, prepared: %{}}, sql, params)
      {:error, {:error_response, error}} -> {{:error, code(error)}, state}
      {:error, _reason} -> {:broken, state}
    end
  catch
    :exit, _reason -> {:broken, state}
  end

  defp run(state, sql, params) do
    with {:ok, name, state} <- prepare(state, sql) do
      case GenServer.call(state.db, {:execute, {name, Enum.map(params, &param/1)}}, 60_000) do
        {:ok, {_command, rows}} -> {{:ok, rows(rows)}, state}
        # Anything but the fields of an error is a message that the driver did not expect.
        {:error, error} when is_list(error) -> {{:error, code(error)}, state}
        {:error, _unexpected} -> {:broken, state}
      end
    else
      {:error, error} when is_list(error) -> {{:error, code(error)}, state}
      {:error, _unexpected} -> {:broken, state}
    end
  catch
    :exit, _reason -> {:broken, state}
  end

  defp prepare(%{prepared: prepared} = state, sql) do
    case prepared do
      %{^sql => name} ->
        {:ok, name, state}

      _new ->
        name = ~c"s#{map_size(prepared)}"

        with {:ok, _status, _params, _results} <- driver().prepare(state.db, name, sql) do
          {:ok, name, %{state | prepared: Map.put(prepared, sql, name)}}
        end
    end
  end

  # Called through a variable, so that the tests compile without it.
  defp driver, do: :pgsql

  defp close(%{db: nil} = state), do: state

  defp close(%{db: db} = state) do
    Process.exit(db, :kill)
    %{state | db: nil}
  end

  defp param(nil), do: :null
  defp param(value) when is_binary(value) or is_integer(value), do: value
  defp param(list), do: [?{, list |> Enum.map(&item/1) |> Enum.intersperse(?,), ?}]

  # Quotes texts of the tests. Anything that is not text, and external term format, is a `bytea`.
  defp item(<<131, _rest::binary>> = bytes), do: [~S("\\x), Base.encode16(bytes), ?"]
  defp item(text), do: [?", String.replace(text, ["\\", "\""], &"\\#{&1}"), ?"]

  # A statement without rows returns a text instead.
  defp rows([first | _rest] = rows) when not is_integer(first), do: Enum.map(rows, &row/1)
  defp rows(_none), do: []

  defp row(row) when is_tuple(row), do: row |> Tuple.to_list() |> Enum.map(&column/1)
  defp row(row), do: Enum.map(row, &column/1)

  defp column({:int8, digits}), do: String.to_integer(digits)
  defp column({_type, value}), do: column(value)
  defp column(:null), do: nil
  defp column(value), do: value

  defp code(error) do
    Enum.find_value(error, :driver_failed, fn
      {:code, code} -> to_string(code)
      _other -> nil
    end)
  end
end
