defmodule BaileysEx.Auth.Postgres.Staging do
  @moduledoc false
  # Holds the keys of a migration, batch by batch, until one statement moves all of them to the account. They
  # are in the same tables, under a name that no account can have. There is one such name for each account.
  #
  # The row of that name says which migration owns the staging, and each batch is a commit under that claim.
  # The next migration into the account takes the staging away from an earlier one that was killed or is still
  # running, and clears it.

  alias BaileysEx.Auth.DatabaseError
  alias BaileysEx.Auth.Postgres.{Account, Statements}

  @type key() :: {type :: String.t(), id :: String.t(), value :: binary()}

  @doc "Takes the staging from its current owner."
  @spec begin(Account.t(), migration :: String.t()) :: :ok | {:error, DatabaseError.t()}
  def begin(account, migration) do
    params = [account.name, migration]

    # The first statement waits for a batch that is being written; only the second sees its rows.
    with {:ok, _row} <- Account.query(account, Statements.stage(account.prefix), params),
         {:ok, _none} <- Account.query(account, Statements.clear_staging(account.prefix), params),
         do: :ok
  end

  @doc "Adds a batch. Returns `:lost` if another migration into the account has begun."
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

  @doc "Removes the staged keys, if they belong to this migration."
  @spec discard(Account.t(), migration :: String.t()) :: :ok | {:error, DatabaseError.t()}
  def discard(account, migration) do
    sql = Statements.discard_staging(account.prefix)
    with {:ok, _rows} <- Account.query(account, sql, [account.name, migration]), do: :ok
  end
end
