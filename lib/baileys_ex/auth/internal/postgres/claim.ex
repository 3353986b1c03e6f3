defmodule BaileysEx.Auth.Postgres.Claim do
  @moduledoc false
  # This VM's claim of an account, and what the VM knows of the account's changes.
  #
  # If a connection is lost before a write is answered, the write may not have happened yet: the server can
  # still be waiting in it, and would later overwrite a newer value with the old one. So the next write or
  # read first raises the number that every write under the claim carries (`owner_fence`). A read needs this
  # too: otherwise the late write could change the value after it was read and before something based on it is
  # written.

  alias BaileysEx.Auth.{Claims, DatabaseError, NotOwnerError, Owner}
  alias BaileysEx.Auth.Postgres.{Account, Statements}

  @typedoc "The owner's id and the number of lost answers; `nil` if this VM has no claim."
  @type t() :: {id :: String.t(), fence :: non_neg_integer()} | nil

  # How long a number of changes counts as the newest. Each commit is checked against it anyway.
  @fresh_ms 20_000

  # Each attempt fails only through another claim, or another lost answer of this VM.
  @tries 10

  @doc "Claims the account from its current owner. Returns the number of changes at that moment."
  @spec take(Account.t(), Owner.t(), pos_integer()) ::
          {:ok, changes :: non_neg_integer()} | {:error, term()}
  def take(account, owner, tries \\ @tries) do
    {id, node, os_process, host, since_ms} = Owner.to_native(owner)

    with {:ok, %{owner: before} = row} when before == nil or before.id != id <- row(account),
         params = [account.name, id, node, os_process, host, since_ms, row.counter],
         {:ok, claimed} <- Account.query(account, Statements.claim(account.prefix), params) do
      case claimed do
        [[changes]] -> {:ok, changes}
        [] when tries > 1 -> take(account, owner, tries - 1)
        [] -> {:error, %NotOwnerError{place: Account.place(account), owner: before}}
      end
    else
      # An earlier statement, whose answer was lost, has already claimed.
      {:ok, row} -> {:ok, row.changes}
      error -> error
    end
  end

  @doc "Releases what `take/2` claimed. Returns whether the claim still stood."
  @spec give_back(Account.t(), String.t()) :: {:ok, boolean()} | {:error, term()}
  def give_back(account, id) do
    sql = Statements.release(account.prefix)
    with {:ok, rows} <- Account.query(account, sql, [account.name, id]), do: {:ok, rows != []}
  end

  @doc "Makes every write of this VM use the claim from now on."
  @spec remember(Account.t(), String.t(), changes :: non_neg_integer()) :: :ok
  def remember(account, id, changes) do
    Claims.remember(place(account), :claim, {id, 0, :certain})
    saw(account, changes)
  end

  @spec forget(Account.t(), String.t()) :: :ok
  def forget(account, id) do
    with {^id, _fence, _lost} <- Claims.remembered(place(account), :claim) do
      Claims.forget(place(account), :claim)
      Claims.forget(place(account), :changes)
    end

    :ok
  end

  @doc """
  Runs a write under the claim. `fun` returns `{:ok, result}`, `:refused` if the account's row did not
  meet its conditions, or an error. `seen` is the number of changes in those conditions, or `nil`.
  """
  @spec write(
          Account.t(),
          non_neg_integer() | nil,
          (t() -> {:ok, result} | :refused | {:error, term()})
        ) :: {:ok, result} | {:error, term()}
        when result: var
  def write(account, seen, fun), do: write(account, seen, fun, @tries)

  defp write(account, seen, fun, tries) do
    with {:ok, claim} <- certain(account) do
      case fun.(claim) do
        {:error, error} ->
          if lost_answer?(error), do: doubt(account, claim)
          {:error, error}

        :refused ->
          refused(account, claim, seen, {fun, tries})

        done ->
          done
      end
    end
  end

  # Nothing was written. Tells a store of this VM, even if somebody else made the call.
  defp refused(account, claim, seen, {fun, tries}) do
    with {:ok, row} <- row(account) do
      cond do
        claim == nil or elem(claim, 0) != (row.owner && row.owner.id) ->
          lost(account, row.owner)

        seen != nil and seen != row.changes ->
          {:error, :changed_meanwhile}

        # Another process of this VM has raised the fence, or did so in a transaction that was rolled back.
        tries > 1 ->
          doubt(account, claim)
          write(account, seen, fun, tries - 1)

        true ->
          lost(account, row.owner)
      end
    end
  end

  defp lost(account, owner) do
    error = %NotOwnerError{place: Account.place(account), owner: owner}
    Claims.lost(place(account), error)
    {:error, error}
  end

  @doc "Runs a read. Nothing that was sent under the claim earlier can be written after it."
  @spec read(Account.t(), String.t(), [term()]) :: {:ok, [[term()]]} | {:error, term()}
  def read(account, sql, params) do
    with {:ok, _claim} <- certain(account), do: Account.query(account, sql, params)
  end

  defp certain(account) do
    case Claims.remembered(place(account), :claim) do
      nil -> {:ok, nil}
      {id, fence, :certain} -> {:ok, {id, fence}}
      {id, fence, :doubtful} -> raise_fence(account, id, fence + 1)
    end
  end

  defp raise_fence(account, id, fence) do
    params = [account.name, id, fence]

    case Account.query(account, Statements.raise_fence(account.prefix), params) do
      {:ok, [[^fence]]} ->
        Claims.remember(place(account), :claim, {id, fence, :certain})
        {:ok, {id, fence}}

      # The write will be refused and will return the reason.
      {:ok, []} ->
        {:ok, {id, fence}}

      error ->
        error
    end
  end

  defp doubt(_account, nil), do: :ok

  defp doubt(account, {id, fence}) do
    with {^id, ^fence, :certain} <- Claims.remembered(place(account), :claim) do
      Claims.remember(place(account), :claim, {id, fence, :doubtful})
    end

    :ok
  end

  # Whether the server may still be executing the statement, because it has not said that it is not.
  defp lost_answer?(%DatabaseError{kind: kind, code: nil}), do: kind in [:unavailable, :refused]
  defp lost_answer?(%DatabaseError{code: "08" <> _connection}), do: true
  defp lost_answer?(_error), do: false

  @doc "Returns the result of `c:BaileysEx.Auth.Persistence.changes_seen/1`."
  @spec changes_seen(Account.t()) :: {:ok, non_neg_integer()} | {:error, term()}
  def changes_seen(account) do
    case Claims.remembered(place(account), :changes) do
      {number, at} when is_integer(at) ->
        if now() - at < @fresh_ms, do: {:ok, number}, else: look(account)

      nil ->
        look(account)
    end
  end

  defp look(account) do
    with {:ok, row} <- row(account) do
      case Claims.remembered(place(account), :claim) do
        {id, _fence, _lost} when row.owner == nil or row.owner.id != id ->
          {:error, %NotOwnerError{place: Account.place(account), owner: row.owner}}

        _held_or_none ->
          {:ok, row.changes}
      end
    end
  end

  @doc """
  Records the newest number of changes, from an answer of the server. Inside a transaction, the number may
  count changes that nobody else can read yet; then it is forgotten, and asked for when it is needed.
  """
  @spec saw(Account.t(), non_neg_integer()) :: :ok
  def saw(account, changes) do
    place = place(account)

    cond do
      # Only a store asks for it, and a store has a claim.
      Claims.remembered(place, :claim) == nil -> :ok
      Account.in_transaction?(account) -> Claims.forget(place, :changes)
      true -> Claims.remember(place, :changes, {changes, now()})
    end
  end

  @doc "Returns who has claimed the account."
  @spec owner(Account.t()) :: {:ok, Owner.t() | nil} | {:error, term()}
  def owner(account), do: with({:ok, row} <- row(account), do: {:ok, row.owner})

  @doc "Returns what distinguishes the account from every other one."
  @spec place(Account.t()) :: term()
  def place(account) do
    {__MODULE__, account.connection, account.prefix, account.name}
  end

  defp row(account) do
    case Account.query(account, Statements.owner(account.prefix), [account.name]) do
      {:ok, [[id, counter | _rest] = row]} ->
        {owner, [changes]} = Enum.split(row, -1)
        saw(account, changes)
        owner = if id, do: owner |> List.to_tuple() |> Owner.from_native()
        {:ok, %{owner: owner, counter: counter, changes: changes}}

      {:ok, []} ->
        {:ok, %{owner: nil, counter: 0, changes: 0}}

      error ->
        error
    end
  end

  defp now, do: System.monotonic_time(:millisecond)
end
