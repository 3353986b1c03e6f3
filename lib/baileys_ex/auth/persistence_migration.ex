defmodule BaileysEx.Auth.PersistenceMigration do
  @moduledoc """
  Moves a whole account: between the JSON form of Baileys and the native one, between either and
  PostgreSQL, and in from wherever Baileys' JSON is kept: rows of a table, documents, one file.

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

  The source is never changed. A directory is written under unfinished names, synced, and published at
  once, an account by one statement: after any failure or crash the target is as it was, or is complete
  when it is next opened, and after success it is complete. Stop the program that uses the source first: messages that it
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

  Only for rows and documents:

    * `:prefix`: what is in front of every name of this account; rows without it are other accounts' and
      only counted (`:other_rows`). By default it is what all names have in front, up to a separator
    * `:source_name`: what errors and the summary call the source (default `"the rows"`)

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

    * `{:error, {:target_not_empty, place}}`, where an account holds credentials or keys;
      `{:target_already_contains_native_data, path}`, or `…_compat_json_data` on the way
      back; `{:error, {:target_not_empty, path}}` when it holds anything else. Both are replaced
      with `overwrite?: true`
    * `{:error, {:recovery_required, module, path}}`: the target's new content was decided on, and an error
      came before it was all in place; see `recover/1` of the backend
    * `{:error, {:invalid_migration_target, path, posix}}`: not a directory, not accessible, or full
      (`:enospc`); what the operating system says of the source is a plain `{:error, posix}`.
      `:einval` when source and target are the same or one holds the other
    * `{:error, {:not_an_auth_directory, path}}`: the source holds neither credentials nor keys
    * `{:error, {:no_credentials, place}}`: it holds keys only
    * `{:error, {:source_changed, path, names}}`: somebody was writing in it; nothing was published
    * `{:error, %BaileysEx.Auth.DamagedDirectoryError{}}`: files that cannot be read, all of them;
      a `BaileysEx.Auth.DamagedAccountError` for rows
    * `{:error, %BaileysEx.Auth.DamagedRowsError{}}`: the same for rows and documents, also for a name that
      is there twice with different content
    * `{:error, {:prefix_needed, source, prefixes}}`: the rows are of several accounts, or not all have the
      prefix that the credentials have
    * `{:error, {:import_spool, directory, posix}}`: rows on their way could not be kept there
    * `{:error, {:target_changed_meanwhile, place}}`: somebody wrote to the account at the last moment
    * the errors of the backends, for the source as for the target
  """

  alias BaileysEx.Auth.{
    BaileysJSON,
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
    * for rows and documents, whose `source_backend` is `BaileysEx.Auth.BaileysJSON` and whose names stand
      where files are named: `:prefix`, what was in front of the names, and `:other_rows`, how many had
      another one
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
  An account that is kept as Baileys' JSON elsewhere than in a directory: an enumerable of rows, which may be
  lazy and is run once, in the calling process, or one document.

    * a name is `creds` or `auth_creds`, or `<type>-<id>` with the id as Baileys gives it, such as
      `sender-key-120363041234567890@g.us::15551230001::0`, behind a prefix that all have
    * a document is `%{"creds" => creds, "keys" => %{type => %{id => value}}}`, parsed or as text; the names
      that Baileys' old single file has for the types (`"preKeys"`, `"sessions"`, …) are known
    * JSON is what `t:BaileysEx.Auth.BaileysJSON.json/0` says
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

  @doc "Migrates a JSON directory, Baileys' own or one that baileys_ex wrote, to a native one."
  @spec migrate_compat_json_to_native(Path.t(), Path.t(), [option()]) ::
          {:ok, summary()} | {:error, term()}
  def migrate_compat_json_to_native(source_path, target_path, opts \\ []) do
    migrate({FilePersistence, source_path}, {NativeFilePersistence, target_path}, opts)
  end

  @doc "Migrates a native directory to the JSON form, for Baileys to go on with."
  @spec migrate_native_to_compat_json(Path.t(), Path.t(), [option()]) ::
          {:ok, summary()} | {:error, term()}
  def migrate_native_to_compat_json(source_path, target_path, opts \\ []) do
    migrate({NativeFilePersistence, source_path}, {FilePersistence, target_path}, opts)
  end

  @doc """
  Migrates between two places of different kinds, from one account in PostgreSQL to another, or from rows
  or a document to any place; a directory is copied by `snapshot/2` of its backend.

  An account is read by one statement, as it is at one moment, and written by one, whatever its size:
  all of it is in memory meanwhile. Whoever has claimed the target is fenced
  (`BaileysEx.Auth.NotOwnerError`) once everything is read. Rows are kept on disk until all have come, in a
  file without a name, beside a target that is a directory, else where temporary files are.

  The target can also be a backend of your own, with its context: all keys go there by one
  `c:BaileysEx.Auth.Persistence.commit_keys/2`, and the credentials after them.
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

  # Where there is room for the account, and nobody else looks.
  defp spool_directory(%DirectoryTarget{path: path}) do
    parent = Path.dirname(path)
    if File.dir?(parent), do: parent, else: System.tmp_dir!()
  end

  defp spool_directory(_target), do: System.tmp_dir!()

  @doc """
  The way back: an account as a stream of `{name, json}`, the credentials first, so that a store of Node.js
  can be filled again.

      {:ok, rows} = PersistenceMigration.export({NativeFilePersistence, "auth_native"}, prefix: "ada:")
      for {name, json} <- rows, do: MyApp.put(name, json)

  All of the account is verified first, and damage is an error at once; an error that comes later, such as a
  file that is changed meanwhile, is raised by the stream. The directory is locked while the stream runs.

    * `:prefix` is put in front of every name
    * `:creds_name` is `"creds"` by default; `postgres-baileys` has `"auth_creds"`
    * `:sender_keys`: the form of group keys, as for a migration to JSON
    * `:bytes`: how bytes are spelled, as for `BaileysEx.Auth.BaileysJSON.encode/3`; `postgres-baileys`
      needs `:array`
    * `:on_corrupt`: `:skip` leaves out keys that cannot be read or have no JSON form, without a word
    * `:on_progress`: a function that is given `t:progress/0` after each step
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
    %DirectorySource{backend: backend, format: format, path: Path.expand(path)}
  end

  defp target(PostgresPersistence, nil, context) do
    %AccountTarget{backend: PostgresPersistence, account: Account.new!(context)}
  end

  defp target(backend, nil, context), do: %BackendTarget{backend: backend, context: context}

  defp target(backend, format, path) do
    %DirectoryTarget{backend: backend, format: format, path: Path.expand(path)}
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
