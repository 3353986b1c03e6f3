defmodule BaileysEx.Auth.Postgres.Claim do
  @moduledoc false
  # This VM's claim of an account, and what it knows of the account's changes.
  #
  # A write whose answer was lost with its connection may not have happened yet: the server can still be
  # waiting in it, and would put the old value over a newer one. So the next write first raises the
  # number that every write under the claim carries (`owner_fence`), and the next read too: what it
  # reads would be older than what is there when something made from it is written.

  alias BaileysEx.Auth.{Claims, DatabaseError, NotOwnerError, Owner}
  alias BaileysEx.Auth.Postgres.{Account, Statements}

  @typedoc "The owner's id and how many answers were lost; `nil` where this VM has no claim."
  @type t() :: {id :: String.t(), fence :: non_neg_integer()} | nil

  # How long a number of changes is taken for the newest. Each commit is checked against it anyway.
  @fresh_ms 20_000

  # Another claim each time, or another lost answer of this VM.
  @tries 10

  @doc "Claims, after whoever has the account now. The number of changes when it was done."
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
      # Claimed before, by a statement whose answer was lost.
      {:ok, row} -> {:ok, row.changes}
      error -> error
    end
  end

  @doc "Gives back what `take/2` took; whether it still stood."
  @spec give_back(Account.t(), String.t()) :: {:ok, boolean()} | {:error, term()}
  def give_back(account, id) do
    sql = Statements.release(account.prefix)
    with {:ok, rows} <- Account.query(account, sql, [account.name, id]), do: {:ok, rows != []}
  end

  @doc "From here on every write of this VM is under the claim."
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
  Runs a write under the claim. It answers `{:ok, result}`, `:refused` where the account's row was not
  as its conditions say, or an error. `seen` is the number of changes that is one of them, or `nil`.
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

  # Nothing was written. A store of this VM is told, also where somebody else made the call.
  defp refused(account, claim, seen, {fun, tries}) do
    with {:ok, row} <- row(account) do
      cond do
        claim == nil or elem(claim, 0) != (row.owner && row.owner.id) ->
          lost(account, row.owner)

        seen != nil and seen != row.changes ->
          {:error, :changed_meanwhile}

        # Raised by another process of this VM meanwhile, or in a transaction that was rolled back.
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

  @doc "Runs a read: nothing that was sent under the claim before can be written after it."
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

      # The write will be refused, and say why.
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

  # Whether the server may be at it still: it has not said itself that it is not.
  defp lost_answer?(%DatabaseError{kind: kind, code: nil}), do: kind in [:unavailable, :refused]
  defp lost_answer?(%DatabaseError{code: "08" <> _connection}), do: true
  defp lost_answer?(_error), do: false

  @doc "What `c:BaileysEx.Auth.Persistence.changes_seen/1` gives."
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
  Notes the newest number of changes, which an answer of the server held. In a transaction it may count
  what nobody else can read yet: whoever needs the number asks for it then.
  """
  @spec saw(Account.t(), non_neg_integer()) :: :ok
  def saw(account, changes) do
    place = place(account)

    cond do
      # Only a store asks, and it has a claim.
      Claims.remembered(place, :claim) == nil -> :ok
      Account.in_transaction?(account) -> Claims.forget(place, :changes)
      true -> Claims.remember(place, :changes, {changes, now()})
    end
  end

  @doc "Who has claimed the account."
  @spec owner(Account.t()) :: {:ok, Owner.t() | nil} | {:error, term()}
  def owner(account), do: with({:ok, row} <- row(account), do: {:ok, row.owner})

  @doc "What tells the account from every other."
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
