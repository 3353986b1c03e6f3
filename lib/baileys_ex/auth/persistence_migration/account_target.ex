defmodule BaileysEx.Auth.PersistenceMigration.AccountTarget do
  @moduledoc false
  # Rows become an account in PostgreSQL, by one statement under a claim of its own: whoever had the
  # account before is fenced, as by any other claim.
  @behaviour BaileysEx.Auth.PersistenceMigration.Rows

  alias BaileysEx.Auth.Owner
  alias BaileysEx.Auth.PersistenceMigration.{AccountSource, Received}
  alias BaileysEx.Auth.Postgres.{Account, Claim, Key, Schema, Statements, Value}

  @enforce_keys [:backend, :account]
  defstruct [:backend, :account, :overwrite?, :received]

  @impl true
  def described(target), do: {target.backend, Account.place(target.account)}

  @impl true
  def directories(_target), do: []

  @impl true
  def receive(%{account: account} = target, _call, opts, _sender_keys, source) do
    target = %{target | overwrite?: opts.overwrite?}

    with :ok <- other(account, source),
         :ok <- Schema.check(account),
         :ok <- vacant(target) do
      {:ok, %{target | received: %Received{source: source, skip?: opts.skip?}}}
    end
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
  def put(target, rows), do: {:ok, %{target | received: Received.put(target.received, rows)}}

  @impl true
  def publish(%{account: account} = target, carried) do
    owner = Owner.new()

    with {:ok, creds, keys, skipped} <- Received.take(target.received),
         :ok <- Key.check(for {type, id, _bytes} <- keys, do: {type, id}),
         {:ok, changes} <- Claim.take(account, owner) do
      result =
        with :ok <- vacant(target),
             do: replace(account, {owner.id, changes}, {creds, keys, carried.sender_keys})

      # After a failure: what was replaced has no owner.
      if result != :ok, do: Claim.give_back(account, owner.id)

      with :ok <- result do
        bytes = Value.bytes(keys) + byte_size(creds || "")
        families = Value.families(keys)

        {:ok,
         Map.merge(carried, %{
           bytes_written: bytes,
           families: families,
           migrated_keys: length(keys),
           skipped: carried.skipped ++ skipped
         })}
      end
    end
  end

  defp replace(account, {owner, changes}, {creds, keys, sender_keys}) do
    params = [
      account.name,
      owner,
      0,
      changes,
      creds,
      sender_keys && Atom.to_string(sender_keys),
      Enum.map(keys, &elem(&1, 0)),
      Enum.map(keys, &elem(&1, 1)),
      Enum.map(keys, &elem(&1, 2))
    ]

    case Account.query(account, Statements.replace(account.prefix), params) do
      {:ok, [[1]]} -> :ok
      {:ok, [[0]]} -> {:error, {:target_changed_meanwhile, Account.place(account)}}
      error -> error
    end
  end

  @impl true
  def close(_target), do: :ok
end
