defmodule BaileysEx.Auth.Postgres.Account do
  @moduledoc false
  # A context of `BaileysEx.Auth.PostgresPersistence`, checked once per call.

  alias BaileysEx.Auth.DatabaseError
  alias BaileysEx.Auth.Postgres.{EctoConnection, PostgrexConnection}

  @derive {Inspect, only: [:name, :prefix]}
  @enforce_keys [:connection, :name, :prefix]
  defstruct @enforce_keys

  @type t() :: %__MODULE__{connection: {module(), term()}, name: String.t(), prefix: String.t()}

  @options [:account, :conn, :connection, :prefix, :repo]

  # This byte in front of an account's name makes the name of its staging: see `Postgres.Staging`.
  @staging <<1>>

  @doc "Raises `ArgumentError` for invalid options, without showing their values."
  @spec new!(keyword()) :: t()
  def new!(opts) do
    name = Keyword.get(connection_opts!(opts), :account)

    if not (is_binary(name) and name != "" and String.valid?(name) and not (name =~ <<0>>)) do
      raise ArgumentError, "expected :account to be a text that is not empty"
    end

    if String.starts_with?(name, @staging) do
      raise ArgumentError,
            "expected :account not to begin with U+0001, which marks keys of migrations"
    end

    %__MODULE__{connection: connection!(opts), name: name, prefix: prefix!(opts)}
  end

  @doc "Returns the connection of options that need no account."
  @spec connection!(keyword()) :: {module(), term()}
  def connection!(opts) do
    case opts |> connection_opts!() |> Keyword.take([:repo, :conn, :connection]) do
      [repo: repo] when is_atom(repo) and repo != nil ->
        {EctoConnection, repo}

      [conn: conn] when conn != nil ->
        {PostgrexConnection, conn}

      [connection: {module, handle}] when is_atom(module) ->
        {module, handle}

      _other ->
        raise ArgumentError, "expected one of :repo, :conn and :connection {module, handle}"
    end
  end

  @spec prefix!(keyword()) :: String.t()
  def prefix!(opts) do
    prefix = Keyword.get(opts, :prefix, "public")

    # The prefix becomes part of the statements.
    if is_binary(prefix) and prefix =~ ~r/\A[A-Za-z_][A-Za-z0-9_]{0,62}\z/,
      do: prefix,
      else: raise(ArgumentError, "expected :prefix to be the plain name of a schema")
  end

  @doc "The name of its staging, which no account can have."
  @spec staging(t()) :: String.t()
  def staging(%__MODULE__{name: name}), do: @staging <> name

  @doc "The name of the account in messages."
  @spec place(t()) :: String.t()
  def place(%__MODULE__{name: name, prefix: "public"}), do: "account #{name} in PostgreSQL"

  def place(%__MODULE__{} = account),
    do: "account #{account.name} in PostgreSQL (#{account.prefix})"

  @spec query(t(), String.t(), [term()]) :: {:ok, [[term()]]} | {:error, DatabaseError.t()}
  def query(%__MODULE__{connection: {module, handle}} = account, sql, params) do
    case module.query(handle, sql, params) do
      {:ok, rows} when is_list(rows) ->
        if Enum.all?(rows, &row?/1), do: {:ok, rows}, else: bad_answer(account)

      {:error, problem} when is_binary(problem) or is_atom(problem) ->
        {:error, DatabaseError.new(place(account), problem)}

      _other ->
        bad_answer(account)
    end
  end

  defp row?(row), do: is_list(row) and Enum.all?(row, &value?/1)

  # Some drivers have atoms for booleans too.
  defp value?(value), do: is_binary(value) or is_integer(value) or is_atom(value)

  @doc "The error for anything that cannot answer the statement. Taking it for an empty answer would lose data."
  @spec bad_answer(t()) :: {:error, DatabaseError.t()}
  def bad_answer(account), do: {:error, DatabaseError.new(place(account), :bad_answer)}

  @doc "Whether the calling process has an open transaction that is invisible to others."
  @spec in_transaction?(t()) :: boolean()
  def in_transaction?(%__MODULE__{connection: {module, handle}}) do
    Code.ensure_loaded?(module) and function_exported?(module, :in_transaction?, 1) and
      module.in_transaction?(handle)
  end

  defp connection_opts!(opts) do
    if not Keyword.keyword?(opts), do: raise(ArgumentError, "expected a keyword list of options")

    case Keyword.keys(opts) -- @options do
      [] ->
        opts

      unknown ->
        raise ArgumentError,
              "unknown options #{inspect(unknown)}; there are #{inspect(@options)}, each once"
    end
  end
end
