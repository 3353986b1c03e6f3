defmodule BaileysEx.Auth.CLI.Failure do
  @moduledoc false
  # Errors of the library, for people: a code for scripts, what happened, and what to do next.

  alias BaileysEx.Auth.CLI.{Damage, SystemError}
  alias BaileysEx.Auth.CLI.Failure.Restore

  alias BaileysEx.Auth.{
    CorruptFileError,
    DamagedAccountError,
    DamagedDirectoryError,
    DamagedRowsError,
    DatabaseError,
    FilePersistence,
    Inspection,
    NativeFilePersistence,
    Numbers
  }

  # The commands that also accept all directories under a root.
  @take_all ["inspect", "verify", "snapshot", "migrate", "restore"]
  @checkout "Give the directory of a checkout of baileys_ex."

  @type t() :: %{
          required(:code) => String.t(),
          required(:message) => String.t(),
          optional(:advice) => String.t(),
          optional(:files) => [map()]
        }

  @doc "Describes an error of a command. An error of the operating system comes with the paths that were given."
  @spec describe(term(), command :: String.t()) :: t()
  def describe(reason, "restore"), do: Restore.describe(reason) || of(reason, "restore")
  def describe(reason, command), do: of(reason, command)

  defp of({:target_already_contains_native_data, path}, _command) do
    occupied(path, "holds a native auth directory already")
  end

  defp of({:target_already_contains_compat_json_data, path}, _command) do
    occupied(path, "holds a JSON auth directory already")
  end

  defp of({:not_a_mix_project = code, path}, _command),
    do: failure(code, "#{path} has no mix.exs", @checkout)

  defp of({:this_library = code, path}, _command),
    do: failure(code, "#{path} is baileys_ex_auth itself", @checkout)

  defp of({:unreadable_source, path, problem}, _command) do
    failure(
      :unreadable_source,
      "#{path}: #{problem}",
      "Repair the file, so that its modules can be read. Nothing was changed."
    )
  end

  defp of({:uncommitted_changes, path}, _command) do
    failure(
      :uncommitted_changes,
      "#{path} has changes that are not committed",
      "Commit them, so that git can undo what this does, or continue with --force. " <>
        "Nothing was changed."
    )
  end

  defp of({:no_version_control, path}, _command) do
    failure(
      :no_version_control,
      "#{path} is not a git checkout, or git was not found",
      "Nothing could undo what this does: make a copy, and continue with --force. " <>
        "Nothing was changed."
    )
  end

  defp of({:file, path, posix}, _command) do
    failure(
      :file,
      "#{path} cannot be changed: #{SystemError.text(posix)}",
      "The files before it were changed: git status shows which. Run this again with --force."
    )
  end

  defp of({:target_not_empty, path}, _command), do: occupied(path, "is not empty")

  defp of({:invalid_migration_target, path, :einval}, _command) do
    failure(
      :invalid_migration_target,
      "#{path} and the source are the same directory, or one is inside the other",
      "Give a target outside of the source. Nothing was changed."
    )
  end

  defp of({code, path, posix}, command)
       when code in [:invalid_migration_target, :invalid_snapshot_target],
       do: SystemError.of_target(code, path, posix, command)

  defp of({:not_agreed, path}, _command),
    do: failure(:not_agreed, "#{path} was not deleted", "Only the answer yes deletes it.")

  defp of({:no_accounts, root}, _command) do
    failure(
      :no_accounts,
      "#{root} holds no auth directory",
      "Give the directory that holds those of the accounts. For one account leave out --all."
    )
  end

  defp of({:not_an_auth_directory, path}, command) when command in @take_all do
    case Inspection.directories(path) do
      {:ok, [_ | _] = names} -> parent(path, names, command)
      _none -> not_an_auth_directory(path, command)
    end
  end

  defp of({:not_an_auth_directory, source}, "import") do
    failure(
      :not_an_auth_directory,
      "#{source} holds no credentials and no keys",
      "Check that each line is a name and its value, and check the prefix of the names (--prefix)."
    )
  end

  defp of({:not_an_auth_directory, path}, command), do: not_an_auth_directory(path, command)

  defp of({:no_credentials, source}, "import") do
    failure(
      :no_credentials,
      "#{source} holds keys and no credentials: it would be taken for a fresh identity",
      "Dump the row of the credentials (creds or auth_creds) too, or continue with --without-credentials."
    )
  end

  defp of({:no_credentials, path}, _command) do
    failure(
      :no_credentials,
      "#{path} holds keys and no credentials: it would be taken for a fresh identity",
      "Check that this is the whole directory of the account, or continue with --without-credentials."
    )
  end

  defp of({:source_changed, path, names}, _command) do
    shown = names |> Enum.take(3) |> Enum.join(", ")
    more = if length(names) > 3, do: " and #{length(names) - 3} more", else: ""

    failure(
      :source_changed,
      # The changed keys of an account in a database are not known.
      "#{path} was written to while it was read#{if names != [], do: ": "}#{shown}#{more}",
      "Stop the program that uses it, and migrate again. Nothing was changed."
    )
  end

  defp of({:ambiguous_auth_directory, path}, _command) do
    failure(
      :ambiguous_auth_directory,
      "#{path} holds both a JSON and a native auth directory",
      "Choose one with --backend native or --backend json, and keep only that: they are two " <>
        "states of the account, and using both breaks its sessions."
    )
  end

  defp of({:incomplete_migration, path}, _command) do
    failure(
      :incomplete_migration,
      "#{path} does not hold what was migrated: another program has written to it",
      "Stop the program that uses the directory, and migrate again with --overwrite."
    )
  end

  defp of(%DamagedDirectoryError{path: path, files: files}, command) do
    :damaged_directory
    |> failure(
      Exception.message(%DamagedDirectoryError{path: path, files: files}),
      damage_advice(files, command)
    )
    |> Map.put(:files, Damage.files(files))
  end

  defp of(%DamagedAccountError{rows: rows} = error, command) do
    skip = if command == "migrate", do: " --skip-corrupt leaves out keys that cannot be read."

    :damaged_account
    |> failure(
      Exception.message(error),
      "Restore the rows from a backup of the database.#{skip}"
    )
    |> Map.put(:files, Damage.files(rows))
  end

  defp of(%DatabaseError{} = error, _command) do
    failure(
      :database,
      Exception.message(error),
      "Solve that, and run this again: nothing is done by half, and what was done already stays."
    )
  end

  defp of({:no_repository, repo}, _command) do
    failure(
      :no_repository,
      "#{inspect(repo)} is not an Ecto repository of this application",
      "Check the name after --repo."
    )
  end

  defp of({:repository_without_database, repo}, _command) do
    failure(
      :repository_without_database,
      "the configuration of #{inspect(repo)} names no database",
      "Set :database, or :url, for the Mix environment of this command."
    )
  end

  defp of({:repository_needs, repo, application}, _command) do
    failure(
      :repository_needs,
      "#{inspect(repo)} needs the application #{inspect(application)}, which could not be started",
      "Add it to the dependencies of your application, or check its configuration."
    )
  end

  defp of({:repository_not_started, repo, exception}, _command) do
    failure(
      :repository_not_started,
      "#{inspect(repo)} could not be started" <>
        if(exception, do: " (#{inspect(exception)})", else: ""),
      "Check its configuration, and the Mix environment of this command."
    )
  end

  defp of(%DamagedRowsError{rows: rows} = error, command) do
    :damaged_rows
    |> failure(Exception.message(error), damage_advice(rows, command))
    |> Map.put(:files, Damage.files(rows))
  end

  defp of({:prefix_needed, source, prefixes}, _command) do
    failure(
      :prefix_needed,
      "the names in #{source} have no common prefix: there are credentials with the prefixes " <>
        Enum.map_join(prefixes, ", ", &inspect/1),
      "Choose the account with --prefix. Nothing was changed."
    )
  end

  defp of({:import_spool, directory, posix}, _command) do
    failure(
      :import_spool,
      "the rows that wait cannot be kept in #{directory}: #{SystemError.text(posix)}",
      "Make room there, or correct its permissions. Nothing was changed."
    )
  end

  defp of(%CorruptFileError{} = error, command) do
    :corrupt_file
    |> failure(Exception.message(error), damage_advice([error], command))
    |> Map.put(:files, Damage.files([error]))
  end

  defp of({:unsupported_persistence_version, backend, version}, command) do
    failure(
      :unsupported_persistence_version,
      "the #{which(backend, command)} is of version #{version}, which this release does not know",
      "It was written by a later release: use that one. Nothing was changed."
    )
  end

  defp of({:unsupported_journal_version, backend, version}, command) do
    failure(
      :unsupported_journal_version,
      "the #{which(backend, command)}'s journal is of version #{version}, which this release " <>
        "does not know",
      "It was written by a later release: use that one. Nothing was changed."
    )
  end

  defp of({:unexpected_persistence_backend, backend, name}, command) do
    failure(
      :unexpected_persistence_backend,
      "the manifest of the #{which(backend, command)} says that it belongs to #{inspect(name)}",
      "Check the path. Nothing was changed."
    )
  end

  defp of({:invalid_persistence_metadata, backend, _reason}, command) do
    failure(
      :invalid_persistence_metadata,
      "the manifest of the #{which(backend, command)} cannot be read",
      "mix baileys.auth.repair rebuilds it. Nothing was changed."
    )
  end

  defp of({:recovery_required, backend, path}, _command) do
    failure(
      :recovery_required,
      "an earlier write to #{path} failed half-way",
      "Check the disk (is it full, or failing?), then call #{inspect(backend)}.recover/1."
    )
  end

  defp of({posix, [_ | _] = paths}, command) when is_atom(posix),
    do: SystemError.describe(posix, paths, command)

  defp of(error, _command) when is_exception(error) do
    failure(:invalid, Exception.message(error), "Nothing was changed.")
  end

  # Errors never contain a value of a file, whatever their form.
  defp of(reason, _command), do: failure(:error, inspect(reason), "Nothing was changed.")

  defp parent(path, names, command) do
    failure(
      :not_an_auth_directory,
      "#{path} holds no credentials and no keys itself, but the directories of " <>
        Numbers.count(length(names), "account"),
      "Give one of them, or #{command} all of them with --all."
    )
  end

  defp not_an_auth_directory("account " <> _name = account, _command) do
    failure(
      :not_an_auth_directory,
      "#{account} holds no credentials and no keys",
      "Check the name of the account, and --schema."
    )
  end

  defp not_an_auth_directory(path, "migrate") do
    failure(
      :not_an_auth_directory,
      "#{path} holds no credentials and no keys in the expected form",
      "Check the path. A JSON source needs --to native, a native source --to json."
    )
  end

  defp not_an_auth_directory(path, _command) do
    failure(:not_an_auth_directory, "#{path} holds no credentials and no keys", "Check the path.")
  end

  defp failure(code, message, advice) do
    %{code: Atom.to_string(code), message: message, advice: advice}
  end

  defp occupied(path, what) do
    failure(
      :target_not_empty,
      "#{path} #{what}",
      "Give another target, or --overwrite to replace it. Nothing was changed."
    )
  end

  # Gives the advice for each kind of damage once.
  defp damage_advice(files, command) do
    advice = files |> Enum.uniq_by(& &1.kind) |> Enum.map_join(" ", &CorruptFileError.advice/1)

    case command do
      "restore" -> "Nothing was changed. " <> advice
      "migrate" -> "Nothing was migrated. " <> advice <> skip(files)
      "import" -> "Nothing was imported. " <> advice <> skip(files)
      _other -> advice
    end
  end

  defp skip(files) do
    if Enum.any?(files, &(&1.kind in [:content, :row])),
      do: " --skip-corrupt leaves out keys that cannot be read.",
      else: ""
  end

  # Says which of the two directories is meant.
  defp which(_backend, "restore"), do: "snapshot"
  defp which(backend, _command), do: "#{form(backend)} directory"

  defp form(FilePersistence), do: "JSON"
  defp form(NativeFilePersistence), do: "native"
end
