defmodule BaileysEx.Auth.Postgres.Writes do
  @moduledoc false
  # Changes to an account: one statement each, under the claim of this VM if it has one.

  alias BaileysEx.Auth.{AuthState, InvalidTermError, Keys, Persistence, State}
  alias BaileysEx.Auth.Postgres.{Account, Claim, Key, Statements, Value}

  @typedoc "A key and its bytes; `nil` deletes."
  @type change() :: {type :: String.t(), id :: String.t(), binary() | nil}

  @typedoc "Who commits: a store, with the number of changes that it has seen, or a plain function."
  @type by() :: {:store, seen :: non_neg_integer() | nil} | :counted

  @doc "Returns the bytes of credentials, or the error that names what they lack."
  @spec encode_credentials(State.t()) :: {:ok, binary()} | {:error, InvalidTermError.t()}
  def encode_credentials(state) do
    with {:ok, state} <- AuthState.complete(state), do: Value.encode_credentials(state)
  end

  @doc "Returns changes with the bytes of their values, sorted, or an error if a key or a term is refused."
  @spec encode(Persistence.changes()) :: {:ok, [change()]} | {:error, term()}
  def encode(changes) do
    with {:ok, changes} <- Keys.flatten(changes),
         # A key given twice, as 1 and "1", would be two rows of one upsert.
         changes =
           changes |> Map.new(fn {type, id, value} -> {{type, id}, value} end) |> Enum.sort(),
         :ok <- Key.check(Enum.map(changes, &elem(&1, 0))),
         do: Value.encode(changes)
  end

  @spec credentials(Account.t(), binary()) :: :ok | {:error, term()}
  def credentials(account, bytes) do
    written =
      Claim.write(account, nil, fn
        nil ->
          Account.query(account, Statements.put_creds(account.prefix), [account.name, bytes])

        {id, fence} ->
          params = [account.name, id, fence, bytes]

          with {:ok, []} <-
                 Account.query(account, Statements.put_owned_creds(account.prefix), params),
               do: :refused
      end)

    with {:ok, _rows} <- written, do: :ok
  end

  @doc "Returns `{:error, :changed_meanwhile}` if there are changes that the store has not seen."
  @spec keys(Account.t(), [change()], by()) :: :ok | {:error, term()}
  def keys(account, changes, by) do
    {gone, saved} = Enum.split_with(changes, &match?({_type, _id, nil}, &1))
    seen = with {:store, seen} <- by, do: seen, else: (_counted -> nil)

    deleted = if gone == [], do: [], else: Statements.columns(gone, 2)
    rows = Statements.columns(saved, 3) ++ deleted

    written =
      Claim.write(account, seen, fn claim ->
        sql = statement(claim, by).(account.prefix, gone != [])
        {id, fence} = claim || {nil, nil}

        with {:ok, []} <- Account.query(account, sql, [account.name, id, fence, seen | rows]),
             do: :refused
      end)

    with {:ok, [[changes]]} <- written, do: Claim.saw(account, changes)
  end

  @doc "Deletes credentials and keys, once the account is claimed."
  @spec delete(Account.t()) :: :ok | {:error, term()}
  def delete(account) do
    deleted =
      Claim.write(account, nil, fn {id, fence} ->
        sql = Statements.delete(account.prefix)

        with {:ok, [[0]]} <- Account.query(account, sql, [account.name, id, fence]),
             do: :refused
      end)

    with {:ok, _rows} <- deleted, do: :ok
  end

  # Without a claim, no store can rely on the count of changes.
  defp statement(nil, _by), do: &Statements.commit_free/2
  defp statement(_claim, {:store, _seen}), do: &Statements.commit/2
  defp statement(_claim, :counted), do: &Statements.commit_counted/2
end
