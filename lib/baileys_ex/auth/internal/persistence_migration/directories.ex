defmodule BaileysEx.Auth.PersistenceMigration.Directories do
  @moduledoc false
  # Migrates a directory to one of the other form, file by file, inside the NIF.

  alias BaileysEx.Auth.Directory.{Busy, Owner}

  alias BaileysEx.Auth.{
    DamagedDirectoryError,
    Directory,
    FilePersistence,
    Native,
    NativeError,
    NativeFilePersistence,
    Telemetry,
    Verification
  }

  alias BaileysEx.Auth.PersistenceMigration

  @json {FilePersistence, :json}
  @native {NativeFilePersistence, :etf}

  # Files per step: enough to be cheap, and few enough for progress and interruption.
  @step 256

  @doc "Returns how many files are migrated in one step."
  @spec step() :: pos_integer()
  def step, do: @step

  @spec migrate(Directory.backend(), Directory.backend(), Path.t(), Path.t(), map()) ::
          {:ok, PersistenceMigration.summary()} | {:error, term()}
  def migrate({source_module, format} = from, {target_module, _} = to, source, target, opts) do
    source = Directory.absolute(source)
    target = Directory.absolute(target)

    watched = %{
      source_backend: source_module,
      target_backend: target_module,
      source_path: source,
      target_path: target
    }

    with {:ok, locks} <- locks([source, target]) do
      outcome =
        Owner.run(locks, fn call ->
          begin = fn ->
            Native.migration_begin(
              source,
              target,
              format,
              flags(opts),
              {opts.sender_keys, opts.old_device_names?}
            )
          end

          with {:ok, handle, total} <- call.(fn -> Busy.wait(begin) end) do
            run(handle, call, total, opts.on_progress, watched)
          end
        end)

      case outcome do
        {:ok, carried} ->
          {:ok, summary(carried, from, to, source, target)}

        {:error, reason} ->
          {:error, error(reason, {source_module, source}, {target_module, target})}
      end
    end
  end

  @doc "Returns the options in the form that the NIF takes."
  @spec flags(PersistenceMigration.Rows.opts()) :: tuple()
  def flags(opts) do
    {opts.overwrite?, opts.skip?, opts.without_credentials?, opts.ignore_changes?,
     opts.include_unknown?}
  end

  @doc "Returns the NIF's answer about one side, with the error that the backend's callers know."
  @spec result(%{:backend => module(), :path => Path.t(), optional(atom()) => term()}, term()) ::
          term()
  def result(%{backend: backend, path: path}, {:error, reason}) do
    {:error, error(reason, {backend, path}, {backend, path})}
  end

  def result(_side, answer), do: answer

  @doc "Returns the locks of directories, for both backends."
  @spec locks([Path.t()]) :: {:ok, [{module(), Path.t()}]} | {:error, :einval}
  def locks(paths) do
    real = Enum.map(paths, &Directory.real/1)

    case Enum.find(real, &match?({:error, _reason}, &1)) do
      nil -> {:ok, for({:ok, path} <- real, {module, _} <- [@json, @native], do: {module, path})}
      error -> error
    end
  end

  defp run(handle, call, total, on_progress, watched) do
    step = fn -> call.(fn -> Native.migration_step(handle, @step) end) end

    with :ok <- steps(step, 0, total, on_progress, watched) do
      call.(fn -> Native.migration_publish(handle) end)
    end
  after
    # Does nothing after the publication.
    call.(fn -> Native.migration_abort(handle) end)
  end

  defp steps(_step, total, total, _on_progress, _watched), do: :ok

  defp steps(step, before, total, on_progress, watched) do
    describe = fn result ->
      done = with {:ok, done} <- result, do: done, else: (_error -> before)
      {%{files: done - before, done: done, total: total}, watched}
    end

    with {:ok, done} <- Telemetry.span([:migration, :step], describe, step) do
      on_progress.(%{done: done, total: total})
      steps(step, done, total, on_progress, watched)
    end
  end

  defp summary(carried, {source_module, _}, {target_module, _}, source, target) do
    Map.merge(carried(carried), %{
      source_backend: source_module,
      target_backend: target_module,
      source_path: source,
      target_path: target
    })
  end

  @doc "Returns the NIF's account of what it migrated, as members of a summary."
  @spec carried(tuple()) :: map()
  def carried({credentials?, counts, skipped, ignored, bytes_read, bytes_written, notes}) do
    {dropped, sender_keys, renamed, superseded, unknown, changed} = notes

    %{
      migrated_keys: counts |> Enum.map(&elem(&1, 1)) |> Enum.sum(),
      families: Verification.families(counts),
      credentials?: credentials?,
      skipped: DamagedDirectoryError.files(skipped),
      sender_keys: sender_keys,
      renamed: for({from, to} <- renamed, do: %{from: from, to: to}),
      superseded: superseded,
      dropped: for({file, elements} <- dropped, do: %{file: file, elements: elements}),
      unknown: unknown,
      changed: changed,
      ignored: ignored,
      bytes_read: bytes_read,
      bytes_written: bytes_written
    }
  end

  @typep side() :: {module(), Path.t()}

  @spec error(term(), source :: side(), target :: side()) :: term()
  defp error({:source, reason}, {module, _}, _), do: NativeError.to_public(reason, module)
  # Without its path, the error could concern either side.
  defp error({:target, {:io, posix}}, _, {_, path}), do: invalid_target(path, posix)
  defp error({:target, reason}, _, {module, _}), do: NativeError.to_public(reason, module)

  defp error({:target_holds_auth_state, path}, _, {NativeFilePersistence, _}),
    do: {:target_already_contains_native_data, path}

  defp error({:target_holds_auth_state, path}, _, {FilePersistence, _}),
    do: {:target_already_contains_compat_json_data, path}

  defp error({:invalid_target, path, posix}, _, _), do: invalid_target(path, posix)
  defp error({:overlap, path}, _, _), do: {:invalid_migration_target, path, :einval}

  defp error({:damaged, files}, {_, path}, _),
    do: %DamagedDirectoryError{path: path, files: DamagedDirectoryError.files(files)}

  # These are :target_not_empty, :not_an_auth_directory, :no_credentials and :source_changed, with their path.
  defp error(reason, _, _), do: reason

  defp invalid_target(path, posix),
    do: {:invalid_migration_target, path, NativeError.to_public({:io, posix}, nil)}
end
