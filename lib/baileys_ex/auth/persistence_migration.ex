defmodule BaileysEx.Auth.PersistenceMigration do
  @moduledoc """
  Moves a whole auth directory between the JSON form of Baileys and the native one.

      {:ok, summary} =
        PersistenceMigration.migrate_compat_json_to_native("baileys_auth_info", "auth_native")

  The source is never changed. Everything is written under unfinished names, synced, and published at
  once: after any failure or crash the target is as it was, or is complete when it is next opened, and
  after success it is complete. Stop the program that uses the source first: messages that it
  receives during the migration would advance sessions that the copy does not see.

  Sessions, late messages included, go on where they were. What cannot be read is reported all
  together, file by file, before anything is published.

  A target that exists stays the directory that it is, with its owner, group and mode: it may be the mount
  point of a volume, a directory of a lower layer of an overlay, or be reached by a link. A store that is
  running on it has lost it.

  ## Options

    * `:overwrite?` replaces a target that is not empty (default `false`)
    * `:on_corrupt`: `:error` (default) refuses when a file cannot be read; `:skip` leaves such
      *keys* out and lists them in the summary. Credentials that cannot be read are always refused.
    * `:credentials`: `:required` (default) refuses a source that holds keys and no credentials, for
      which a fresh identity would come up; `:optional` migrates the keys alone
    * `:on_change`: `:error` (default) publishes nothing where files of the source were written, added or
      deleted while it was read; `:ignore` publishes what was read, and names them in the summary
    * `:unknown`: files with a key's extension and no known family, such as another program's JSON, are
      left where they are (`:leave`, default) and named, or carried over with `:carry`
    * `:on_progress`: a function that is given `t:progress/0` after each step

  Only on the way back to JSON:

    * `:sender_keys`: the form of group keys in the target. Baileys 6.17.16 and every version up to 6.7.18
      keep them as a JSON `:array` and can use no other form; 6.7.19 and later, and every 7.0, write
      them as a `:buffer`. By default it is the form that the native directory was made from, else
      `:buffer`
    * `:device_names`: `:old` names the files of devices as Baileys before 6.4 asks for them
      (`session-15558880004-3.0.json`); `:current` (default) as every later one does
      (`session-15558880004.3.json`). Under the other's name neither finds them

  A migration to native brings old device names under the current ones, but for a key that is there
  under both: the current name's is the newer.

  ## Summary

  `t:summary/0`; sizes are in bytes of file content.

  ## Errors

    * `{:error, {:target_already_contains_native_data, path}}`, or `…_compat_json_data` on the way
      back; `{:error, {:target_not_empty, path}}` when it holds anything else. Both are replaced
      with `overwrite?: true`
    * `{:error, {:recovery_required, module, path}}`: the target's new content was decided on, and an error
      came before it was all in place; see `recover/1` of the backend
    * `{:error, {:invalid_migration_target, path, posix}}`: not a directory, or not accessible;
      `:einval` when source and target are the same or one holds the other
    * `{:error, {:not_an_auth_directory, path}}`: the source holds neither credentials nor keys
    * `{:error, {:no_credentials, path}}`: it holds keys only
    * `{:error, {:source_changed, path, names}}`: somebody was writing in it; nothing was published
    * `{:error, %BaileysEx.Auth.DamagedDirectoryError{}}`: files that cannot be read, all of them
    * the errors of the backends, for the source as for the target
  """

  alias BaileysEx.Auth.Directory.{Busy, Owner}

  alias BaileysEx.Auth.{
    DamagedDirectoryError,
    Directory,
    FilePersistence,
    Native,
    NativeError,
    NativeFilePersistence,
    Options,
    Telemetry,
    Verification
  }

  @typedoc "How far a migration is, in files."
  @type progress() :: %{done: non_neg_integer(), total: non_neg_integer()}

  @type option() ::
          {:overwrite?, boolean()}
          | {:on_corrupt, :error | :skip}
          | {:credentials, :required | :optional}
          | {:on_change, :error | :ignore}
          | {:unknown, :leave | :carry}
          | {:on_progress, (progress() -> term())}
          | {:sender_keys, :array | :buffer}
          | {:device_names, :current | :old}

  @typedoc """
  What was carried over.

    * `:migrated_keys` counts keys, credentials not among them; `:families` by type, with
      `unknown: :carry` also files of no known family under `:unknown`
    * `:credentials?`: whether the source had credentials
    * `:skipped`: files left out because of `on_corrupt: :skip`
    * `:dropped`: files of sender keys of which elements that hold no key were left out (`null`, `{}`,
      a skipped key without its seed), and how many; the rest of the file was carried over
    * `:sender_keys`: the form of group keys in the JSON directory, source or target; `nil` where it is
      not known, for a source without any
    * `:renamed`: files of devices under a name of other versions, with the name in the target; of
      `:superseded` files the key is there under its current name as well, written by a newer version:
      they were left out
    * `:unknown`: names in the source with a key's extension and no known family, which were left
    * `:changed`: names in the source that changed after they were read, with `on_change: :ignore`
    * `:ignored`: names in the source that are no keys, such as leftovers of interrupted writes, and
      copies that other programs made of files
  """
  @type summary() :: %{
          source_backend: module(),
          target_backend: module(),
          source_path: Path.t(),
          target_path: Path.t(),
          migrated_keys: non_neg_integer(),
          families: %{optional(atom() | String.t()) => pos_integer()},
          credentials?: boolean(),
          skipped: [BaileysEx.Auth.CorruptFileError.t()],
          sender_keys: :array | :buffer | nil,
          renamed: [%{from: String.t(), to: String.t()}],
          superseded: [String.t()],
          dropped: [%{file: String.t(), elements: pos_integer()}],
          unknown: [String.t()],
          changed: [String.t()],
          ignored: [String.t()],
          bytes_read: non_neg_integer(),
          bytes_written: non_neg_integer()
        }

  @options [
    :overwrite?,
    :on_corrupt,
    :credentials,
    :on_change,
    :unknown,
    :on_progress,
    :sender_keys,
    :device_names
  ]

  @json {FilePersistence, :json}
  @native {NativeFilePersistence, :etf}

  # Files a step: long enough to cost nothing, short enough to report and to stop.
  @step 256

  @doc "Migrates a JSON directory, Baileys' own or one that baileys_ex wrote, to a native one."
  @spec migrate_compat_json_to_native(Path.t(), Path.t(), [option()]) ::
          {:ok, summary()} | {:error, term()}
  def migrate_compat_json_to_native(source_path, target_path, opts \\ []) do
    migrate(@json, @native, source_path, target_path, opts)
  end

  @doc "Migrates a native directory to the JSON form, for Baileys to go on with."
  @spec migrate_native_to_compat_json(Path.t(), Path.t(), [option()]) ::
          {:ok, summary()} | {:error, term()}
  def migrate_native_to_compat_json(source_path, target_path, opts \\ []) do
    migrate(@native, @json, source_path, target_path, opts)
  end

  defp migrate({source_module, format} = from, {target_module, _} = to, source, target, opts) do
    source = Path.expand(source)
    target = Path.expand(target)
    Options.check!(opts, @options)
    flags = flags(opts)
    on_progress = Keyword.get(opts, :on_progress, fn _progress -> :ok end)
    json = json_options(format, opts)

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
            Native.migration_begin(source, target, format, flags, json)
          end

          with {:ok, handle, total} <- call.(fn -> Busy.wait(begin) end) do
            run(handle, call, total, on_progress, watched)
          end
        end)

      case outcome do
        {:ok, carried} -> {:ok, summary(carried, from, to, source, target)}
        {:error, reason} -> {:error, error(reason, source, source_module, target_module)}
      end
    end
  end

  defp flags(opts) do
    {
      Options.one_of!(opts, :overwrite?, [false, true]),
      Options.one_of!(opts, :on_corrupt, [:error, :skip]) == :skip,
      Options.one_of!(opts, :credentials, [:required, :optional]) == :optional,
      Options.one_of!(opts, :on_change, [:error, :ignore]) == :ignore,
      Options.one_of!(opts, :unknown, [:leave, :carry]) == :carry
    }
  end

  # What is asked of a JSON target.
  defp json_options(:json, opts) do
    for name <- [:sender_keys, :device_names], Keyword.has_key?(opts, name) do
      raise ArgumentError, "#{inspect(name)} is for migrations to JSON"
    end

    {nil, false}
  end

  defp json_options(:etf, opts) do
    {opts[:sender_keys] && Options.one_of!(opts, :sender_keys, [:array, :buffer]),
     Options.one_of!(opts, :device_names, [:current, :old]) == :old}
  end

  # Both backends, for both directories.
  defp locks([source, target]) do
    with {:ok, source} <- Directory.real(source), {:ok, target} <- Directory.real(target) do
      {:ok, for(path <- [source, target], {module, _} <- [@json, @native], do: {module, path})}
    end
  end

  defp run(handle, call, total, on_progress, watched) do
    step = fn -> call.(fn -> Native.migration_step(handle, @step) end) end

    with :ok <- steps(step, 0, total, on_progress, watched) do
      call.(fn -> Native.migration_publish(handle) end)
    end
  after
    # Does nothing once published.
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
    {credentials?, counts, skipped, ignored, bytes_read, bytes_written, notes} = carried
    {dropped, sender_keys, renamed, superseded, unknown, changed} = notes

    %{
      source_backend: source_module,
      target_backend: target_module,
      source_path: source,
      target_path: target,
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

  defp error({:source, reason}, _, source_module, _),
    do: NativeError.to_public(reason, source_module)

  defp error({:target, reason}, _, _, target_module),
    do: NativeError.to_public(reason, target_module)

  defp error({:target_holds_auth_state, path}, _, _, NativeFilePersistence) do
    {:target_already_contains_native_data, path}
  end

  defp error({:target_holds_auth_state, path}, _, _, FilePersistence) do
    {:target_already_contains_compat_json_data, path}
  end

  defp error({:invalid_target, path, posix}, _, module, _) do
    {:invalid_migration_target, path, NativeError.to_public({:io, posix}, module)}
  end

  defp error({:overlap, path}, _, _, _), do: {:invalid_migration_target, path, :einval}

  defp error({:damaged, files}, source, _, _) do
    %DamagedDirectoryError{path: source, files: DamagedDirectoryError.files(files)}
  end

  # :target_not_empty, :not_an_auth_directory, :no_credentials and :source_changed, with their path.
  defp error(reason, _, _, _), do: reason
end
