defmodule BaileysEx.Auth.PersistenceMigration do
  # Part of the documentation of the module and of its functions.
  @option_list """
    * `:overwrite?` replaces a target that is not empty (default `false`)
    * `:on_corrupt`: `:error` (default) refuses a source with a file that cannot be read; `:skip` leaves out
      *keys* that cannot be read and lists them in the summary. Credentials that cannot be read are always
      refused
    * `:credentials`: `:required` (default) refuses a source that holds keys but no credentials, which would
      be taken for a fresh identity; `:optional` migrates the keys alone
    * `:on_change`: `:error` (default) publishes nothing if files of the source were written, added or deleted
      while it was read. `:ignore` publishes what was read and lists those files in the summary; for an
      account in PostgreSQL it names the whole account
    * `:unknown`: what to do with files that have a key's extension but no known family, such as another
      program's JSON. `:leave` (default) leaves them where they are and lists them in the summary; `:carry`
      copies them
    * `:on_progress`: a function that receives `t:progress/0` after each step

  Only for rows and documents:

    * `:prefix`: the common beginning of all names of this account. Rows without it belong to other accounts
      and are only counted (`:other_rows`). The default is what all names begin with, up to a separator
    * `:source_name`: what errors and the summary call the source (default `"the rows"`)

  Only for migrations to JSON:

    * `:sender_keys`: the form of group keys in the target. Baileys 6.17.16 and all versions up to 6.7.18 keep
      them as a JSON `:array` and can read no other form. Version 6.7.19, later ones, and all 7.0 versions
      write them as a `:buffer`. The default is the form that the native directory was made from, or else
      `:buffer`
    * `:device_names`: `:old` names the files of devices as Baileys did before 6.4
      (`session-15558880004-3.0.json`); `:current` (default) names them as all later versions do
      (`session-15558880004.3.json`). Neither kind of version finds files with the other's names

  A migration to native renames old device names to the current ones. If a key exists under both names, the
  one with the current name is newer and is used.
  """

  @moduledoc """
  Moves a whole account: between Baileys' JSON form and the native form, between either of them and
  PostgreSQL, and from any other place that keeps Baileys' JSON, such as the rows of a table, documents or one
  file.

      {:ok, summary} =
        PersistenceMigration.migrate_compat_json_to_native("baileys_auth_info", "auth_native")

      {:ok, summary} =
        PersistenceMigration.migrate(
          {BaileysEx.Auth.FilePersistence, "baileys_auth_info"},
          {BaileysEx.Auth.PostgresPersistence, repo: MyApp.Repo, account: "ada"}
        )

      {:ok, summary} =
        PersistenceMigration.migrate(
          [{"ada:creds", creds_json}, {"ada:pre-key-1", pre_key_json}],
          {BaileysEx.Auth.NativeFilePersistence, "auth_native"}
        )

  The source is never changed. A directory is written under temporary names, synced, and published at once. An
  account is written with one statement. Neither is ever in memory as a whole. After a failure or crash, the
  target is as it was, or the next open completes it. After success it is complete. First stop the program
  that uses the source: messages that it receives during the migration would advance its sessions, but not
  those of the copy.

  Sessions continue where they were, even for messages that arrive late. Everything that cannot be read is
  reported together, file by file, before anything is published.

  An existing target directory is kept, with its owner, group and mode: it may be the mount point of a volume,
  a directory of a lower layer of an overlay, or be reached through a link. A store that uses it can no longer
  write.

  ## Options

  #{@option_list}
  ## Summary

  `t:summary/0`; sizes are in bytes of file content.

  ## Errors

    * `{:error, {:target_not_empty, place}}`: the target is an account that holds credentials or keys, or a
      directory that holds other files. `{:error, {:target_already_contains_native_data, path}}` and
      `{:error, {:target_already_contains_compat_json_data, path}}`: it is already an auth directory. In all
      three cases `overwrite?: true` replaces the target
    * `{:error, {:recovery_required, module, path}}`: an error occurred after the target's new content was
      durable and before all of it was in place; see `recover/1` of the backend
    * `{:error, {:invalid_migration_target, path, posix}}`: the target is not a directory, is not accessible,
      or is full (`:enospc`); `:einval` if source and target are the same or one is inside the other
    * `{:error, posix}`: the operating system's error for the source
    * `{:error, {:not_an_auth_directory, path}}`: the source holds neither credentials nor keys
    * `{:error, {:no_credentials, place}}`: the source holds only keys
    * `{:error, {:source_changed, place, names}}`: another program was writing to the source; nothing was
      published. For an account in PostgreSQL there are no names
    * `{:error, %BaileysEx.Auth.DamagedDirectoryError{}}` names all files that cannot be read, and a
      `BaileysEx.Auth.DamagedAccountError` all such rows of an account in PostgreSQL
    * `{:error, %BaileysEx.Auth.DamagedRowsError{}}`: the same for rows and documents, and also for a name
      that occurs twice with different content
    * `{:error, {:prefix_needed, source, prefixes}}`: the rows belong to several accounts, or not all of them
      have the prefix of the credentials
    * `{:error, {:import_spool, directory, posix}}`: that directory, which holds the waiting rows, is full or
      cannot be written to
    * `{:error, {:target_changed_meanwhile, place}}`: another program wrote to the account at the last moment,
      or began another migration into it
    * the errors of the source's backend and of the target's
  """

  alias BaileysEx.Auth.{
    BaileysJSON,
    Directory,
    FilePersistence,
    NativeFilePersistence,
    Options,
    PostgresPersistence
  }

  alias BaileysEx.Auth.Directory.Forms
  alias BaileysEx.Auth.Postgres.Account

  alias BaileysEx.Auth.PersistenceMigration.{
    AccountSource,
    AccountTarget,
    BackendTarget,
    Directories,
    DirectorySource,
    DirectoryTarget,
    Export,
    JsonRows,
    JsonSource,
    Rows
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
          | {:prefix, String.t()}
          | {:source_name, String.t()}

  @typedoc """
  What was migrated.

    * `:migrated_keys` counts keys, without the credentials. `:families` counts them by type; with
      `unknown: :carry` it also counts the files of no known family, under `:unknown`
    * `:credentials?`: whether the source had credentials
    * `:skipped`: files left out because of `on_corrupt: :skip`
    * `:dropped`: files of sender keys from which elements were left out because they hold no key (`null`,
      `{}`, a skipped key without its seed), and how many elements; the rest of each file was migrated
    * `:sender_keys`: the form of group keys in the JSON directory, source or target; `nil` if there are none
    * `:renamed`: files of devices that have another name in the target
    * `:superseded`: files of devices under an old name that were left out, because a newer version wrote the
      key under its current name too
    * `:unknown`: files of the source with a key's extension and no known family, which were left out
    * `:changed`: files of the source that changed after they were read, with `on_change: :ignore`
    * `:ignored`: files of the source that are not keys, such as leftovers of interrupted writes and copies
      that other programs made of files
    * `:prefix` and `:other_rows`, only for rows and documents: the prefix of the names, and how many names
      had another one. In this case `:source_backend` is `BaileysEx.Auth.BaileysJSON`, and names of rows stand
      in place of names of files
  """
  @type summary() :: %{
          optional(:prefix) => String.t(),
          optional(:other_rows) => non_neg_integer(),
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

  @typedoc "One of the backends of this library, and its context."
  @type place() :: {module(), Path.t() | PostgresPersistence.context()}

  @typedoc """
  An account whose JSON form is kept outside a directory: an enumerable of rows, or one document. The
  enumerable may be lazy; it is run once, in the calling process.

    * a name is `creds`, `auth_creds`, or `<type>-<id>` with the id as Baileys gives it, such as
      `sender-key-120363041234567890@g.us::15551230001::0`. All names may begin with the same prefix
    * a document is `%{"creds" => creds, "keys" => %{type => %{id => value}}}`, parsed or as text. The types
      may also have the names of Baileys' old single file (`"preKeys"`, `"sessions"`, …)
    * JSON is as in `t:BaileysEx.Auth.BaileysJSON.json/0`
  """
  @type rows() ::
          Enumerable.t(
            {name :: String.t(), BaileysJSON.json()}
            | {type :: atom() | String.t(), id :: String.t() | nil, BaileysJSON.json()}
          )
          | BaileysJSON.json()

  @type export_option() ::
          {:prefix, String.t()}
          | {:creds_name, String.t()}
          | {:sender_keys, :array | :buffer}
          | {:bytes, :base64 | :array}
          | {:on_corrupt, :error | :skip}
          | {:on_progress, (progress() -> term())}

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

  @doc """
  Migrates a JSON directory, written by Baileys or by baileys_ex, to a native one.

      iex> BaileysEx.Auth.FilePersistence.save_credentials("auth_json", BaileysEx.Auth.State.new())
      iex> alias BaileysEx.Auth.PersistenceMigration
      iex> {:ok, summary} =
      ...>   PersistenceMigration.migrate_compat_json_to_native("auth_json", "auth_native")
      iex> {summary.credentials?, summary.migrated_keys}
      {true, 0}

  The errors are listed in the module's documentation. Options:

  #{@option_list}
  """
  @spec migrate_compat_json_to_native(Path.t(), Path.t(), [option()]) ::
          {:ok, summary()} | {:error, term()}
  def migrate_compat_json_to_native(source_path, target_path, opts \\ []) do
    migrate({FilePersistence, source_path}, {NativeFilePersistence, target_path}, opts)
  end

  @doc """
  Migrates a native directory to the JSON form, so that Baileys can continue with it.

      iex> alias BaileysEx.Auth.{NativeFilePersistence, PersistenceMigration, State}
      iex> NativeFilePersistence.save_credentials("auth_native", State.new())
      iex> {:ok, summary} =
      ...>   PersistenceMigration.migrate_native_to_compat_json("auth_native", "auth_json")
      iex> {summary.credentials?, File.exists?("auth_json/creds.json")}
      {true, true}

  The errors are listed in the module's documentation. Options:

  #{@option_list}
  """
  @spec migrate_native_to_compat_json(Path.t(), Path.t(), [option()]) ::
          {:ok, summary()} | {:error, term()}
  def migrate_native_to_compat_json(source_path, target_path, opts \\ []) do
    migrate({NativeFilePersistence, source_path}, {FilePersistence, target_path}, opts)
  end

  @doc """
  Migrates between two places of different kinds, from one account in PostgreSQL to another, or from rows or a
  document to any place. To copy a directory, use `snapshot/2` of its backend.

      iex> rows = [
      ...>   {"ada:lid-mapping-15550000000", ~s("800000000")},
      ...>   {"ada:lid-mapping-800000000_reverse", ~s("15550000000")}
      ...> ]
      iex> target = {BaileysEx.Auth.NativeFilePersistence, "auth_native"}
      iex> opts = [prefix: "ada:", credentials: :optional]
      iex> {:ok, summary} = BaileysEx.Auth.PersistenceMigration.migrate(rows, target, opts)
      iex> summary.families
      %{"lid-mapping": 2}

  An account is read as it is at one moment: up to 10,000 keys or 4 MiB with one statement, a larger one in
  pages, after which the server tells whether it has changed. An account is written with one statement. More
  than 20,000 keys or 2 MiB are first staged in batches, under a name that no account has. Once everything is
  read, the current owner of the target is fenced (`BaileysEx.Auth.NotOwnerError`). Rows are collected on disk
  until all have arrived, in a file without a name. That file is beside the target if the target is a
  directory, and otherwise in the directory for temporary files.

  The target can also be a backend of your own, with its context. It receives all keys in one
  `c:BaileysEx.Auth.Persistence.commit_keys/2`, and then the credentials.

  The errors are listed in the module's documentation. Options:

  #{@option_list}
  """
  @spec migrate(place() | rows(), place() | {module(), context :: term()}, [option()]) ::
          {:ok, summary()} | {:error, term()}
  def migrate(source, target, opts \\ [])

  def migrate({source_backend, source}, {target_backend, target}, opts)
      when is_atom(source_backend) do
    to = Forms.format(target_backend)
    checked = checked(opts, @options, to)

    case Forms.format(source_backend) do
      ^to when to != nil ->
        raise ArgumentError, "source and target are of one form: copy with snapshot/2"

      from when from != nil and to != nil ->
        Directories.migrate({source_backend, from}, {target_backend, to}, source, target, checked)

      from ->
        Rows.migrate(
          source(source_backend, from, source),
          target(target_backend, to, target),
          checked
        )
    end
  end

  def migrate(rows, {target_backend, target}, opts) do
    to = Forms.format(target_backend)
    checked = checked(opts, [:prefix, :source_name | @options] -- [:on_change], to)
    target = target(target_backend, to, target)

    source = %JsonSource{
      name: Keyword.get(opts, :source_name, "the rows"),
      rows: JsonRows.of(rows),
      prefix: opts[:prefix],
      directory: spool_directory(target)
    }

    Rows.migrate(source, target, checked)
  end

  # Prefers a place that has room for the account and that nobody else reads.
  defp spool_directory(%DirectoryTarget{path: path}) do
    parent = Path.dirname(path)
    if File.dir?(parent), do: parent, else: System.tmp_dir!()
  end

  defp spool_directory(_target), do: System.tmp_dir!()

  @doc """
  Exports an account as a stream of `{name, json}`, the credentials first, for a store of Node.js.

      iex> alias BaileysEx.Auth.{NativeFilePersistence, PersistenceMigration}
      iex> NativeFilePersistence.save_keys("auth_native", :"lid-mapping", "15550000000", "800000000")
      iex> account = {NativeFilePersistence, "auth_native"}
      iex> {:ok, rows} = PersistenceMigration.export(account, prefix: "ada:")
      iex> Enum.to_list(rows)
      [{"ada:lid-mapping-15550000000", ~s("800000000")}]

  The directory is locked while the stream runs.

  Options:

    * `:prefix` is put in front of every name
    * `:creds_name`: the name of the credentials, `"creds"` by default; `postgres-baileys` uses `"auth_creds"`
    * `:sender_keys`: the form of group keys, as for a migration to JSON
    * `:bytes`: how bytes are written, as for `BaileysEx.Auth.BaileysJSON.encode/3`; `postgres-baileys` needs
      `:array`
    * `:on_corrupt`: `:skip` leaves out keys that cannot be read or have no JSON form, without reporting them
    * `:on_progress`: a function that receives `t:progress/0` after each step

  The whole account is verified first, with the errors of `verify/2` of its backend. An account with neither
  credentials nor keys is `{:error, {:not_an_auth_directory, place}}`. Errors that occur later, such as for a
  file that changes in the meantime, are raised by the stream.
  """
  @spec export(place(), [export_option()]) ::
          {:ok, Enumerable.t({name :: String.t(), json :: String.t()})} | {:error, term()}
  def export({backend, context}, opts \\ []) do
    Options.check!(opts, [:prefix, :creds_name, :sender_keys, :bytes, :on_corrupt, :on_progress])
    of_migration = Keyword.take(opts, [:on_corrupt, :on_progress, :sender_keys])
    checked = checked([credentials: :optional] ++ of_migration, @options, :json)
    source = source(backend, Forms.format(backend), context)

    target = %Export{
      prefix: Keyword.get(opts, :prefix, ""),
      creds: Keyword.get(opts, :creds_name, "creds"),
      sender_keys: checked.sender_keys,
      lists?: Options.one_of!(opts, :bytes, [:base64, :array]) == :array
    }

    with :ok <- sound(backend, context, checked.skip?),
         do: {:ok, Export.stream(source, target, checked)}
  end

  defp sound(_backend, _context, true), do: :ok

  defp sound(backend, context, false) do
    with {:ok, report} <- backend.verify(context, credentials: :optional) do
      if report.credentials? or report.families != %{},
        do: :ok,
        else: {:error, {:not_an_auth_directory, backend.place_name(context)}}
    end
  end

  defp source(PostgresPersistence, nil, context) do
    %AccountSource{backend: PostgresPersistence, account: Account.new!(context)}
  end

  defp source(backend, nil, _context) do
    raise ArgumentError, "#{inspect(backend)} cannot be the source of a migration"
  end

  defp source(backend, format, path) do
    %DirectorySource{backend: backend, format: format, path: Directory.absolute(path)}
  end

  defp target(PostgresPersistence, nil, context) do
    %AccountTarget{backend: PostgresPersistence, account: Account.new!(context)}
  end

  defp target(backend, nil, context), do: %BackendTarget{backend: backend, context: context}

  defp target(backend, format, path) do
    %DirectoryTarget{backend: backend, format: format, path: Directory.absolute(path)}
  end

  defp checked(opts, known, target_format) do
    Options.check!(opts, known)

    for name <- [:sender_keys, :device_names],
        target_format != :json and Keyword.has_key?(opts, name) do
      raise ArgumentError, "#{inspect(name)} is for migrations to JSON"
    end

    %{
      overwrite?: Options.one_of!(opts, :overwrite?, [false, true]),
      skip?: Options.one_of!(opts, :on_corrupt, [:error, :skip]) == :skip,
      without_credentials?:
        Options.one_of!(opts, :credentials, [:required, :optional]) == :optional,
      ignore_changes?: Options.one_of!(opts, :on_change, [:error, :ignore]) == :ignore,
      include_unknown?: Options.one_of!(opts, :unknown, [:leave, :carry]) == :carry,
      on_progress: Keyword.get(opts, :on_progress, fn _progress -> :ok end),
      sender_keys: opts[:sender_keys] && Options.one_of!(opts, :sender_keys, [:array, :buffer]),
      old_device_names?: Options.one_of!(opts, :device_names, [:current, :old]) == :old
    }
  end
end
