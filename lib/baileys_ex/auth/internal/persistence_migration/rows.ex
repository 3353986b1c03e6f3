defmodule BaileysEx.Auth.PersistenceMigration.Rows do
  @moduledoc false
  # Migrates an account as rows, between a source and a target of which at least one is not a directory. A row
  # is `{type, id, bytes}`, with the value in external term format. The credentials are
  # `{"creds", nil, bytes}` and come first. The content of a file of an unknown family has the type `""` and
  # the file's stem as its id.
  #
  # A source or target is a struct, whose module has the callbacks.

  alias BaileysEx.Auth.Directory.Owner
  alias BaileysEx.Auth.{PersistenceMigration, Telemetry}
  alias BaileysEx.Auth.PersistenceMigration.Directories

  @type row() :: {type :: String.t(), id :: String.t() | nil, binary()}

  @typedoc "The options of a migration, checked."
  @type opts() :: %{
          overwrite?: boolean(),
          skip?: boolean(),
          without_credentials?: boolean(),
          ignore_changes?: boolean(),
          include_unknown?: boolean(),
          on_progress: (map() -> term()),
          sender_keys: :array | :buffer | nil,
          old_device_names?: boolean()
        }

  @doc "Returns the backend, and the name for messages and summaries."
  @callback described(struct()) :: {module(), String.t()}

  @doc "Returns the directories that it needs exclusively."
  @callback directories(struct()) :: [Path.t()]

  @doc "Of a source: begins. Returns how many rows there are, and the original form of their sender keys."
  @callback open(struct(), Owner.call(), opts()) ::
              {:ok, struct(), total :: non_neg_integer(), :array | :buffer | nil}
              | {:error, term()}

  @doc "Of a source: returns some more rows, and how many are done."
  @callback next(struct()) ::
              {:ok, struct(), [row()], done :: non_neg_integer()} | {:error, term()}

  @doc "Of a source: returns the members of a summary, or an error if the result must not be published."
  @callback finish(struct()) :: {:ok, map()} | {:error, term()}

  @doc "Of a source for a target that is a directory: returns the errors for rows that the target finds damaged."
  @callback damage(struct(), [{type :: String.t(), id :: String.t() | nil, term(), term()}]) ::
              [Exception.t()]

  @doc "Of such a source: returns the error that contains all of these."
  @callback damaged_error(struct(), [Exception.t()]) :: Exception.t()

  @doc "Of a target: begins. Damaged rows are reported as rows of `source`."
  @callback receive(struct(), Owner.call(), opts(), :array | :buffer | nil, source :: struct()) ::
              {:ok, struct()} | {:error, term()}

  @callback put(struct(), [row()]) :: {:ok, struct()} | {:error, term()}

  @doc "Of a target: publishes everything at once, and adds to the summary."
  @callback publish(struct(), carried :: map()) :: {:ok, map()} | {:error, term()}

  @doc "Leaves everything as it was, unless it was published."
  @callback close(struct()) :: term()

  @optional_callbacks open: 3,
                      next: 1,
                      finish: 1,
                      damage: 2,
                      damaged_error: 2,
                      receive: 5,
                      put: 2,
                      publish: 2

  @spec migrate(struct(), struct(), opts()) ::
          {:ok, PersistenceMigration.summary()} | {:error, term()}
  def migrate(%from{} = source, %to{} = target, opts) do
    with {:ok, locks} <- Directories.locks(from.directories(source) ++ to.directories(target)),
         {:ok, carried} <- Owner.run(locks, &carry(source, target, &1, opts)) do
      {source_backend, source_path} = from.described(source)
      {target_backend, target_path} = to.described(target)

      {:ok,
       Map.merge(carried, %{
         source_backend: source_backend,
         source_path: source_path,
         target_backend: target_backend,
         target_path: target_path
       })}
    end
  end

  @doc "Returns the members of a summary before anything is migrated."
  @spec nothing() :: map()
  def nothing do
    %{
      credentials?: false,
      families: %{},
      migrated_keys: 0,
      skipped: [],
      sender_keys: nil,
      renamed: [],
      superseded: [],
      dropped: [],
      unknown: [],
      changed: [],
      ignored: [],
      bytes_read: 0,
      bytes_written: 0
    }
  end

  defp carry(%from{} = source, %to{} = target, call, opts) do
    with {:ok, source, total, sender_keys} <- from.open(source, call, opts) do
      try do
        with {:ok, target} <- to.receive(target, call, opts, sender_keys, source) do
          try do
            publish(source, target, {0, total}, opts.on_progress)
          after
            to.close(target)
          end
        end
      after
        from.close(source)
      end
    end
  end

  defp publish(%from{} = source, %to{} = target, {total, total}, _on_progress) do
    with {:ok, carried} <- from.finish(source), do: to.publish(target, carried)
  end

  defp publish(%from{} = source, %to{} = target, {before, total}, on_progress) do
    step = fn ->
      with {:ok, source, rows, done} <- from.next(source),
           {:ok, target} <- to.put(target, rows) do
        {:ok, {source, target, done}}
      end
    end

    with {:ok, {source, target, done}} <-
           Telemetry.span([:migration, :step], &told(&1, {source, target}, before, total), step) do
      on_progress.(%{done: done, total: total})
      publish(source, target, {done, total}, on_progress)
    end
  end

  defp told(result, {%from{} = source, %to{} = target}, before, total) do
    done = with {:ok, {_source, _target, done}} <- result, do: done, else: (_error -> before)
    {source_backend, source_path} = from.described(source)
    {target_backend, target_path} = to.described(target)

    {%{files: done - before, done: done, total: total},
     %{
       source_backend: source_backend,
       target_backend: target_backend,
       source_path: source_path,
       target_path: target_path
     }}
  end
end
