defmodule BaileysEx.Auth.KeyStore.Commits do
  @moduledoc false
  # The commit of a caller: goes through the committer, is retried if that can help, and never overwrites
  # unseen changes.

  require Logger

  import BaileysEx.Auth.KeyStore.Failure, only: [fail!: 3, while_running!: 3]

  alias BaileysEx.Auth.KeyStore.{
    Backend,
    Cache,
    Committer,
    Failure,
    OperationError,
    Reads,
    Tenure
  }

  alias BaileysEx.Auth.{NotOwnerError, Telemetry}
  alias BaileysEx.Auth.Telemetry.Reason
  alias BaileysEx.Signal.Store.Changes

  @doc """
  Commits changes that are based on `basis`. `token` is the lock of the transaction that made them, or `nil`.
  Raises an `OperationError` on failure.
  """
  @spec commit(
          Cache.table(),
          token :: term(),
          OperationError.action(),
          Changes.t(),
          Reads.basis()
        ) :: :ok
  def commit(table, token, action, changes, basis) do
    while_running!(table, action, fn ->
      with {:error, reason} <- Cache.held(table), do: fail!(table, action, reason)
      changes = %{changes | entries: without_unknown_pre_keys(table, changes)}
      if Changes.empty?(changes), do: :ok, else: try_commit(table, token, action, changes, basis)
    end)
  end

  defp try_commit(table, token, action, changes, {seen, reads}) do
    config = Cache.config(table)
    commit = fn -> Committer.commit(config.committer, token, changes, seen) end

    case attempt(commit, table, action, config) do
      :ok ->
        Cache.committed(table)

      {:error, {:changed_meanwhile, _module, _place} = reason} ->
        now = Reads.look!(table, action)

        # The other change may concern different keys.
        if now != seen and Enum.all?(reads, &still?(config.backend, &1)),
          do: try_commit(table, token, action, changes, {now, reads}),
          else: fail!(table, action, reason)

      {:error, reason} ->
        with %NotOwnerError{} <- reason, do: Tenure.lose(table, config.backend, reason)
        fail!(table, action, reason)
    end
  end

  defp still?(backend, {key, entry}), do: Backend.load(backend, key) == entry

  defp attempt(commit, table, action, config) do
    case commit.() do
      {:error, reason} when config.tries > 1 ->
        if again?(reason) do
          failed = failed(table, config, action, reason)
          Logger.warning(failed <> "; trying again every #{config.pause_ms} ms")
          retry(commit, action, {1, reason}, config)
        else
          {:error, reason}
        end

      result ->
        result
    end
  end

  defp retry(commit, action, {attempt, reason}, config) do
    told_retrying(action, attempt, reason, config.backend)
    Process.sleep(config.pause_ms)

    case commit.() do
      :ok ->
        Logger.info("key store#{of(config)} commits again")
        :ok

      {:error, reason} when attempt + 1 < config.tries ->
        if again?(reason),
          do: retry(commit, action, {attempt + 1, reason}, config),
          else: {:error, reason}

      error ->
        error
    end
  end

  defp told_retrying(action, attempt, reason, backend) do
    Telemetry.execute([:store, :retrying], %{attempt: attempt}, %{
      backend: backend.module,
      place: backend.place_name,
      action: action,
      reason: Reason.kind(reason)
    })
  end

  defp again?(reason), do: reason != :store_stopped and Backend.transient?(reason)

  # Contains no value, like the error that is raised in the end.
  defp failed(table, config, action, reason) do
    error = %OperationError{action: action, reason: reason, place: config.backend.place_name}
    Failure.note(table, error)
    Exception.message(error)
  end

  defp of(config) do
    case config.backend.place_name do
      nil -> ""
      place -> " of #{place}"
    end
  end

  # An unreadable pre-key is not an unknown one: it is deleted.
  defp without_unknown_pre_keys(table, %Changes{entries: entries}) do
    unknown =
      for {{:"pre-key", _id} = key, nil} <- entries, Reads.load(table, key) == :absent, do: key

    Map.drop(entries, unknown)
  end
end
