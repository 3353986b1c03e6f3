defmodule BaileysEx.Auth.CLI.Repository do
  @moduledoc false
  # Starts the Ecto repository that `--repo` names, without the rest of the application, whose accounts would
  # otherwise run twice. Reasons can contain the password of the database, so errors say only what could not
  # be started.

  @type refusal() ::
          {:error,
           {:no_repository, module()}
           | {:repository_without_database, module()}
           | {:repository_needs, module(), application :: atom()}
           | {:repository_not_started, module(), exception :: module() | nil}}

  @spec start(module()) :: :ok | refusal()
  def start(repo) do
    if Code.ensure_loaded?(repo) and function_exported?(repo, :__adapter__, 0),
      do: start(repo, repo.__adapter__()),
      else: {:error, {:no_repository, repo}}
  end

  defp start(repo, adapter) do
    config = repo.config()

    with :ok <- names_database(repo, adapter, config),
         :ok <- ecto(repo, adapter),
         {:ok, _apps} <- adapter.ensure_all_started(config, :temporary),
         {:ok, _pid} <- start_supervised(repo) do
      :ok
    else
      {:error, {:already_started, _pid}} -> :ok
      {:error, {:repository_without_database, ^repo}} = error -> error
      {:error, {:repository_needs, ^repo, _application}} = error -> error
      {:error, reason} -> not_started(repo, reason)
    end
  rescue
    error -> not_started(repo, error)
  end

  # Without a database name, the pool starts but none of its connections does.
  defp names_database(repo, Ecto.Adapters.Postgres, config) do
    if (config[:database] || System.get_env("PGDATABASE") || "") == "",
      do: {:error, {:repository_without_database, repo}},
      else: :ok
  end

  defp names_database(_repo, _adapter, _config), do: :ok

  defp ecto(repo, adapter) do
    case Application.ensure_all_started(:ecto_sql) do
      {:ok, _started} ->
        :ok

      {:error, {application, _reason}} ->
        # An adapter that is not one of Ecto's may work without it.
        if application == :ecto_sql and not match?(["Ecto" | _], Module.split(adapter)),
          do: :ok,
          else: {:error, {:repository_needs, repo, application}}
    end
  end

  # If the repository fails to start, it would take a process that is linked to it down with it.
  defp start_supervised(repo) do
    spec = %{id: repo, start: {repo, :start_link, [[pool_size: 2]]}, restart: :temporary}
    {:ok, supervisor} = DynamicSupervisor.start_link(strategy: :one_for_one)
    DynamicSupervisor.start_child(supervisor, spec)
  end

  # Shows only the kind of the exception.
  defp not_started(repo, {exception, stacktrace}) when is_list(stacktrace),
    do: not_started(repo, exception)

  defp not_started(repo, %kind{}), do: {:error, {:repository_not_started, repo, kind}}
  defp not_started(repo, _reason), do: {:error, {:repository_not_started, repo, nil}}
end
