defmodule BaileysEx.Auth.Postgres.Staging do
  @moduledoc false
  # Where the keys of a migration wait, batch by batch, until one statement makes all of them the account's:
  # in the same tables, under a name that no account can have, of which there is one for each account.
  #
  # The row of that name says whose the staging is, and each batch is a commit under that claim: the next
  # migration into the account takes the staging away from one that was killed, or goes on somewhere, and
  # clears it.

  alias BaileysEx.Auth.DatabaseError
  alias BaileysEx.Auth.Postgres.{Account, Statements}

  @type key() :: {type :: String.t(), id :: String.t(), value :: binary()}

  @doc "Takes it from whoever had it."
  @spec begin(Account.t(), migration :: String.t()) :: :ok | {:error, DatabaseError.t()}
  def begin(account, migration) do
    params = [account.name, migration]

    # A batch that is being written is waited for by the first statement, and seen by the second only.
    with {:ok, _row} <- Account.query(account, Statements.stage(account.prefix), params),
         {:ok, _none} <- Account.query(account, Statements.clear_staging(account.prefix), params),
         do: :ok
  end

  @doc "Adds a batch; `:lost` where another migration into the account has begun."
  @spec put(Account.t(), migration :: String.t(), [key()]) ::
          :ok | :lost | {:error, DatabaseError.t()}
  def put(account, migration, keys) do
    params = [Account.staging(account), migration, 0, nil] ++ Statements.columns(keys, 3)

    case Account.query(account, Statements.commit(account.prefix, false), params) do
      {:ok, [_changes]} -> :ok
      {:ok, []} -> :lost
      error -> error
    end
  end

  @doc "Removes what is there, if it is this migration's."
  @spec discard(Account.t(), migration :: String.t()) :: :ok | {:error, DatabaseError.t()}
  def discard(account, migration) do
    sql = Statements.discard_staging(account.prefix)
    with {:ok, _rows} <- Account.query(account, sql, [account.name, migration]), do: :ok
  end
end
