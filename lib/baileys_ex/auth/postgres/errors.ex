defmodule BaileysEx.Auth.DatabaseError do
  @moduledoc """
  A query failed, or the database did not answer.

    * `:place` is the account, such as `"account ada in PostgreSQL"`
    * `:kind` says what to do about it, see `t:kind/0`
    * `:code` is the server's SQLSTATE, if it returned one

  A driver's own error can contain parameters, which are keys, so no part of it is kept here.

  If the connection was lost (`:unavailable`), the write may have happened although its answer did not arrive.
  The same write can be repeated without harm.
  """

  @typedoc """
    * `:unavailable`: the server was not reached, is shutting down or failing over, or the pool is not running
      or has no free connection. A pool of Ecto or Postgrex also reports this if the server refuses its login
      or has no database of that name; it logs which
    * `:missing_database`: the server has no database of that name
    * `:login_refused`: the server refuses the user or the password
    * `:timeout`: a statement or lock timeout, or a cancelled statement
    * `:conflict`: a serialization failure or deadlock
    * `:full`: the server has no disk space, memory or connections left
    * `:read_only`: a replica, or a server that accepts no writes
    * `:missing_table`: the schema was not set up, or not under this `:prefix`
    * `:newer_schema`: a later version of this library has changed the schema
    * `:older_schema`: the schema was not upgraded to this version
    * `:aborted`: the application's transaction had failed before
    * `:not_allowed`: Ecto's sandbox has no connection for the calling process
    * `:driver_missing`: the module of the repository, or `Postgrex`, is not available
    * `:bad_answer`: a `BaileysEx.Auth.Postgres.Connection` answered with something else than rows
    * `:refused`: anything else
  """
  @type kind() ::
          :unavailable
          | :missing_database
          | :login_refused
          | :timeout
          | :conflict
          | :full
          | :read_only
          | :missing_table
          | :newer_schema
          | :older_schema
          | :aborted
          | :not_allowed
          | :driver_missing
          | :bad_answer
          | :refused

  @type t() :: %__MODULE__{place: String.t(), kind: kind(), code: String.t() | nil}

  @enforce_keys [:place, :kind]
  defexception [:place, :kind, :code]

  @advice %{
    unavailable:
      "there is no connection: the server cannot be reached or refuses the login or the database (the " <>
        "driver logs which), or the pool is not running or has none free; try again",
    missing_database: "the server has no database of that name; create it, or correct its name",
    login_refused: "the server refuses the login; correct user and password",
    timeout: "the statement was cancelled or took too long; try again",
    conflict: "another transaction was in the way; try again",
    full: "the server has run out of disk, memory or connections",
    read_only: "the server takes no writes; connect to the primary",
    missing_table:
      "its tables are missing; run BaileysEx.Auth.Postgres.Schema.migrate/1 and check :prefix",
    newer_schema: "its tables are of a later version of this library; update the library",
    older_schema:
      "its tables are of an earlier version; run BaileysEx.Auth.Postgres.Schema.migrate/1",
    not_allowed:
      "Ecto's sandbox has no connection for this process: none was checked out or allowed, " <>
        "or another process of the test is using it, in a transaction",
    aborted: "the transaction around it had failed before; roll it back",
    driver_missing: "the Ecto repository or Postgrex is not loaded; add it to the application",
    bad_answer:
      "its driver answered with something else than rows; see BaileysEx.Auth.Postgres.Connection",
    refused: "the server or its driver refused the statement"
  }

  @impl true
  def message(%__MODULE__{place: place, kind: kind, code: code}) do
    "#{place}: #{@advice[kind]}#{if code, do: " (SQLSTATE #{code})"}"
  end

  @doc false
  @spec new(String.t(), BaileysEx.Auth.Postgres.Connection.problem() | kind()) :: t()
  def new(place, code) when is_binary(code) do
    %__MODULE__{place: place, kind: kind(code), code: code}
  end

  def new(place, kind) when is_map_key(@advice, kind), do: %__MODULE__{place: place, kind: kind}
  def new(place, _driver_failed), do: %__MODULE__{place: place, kind: :refused}

  @doc """
  Whether the same call could succeed later, without a change to the schema, the context or the application.

      iex> alias BaileysEx.Auth.DatabaseError
      iex> DatabaseError.transient?(%DatabaseError{place: "ada", kind: :timeout})
      true
      iex> DatabaseError.transient?(%DatabaseError{place: "ada", kind: :missing_table})
      false
  """
  @spec transient?(t()) :: boolean()
  def transient?(%__MODULE__{kind: kind}) do
    kind in [:unavailable, :timeout, :conflict, :full, :read_only]
  end

  defp kind("3D000"), do: :missing_database
  defp kind("28" <> _), do: :login_refused
  defp kind("25006"), do: :read_only
  defp kind("25P02"), do: :aborted
  defp kind(code) when code in ["42P01", "3F000"], do: :missing_table
  defp kind(code) when code in ["57014", "55P03", "25P03"], do: :timeout
  defp kind("08" <> _), do: :unavailable
  defp kind("57" <> _), do: :unavailable
  defp kind("40" <> _), do: :conflict
  defp kind("53" <> _), do: :full
  defp kind(_other), do: :refused
end

defmodule BaileysEx.Auth.CorruptRowError do
  @moduledoc """
  A row of the database cannot be read: its value does not match its type.

    * `:place` is the account, `:type` and `:id` the key; both are `nil` for the credentials
    * `:member` is the position in the value, or `nil` for the whole
    * `:problem` says what is wrong, and never shows a value

  The row is left untouched. Restore it from a backup; a damaged *key* can also be deleted. Damaged
  *credentials* are never replaced by new ones.
  """

  @type t() :: %__MODULE__{
          place: String.t(),
          type: String.t() | nil,
          id: String.t() | nil,
          member: String.t() | nil,
          problem: String.t()
        }

  @enforce_keys [:place, :problem]
  defexception [:place, :type, :id, :member, :problem]

  @impl true
  def message(%__MODULE__{} = error) do
    what = if error.type, do: "#{error.type} #{inspect(error.id)}", else: "creds"
    member = if error.member, do: "#{error.member}: "

    "#{error.place}: #{what}: #{member}#{error.problem}; the row was left as it is, " <>
      "restore it from a backup"
  end
end

defmodule BaileysEx.Auth.DamagedAccountError do
  @moduledoc """
  Some rows of an account in the database cannot be read. The error names all of them.

    * `:place` is the account
    * `:rows` holds a `BaileysEx.Auth.CorruptRowError` for each
  """

  alias BaileysEx.Auth.{CorruptRowError, DamagedDirectoryError}

  @type t() :: %__MODULE__{place: String.t(), rows: [CorruptRowError.t()]}

  defexception [:place, :rows]

  @impl true
  def message(%__MODULE__{place: place, rows: rows}),
    do: DamagedDirectoryError.listed(place, rows, "row")
end
