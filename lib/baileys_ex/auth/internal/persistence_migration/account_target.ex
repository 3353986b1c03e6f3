defmodule BaileysEx.Auth.PersistenceMigration.AccountTarget do
  @moduledoc false
  # Makes an account in PostgreSQL from rows, with one statement under its own claim: the previous owner of
  # the account is fenced, as by any other claim. Rows that are too much for one statement are staged first.
  @behaviour BaileysEx.Auth.PersistenceMigration.Rows

  alias BaileysEx.Auth.Owner
  alias BaileysEx.Auth.PersistenceMigration.{AccountSource, Received}
  alias BaileysEx.Auth.Postgres.{Account, Claim, Key, Schema, Staging, Statements}

  # The limits of what is held before it is staged.
  @keys 20_000
  @bytes 2 * 1024 * 1024

  @enforce_keys [:backend, :account]
  # `staged` counts the keys in the staging, so that it can be discarded whatever happens.
  defstruct [:backend, :account, :overwrite?, :received, :owner, :staged]

  @impl true
  def described(target), do: {target.backend, Account.place(target.account)}

  @impl true
  def directories(_target), do: []

  @impl true
  def receive(%{account: account} = target, _call, opts, _sender_keys, source) do
    target = %{
      target
      | overwrite?: opts.overwrite?,
        owner: Owner.new(),
        staged: :counters.new(1, []),
        received: %Received{source: source, skip?: opts.skip?}
    }

    with :ok <- other(account, source),
         :ok <- Schema.check(account),
         :ok <- vacant(target),
         do: {:ok, target}
  end

  defp other(account, %AccountSource{account: source}) do
    if Claim.place(account) == Claim.place(source),
      do: {:error, {:invalid_migration_target, Account.place(account), :einval}},
      else: :ok
  end

  defp other(_account, _directory), do: :ok

  defp vacant(%{overwrite?: true}), do: :ok

  defp vacant(%{account: account}) do
    case Account.query(account, Statements.occupied(account.prefix), [account.name]) do
      {:ok, [[0, 0]]} -> :ok
      {:ok, _occupied} -> {:error, {:target_not_empty, Account.place(account)}}
      error -> error
    end
  end

  @impl true
  def put(target, rows) do
    target = %{target | received: Received.put(target.received, rows)}
    {keys, bytes} = target.received.held
    if keys >= @keys or bytes >= @bytes, do: stage(target), else: {:ok, target}
  end

  defp stage(target) do
    {keys, received} = Received.drain(target.received)
    target = %{target | received: received}

    case Received.skipped(received) do
      {:ok, _skipped} -> stage(target, keys)
      # From here on, only further damage is looked for.
      {:error, _damaged} -> {:ok, target}
    end
  end

  defp stage(%{account: account, owner: owner} = target, keys) do
    first? = staged(target) == 0
    :counters.add(target.staged, 1, length(keys))

    with :ok <- check(keys),
         :ok <- if(first?, do: Staging.begin(account, owner.id), else: :ok),
         :ok <- Staging.put(account, owner.id, keys) do
      {:ok, target}
    else
      :lost -> changed(account)
      error -> error
    end
  end

  defp staged(target), do: :counters.get(target.staged, 1)

  defp check(keys), do: Key.check(for {type, id, _bytes} <- keys, do: {type, id})

  defp changed(account), do: {:error, {:target_changed_meanwhile, Account.place(account)}}

  @impl true
  def publish(%{account: account, owner: owner} = target, carried) do
    {keys, received} = Received.drain(target.received)

    with {:ok, skipped} <- Received.skipped(received),
         :ok <- check(keys),
         {:ok, changes} <- Claim.take(account, owner) do
      result =
        with :ok <- vacant(target),
             do: replace(target, changes, {received.creds, keys, carried.sender_keys})

      # After a failure, the account must not keep this migration as its owner.
      if result != :ok, do: Claim.give_back(account, owner.id)

      with :ok <- result do
        {:ok, carried |> Map.merge(received.total) |> Map.update!(:skipped, &(&1 ++ skipped))}
      end
    end
  end

  defp replace(%{account: account} = target, changes, {creds, keys, sender_keys}) do
    row = [creds, sender_keys && Atom.to_string(sender_keys)]

    params =
      [account.name, target.owner.id, 0, changes] ++
        row ++ Statements.columns(keys, 3) ++ [staged(target)]

    case Account.query(account, Statements.replace(account.prefix), params) do
      {:ok, [[1]]} -> :ok
      {:ok, [[0]]} -> changed(account)
      error -> error
    end
  end

  @impl true
  def close(%{account: account, owner: owner} = target) do
    if staged(target) > 0, do: Staging.discard(account, owner.id), else: :ok
  end
end
