defmodule BaileysEx.Auth.Postgres.Connection do
  @moduledoc """
  How `BaileysEx.Auth.PostgresPersistence` reaches the server: one function that takes a statement and
  parameters, and returns rows.

  An Ecto repository (`:repo`) and a Postgrex pool (`:conn`) do not need this. For another driver, write a
  module and give `connection: {MyApp.Connection, handle}`:

      defmodule MyApp.Connection do
        @behaviour BaileysEx.Auth.Postgres.Connection

        @impl true
        def query(handle, sql, params) do
          case MyDriver.query(handle, sql, params) do
            {:ok, rows} -> {:ok, rows}
            {:error, %{sqlstate: code}} -> {:error, code}
            {:error, :closed} -> {:error, :unavailable}
          end
        end
      end

  Parameters are `nil`, binaries (`text` and `bytea`), integers (`bigint`), and lists of binaries (`text[]`
  and `bytea[]`). Rows are lists of `nil`, binaries and integers, in the order of the columns.
  """

  @typedoc "The server's five-character SQLSTATE, or why the server was not reached."
  @type problem() :: String.t() | :unavailable | :not_allowed | :driver_missing | :driver_failed

  @doc "Runs one statement. An error must not contain the driver's message, which may quote parameters."
  @callback query(handle :: term(), sql :: String.t(), params :: [term()]) ::
              {:ok, [[term()]]} | {:error, problem()}

  @doc """
  Whether `query/3`, called by this process, takes part in a transaction of the application. A driver without
  transactions of that kind can leave this function out.
  """
  @callback in_transaction?(handle :: term()) :: boolean()

  @optional_callbacks in_transaction?: 1
end

defmodule BaileysEx.Auth.Postgres.EctoConnection do
  @moduledoc false
  # The application's Ecto repository, whose module is called at run time.
  @behaviour BaileysEx.Auth.Postgres.Connection

  alias BaileysEx.Auth.Postgres.DriverResult

  @impl true
  def query(repo, sql, params) do
    # Parameters are keys, so they must not reach the log or Ecto's telemetry.
    opts = [log: false, telemetry_event: nil, cache_statement: DriverResult.name(sql)]
    DriverResult.of(repo, :query, [sql, params, opts])
  end

  # In the sandbox all processes of a test share one connection, and so see the same.
  @impl true
  def in_transaction?(repo) do
    function_exported?(repo, :in_transaction?, 0) and repo.in_transaction?() and
      repo.config()[:pool] != Ecto.Adapters.SQL.Sandbox
  rescue
    # The repository is not running; a query will report that.
    _error -> false
  end
end

defmodule BaileysEx.Auth.Postgres.PostgrexConnection do
  @moduledoc false
  # The application's pool; `Postgrex` is called at run time.
  @behaviour BaileysEx.Auth.Postgres.Connection

  alias BaileysEx.Auth.Postgres.DriverResult

  @impl true
  def query(conn, sql, params) do
    opts = [cache_statement: DriverResult.name(sql)]
    DriverResult.of(Postgrex, :query, [conn, sql, params, opts])
  end
end

defmodule BaileysEx.Auth.Postgres.DriverResult do
  @moduledoc false
  # Postgrex's results, also through Ecto, without anything that could show a parameter.

  alias BaileysEx.Auth.Postgres.Connection

  @doc "The name of a prepared statement: the same text has the same name."
  @spec name(String.t()) :: String.t()
  def name(sql), do: "baileys_ex_auth_#{:erlang.phash2(sql)}"

  @spec of(module(), atom(), [term()]) :: {:ok, [[term()]]} | {:error, Connection.problem()}
  def of(module, function, args) do
    if Code.ensure_loaded?(module) and function_exported?(module, function, length(args)),
      do: call(module, function, args),
      else: {:error, :driver_missing}
  end

  defp call(module, function, args) do
    case apply(module, function, args) do
      {:ok, %{rows: rows}} -> {:ok, rows || []}
      {:error, error} -> {:error, problem(error)}
      _other -> {:error, :driver_failed}
    end
  rescue
    # For example an encoding error, whose message is the parameter.
    error -> {:error, problem(error)}
  catch
    :exit, _reason -> {:error, :unavailable}
  end

  defp problem(%{postgres: %{pg_code: code}}) when is_binary(code), do: code
  # After a rollback inside a transaction.
  defp problem(%{__struct__: DBConnection.ConnectionError, message: "transaction rolling back"}),
    do: "25P02"

  defp problem(%{__struct__: DBConnection.ConnectionError}), do: :unavailable
  defp problem(%{__struct__: DBConnection.OwnershipError}), do: :not_allowed
  # Raised by Ecto if the application has not started the repository, or is restarting it.
  defp problem(%RuntimeError{message: "could not lookup Ecto repo " <> _rest}), do: :unavailable
  defp problem(_other), do: :driver_failed
end
