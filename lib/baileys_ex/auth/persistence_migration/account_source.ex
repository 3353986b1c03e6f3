defmodule BaileysEx.Auth.PersistenceMigration.AccountSource do
  @moduledoc false
  # The rows of an account in PostgreSQL, all as they were at one moment: by one statement, since the
  # pages of several would be of several moments where a store writes meanwhile.
  @behaviour BaileysEx.Auth.PersistenceMigration.Rows

  alias BaileysEx.Auth.DamagedAccountError
  alias BaileysEx.Auth.PersistenceMigration.{Directories, Rows}
  alias BaileysEx.Auth.Postgres.{Account, Statements, Value}

  @enforce_keys [:backend, :account]
  defstruct [:backend, :account, rows: [], done: 0, carried: nil]

  @impl true
  def described(source), do: {source.backend, Account.place(source.account)}

  @impl true
  def directories(_source), do: []

  @impl true
  def open(%{account: account} = source, _call, opts) do
    with {:ok, found} <-
           Account.query(account, Statements.everything(account.prefix), [account.name]) do
      {creds, keys} = Enum.split_with(found, fn [_type, id | _] -> id == nil end)

      creds_rows =
        for ["creds", nil, bytes, _form] when bytes != nil <- creds, do: {"creds", nil, bytes}

      rows = creds_rows ++ for [type, id, bytes, _form] <- keys, do: {type, id, bytes}

      cond do
        rows == [] ->
          {:error, {:not_an_auth_directory, Account.place(account)}}

        creds_rows == [] and not opts.without_credentials? ->
          {:error, {:no_credentials, Account.place(account)}}

        true ->
          {:ok, with_rows(source, rows), length(rows), sender_keys(creds)}
      end
    end
  end

  defp with_rows(source, [first | _rest] = rows) do
    %{
      source
      | rows: rows,
        carried: %{
          Rows.nothing()
          | credentials?: match?({"creds", nil, _bytes}, first),
            families: Value.families(rows),
            migrated_keys: Enum.count(rows, fn {_type, id, _bytes} -> id != nil end),
            bytes_read: Value.bytes(rows)
        }
    }
  end

  defp sender_keys([[_type, _id, _bytes, "array"]]), do: :array
  defp sender_keys([[_type, _id, _bytes, "buffer"]]), do: :buffer
  defp sender_keys(_unknown), do: nil

  @impl true
  def next(source) do
    {rows, rest} = Enum.split(source.rows, Directories.step())
    done = source.done + length(rows)
    {:ok, %{source | rows: rest, done: done}, rows, done}
  end

  @impl true
  def finish(source), do: {:ok, source.carried}

  @impl true
  def close(_source), do: :ok

  @doc "Of rows as the NIF reports them."
  def damage(source, rows), do: Enum.map(rows, &Value.corrupt(source.account, &1))

  @doc "All that cannot be carried."
  def damaged_error(source, damaged) do
    %DamagedAccountError{place: Account.place(source.account), rows: damaged}
  end

  @doc "What cannot be read of some rows."
  def unreadable(source, rows), do: Value.damaged(source.account, rows)
end
