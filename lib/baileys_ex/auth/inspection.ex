defmodule BaileysEx.Auth.Inspection do
  @moduledoc """
  Reports what an auth directory or an account in PostgreSQL holds, for operators. `mix baileys.auth.inspect`
  shows this report.

      {:ok, report} = BaileysEx.Auth.Inspection.inspect_directory("auth_native")
      report.account
      #=> %{id: "15551230001:7@s.whatsapp.net", name: "Ada", lid: "900000000001:7@lid"}

  A report contains no key material. It does contain the account, file names and paths.
  """

  alias BaileysEx.Auth.{
    CorruptFileError,
    CorruptRowError,
    Directory,
    Native,
    NativeError,
    Options,
    Owner,
    SideBySide,
    State,
    Verification
  }

  alias BaileysEx.Auth.Directory.Forms
  alias BaileysEx.Auth.Inspection.{Census, Growth, Identity, InDatabase, PreKeys, Recognition}
  alias BaileysEx.Auth.Inspection.WarnAbove
  alias BaileysEx.Auth.Postgres.Account

  @typedoc """
  Which program wrote the files of a directory.

    * `:native`: Erlang terms, by this library or by baileys_ex
    * `:baileys`: JSON as written by Baileys and by this library
    * `:explicit`, `:legacy`: JSON as written by baileys_ex since its version alpha.4, and before it
    * `:mixed`: JSON of several of these dialects
    * `:unknown`: JSON, but no readable file shows its dialect (many files look the same in all three)
  """
  @type dialect() :: :native | :baileys | :explicit | :legacy | :mixed | :unknown

  @typedoc """
  The journal of a native directory.

    * `:commits`: how many commits are only in the journal and not in a checkpoint yet; every reader sees them
    * `:bytes`: its size
    * `:torn?`: whether its last record is incomplete. Either a crash cut it short before it was acknowledged,
      or the disk has damaged it; the two cannot be told apart
    * `:epoch` counts the journals that the directory has had
  """
  @type journal() :: %{
          exists?: boolean(),
          epoch: non_neg_integer(),
          commits: non_neg_integer(),
          bytes: non_neg_integer(),
          torn?: boolean()
        }

  @typedoc """
  A report.

    * `:dialects` counts the JSON files that show their dialect
    * `:credentials` is `:absent` for a directory that holds only keys. Unless it is `:present`, `:account`,
      `:registered?` and `:paired?` (see `BaileysEx.Auth.State.paired?/1`) are `nil`
    * `:keys`: the number of readable keys by type, including those that are only in the journal
    * `:families`: files and bytes by type of key. `:creds` stands for the credentials, and `:unknown` for
      files of families that this library does not know
    * `:disk_bytes`: the disk space of the directory in whole blocks, as `du` counts it
    * `:oldest_change` and `:newest_change`: when credentials or keys were last written, to the second
    * `:pre_keys`: see `t:BaileysEx.Auth.Inspection.PreKeys.t/0`; `nil` unless credentials are present and
      count the uploaded pre-keys
    * `:ages`: keys by type and by when they were last written, see `BaileysEx.Auth.Inspection.Growth`
    * `:sessions`: sessions by their last use, as far as their records show it: when a session was made or
      closed, or last read a message. Sending leaves no trace. Copying does not change this time
    * `:growing`: the types with more keys than `:warn_above`
    * `:damaged`: files that cannot be read
    * `:unknown`: files with a key's extension but of no known family, perhaps another program's; they are
      left where they are
    * `:leftovers`: files that are never read: those of interrupted writes, by this library or Baileys; copies
      that other programs made of files; and keys under an old name that also exist under the current one
    * `:foreign`: other files that are not keys
    * `:owner`: the `BaileysEx.Auth.Owner` whose store has claimed the directory, or `nil`
    * `:permissions`: files, and `.` for the directory itself, that users other than the owner can access;
      files should have mode 0600 and the directory 0700
    * `:owners`: files that do not belong to the user who owns the directory; the application may not be able
      to read them
  """
  @type report() :: %{
          path: Path.t(),
          backend: module(),
          dialect: dialect(),
          dialects: %{optional(:baileys | :explicit | :legacy) => pos_integer()},
          credentials: :present | :absent | :damaged,
          account: %{id: String.t() | nil, name: String.t() | nil, lid: String.t() | nil} | nil,
          registered?: boolean() | nil,
          paired?: boolean() | nil,
          keys: %{optional(atom() | String.t()) => pos_integer()},
          families: %{
            optional(atom() | String.t()) => %{files: pos_integer(), bytes: non_neg_integer()}
          },
          disk_bytes: non_neg_integer(),
          oldest_change: DateTime.t() | nil,
          newest_change: DateTime.t() | nil,
          pre_keys: PreKeys.t() | nil,
          ages: %{optional(atom() | String.t()) => Growth.ages()},
          sessions: Growth.known(),
          growing: [Growth.warning()],
          damaged: [CorruptFileError.t()],
          unknown: [String.t()],
          leftovers: [String.t()],
          foreign: [String.t()],
          permissions: [%{name: String.t(), mode: non_neg_integer()}],
          owners: [%{name: String.t(), uid: non_neg_integer()}],
          journal: journal(),
          owner: Owner.t() | nil
        }

  @typedoc """
  The number of keys of one type above which a report warns, by default 5,000. It is one number for all types,
  or a map of numbers by type, such as `%{session: 20_000}`, with the default for all other types.
  """
  @type warn_above() ::
          non_neg_integer() | %{optional(atom() | String.t()) => non_neg_integer()}

  @type option() :: {:backend, module()} | {:warn_above, warn_above()} | Verification.option()

  @doc """
  Reports on a directory, see `t:report/0`. It reads every file, writes nothing and takes no lock, so the
  directory may be in use. Names, sizes and times are those of the files. The contents of the keys and the
  list of `:damaged` files also reflect commits that are only in the journal, as any reader sees them.

      iex> BaileysEx.Auth.NativeFilePersistence.save_credentials("auth", BaileysEx.Auth.State.new())
      iex> BaileysEx.Auth.NativeFilePersistence.save_keys("auth", :"lid-mapping", "1555", "8000")
      iex> {:ok, report} = BaileysEx.Auth.Inspection.inspect_directory("auth")
      iex> {report.dialect, report.credentials, report.paired?, report.keys}
      {:native, :present, false, %{"lid-mapping": 1}}

  Options:

    * `:backend`: the backend whose files the directory holds; by default the result of `detect/1`
    * `:warn_above`: how many keys are expected at most, see `t:warn_above/0`
    * `:on_progress`: a function that receives `%{done: files, total: files}` after each step

  The errors are those of `detect/1`, and those of the backend if the manifest or the journal makes the
  directory unreadable. A damaged file is not an error; the report names it. Raises `ArgumentError` for a
  `:backend` that does not use directories, and for a `:warn_above` that names an unknown type or has a value
  that is not a number.
  """
  @spec inspect_directory(Path.t(), [option()]) :: {:ok, report()} | {:error, term()}
  def inspect_directory(path, opts \\ []) do
    Options.check!(opts, [:backend, :warn_above, :on_progress])
    warn_above = WarnAbove.from!(opts)
    path = Directory.absolute(path)

    with {:ok, names} <- Census.names(path),
         {:ok, module} <- Recognition.backend(opts, path, names),
         format = Forms.format(module),
         {:ok, census} <- Census.take(path, names, format),
         {:ok, disk_bytes} <- disk_use(path, module),
         {:ok, journal} <- journal(module, format, path),
         {:ok, owner} <- module.owner(path),
         {:ok, survey} <- Verification.survey({module, format}, path, opts) do
      {credentials, state} = credentials(path, format)
      now = System.os_time(:second)
      held = Census.held_since(path)
      ages = ages(survey.growth.written, held, now)
      keys = Map.drop(survey.families, [:creds, :unknown])

      report = %{
        path: path,
        backend: module,
        dialect: dialect(format, survey.dialects),
        dialects: survey.dialects,
        credentials: credentials,
        keys: keys,
        families: census.families,
        disk_bytes: disk_bytes,
        oldest_change: census.oldest,
        newest_change: newest(census.newest, journal, held),
        pre_keys: state && PreKeys.count(state, with_time(survey.growth.pre_keys, held), now),
        ages: ages,
        sessions: Growth.last_uses(survey.growth.last_uses, Map.get(keys, :session, 0), now),
        growing: Growth.warnings(keys, warn_above, ages),
        damaged: survey.damaged,
        unknown: census.unknown,
        leftovers: census.leftovers,
        foreign: census.foreign,
        permissions: census.permissions,
        owners: census.owners,
        journal: journal,
        owner: owner
      }

      {:ok, Map.merge(report, Identity.of(state))}
    end
  end

  @typedoc """
  A report on an account in PostgreSQL. Its members are those of `t:report/0`, except that `:place` is the
  name of the account in messages, and `:families` counts keys and bytes by type, without the credentials.
  Rows have no time, so there are no ages, and `:older` is `nil` in `:growing`. Sessions still show their last
  use, which is in their records.
  """
  @type account_report() :: %{
          place: String.t(),
          credentials: :present | :absent | :damaged,
          account: %{id: String.t() | nil, name: String.t() | nil, lid: String.t() | nil} | nil,
          registered?: boolean() | nil,
          paired?: boolean() | nil,
          families: %{
            optional(atom() | String.t()) => %{keys: pos_integer(), bytes: non_neg_integer()}
          },
          pre_keys: PreKeys.t() | nil,
          sessions: Growth.known(),
          growing: [Growth.warning()],
          damaged: [CorruptRowError.t()],
          owner: Owner.t() | nil
        }

  @doc """
  Reports on an account in PostgreSQL, see `t:account_report/0`. The context is that of
  `BaileysEx.Auth.PostgresPersistence`. It reads every row, with several statements, and writes nothing, so
  the account may be in use.

      {:ok, report} = BaileysEx.Auth.Inspection.inspect_account(repo: MyApp.Repo, account: "ada")
      report.families[:session]
      #=> %{keys: 2, bytes: 5821}

  Options:

    * `:warn_above`: how many keys are expected at most, see `t:warn_above/0`
    * `:on_progress`: a function that receives `%{done: keys, total: keys}`

  An account with neither credentials nor keys is `{:error, {:not_an_auth_directory, place}}`. A failed query
  is `{:error, %BaileysEx.Auth.DatabaseError{}}`. A row that cannot be read is not an error; the report names
  it.
  """
  @spec inspect_account(keyword(), on_progress: (map() -> term()), warn_above: warn_above()) ::
          {:ok, account_report()} | {:error, term()}
  def inspect_account(context, opts \\ []) do
    Options.check!(opts, [:on_progress, :warn_above])

    InDatabase.report(
      Account.new!(context),
      WarnAbove.from!(opts),
      Keyword.get(opts, :on_progress, fn _progress -> :ok end)
    )
  end

  @doc """
  Detects, by file names, which backend's files a directory holds. A journal that is not empty is enough to
  detect the native backend.

      iex> BaileysEx.Auth.FilePersistence.save_credentials("auth", BaileysEx.Auth.State.new())
      iex> BaileysEx.Auth.Inspection.detect("auth")
      {:ok, BaileysEx.Auth.FilePersistence}

  Errors:

    * `{:error, posix}`: the directory cannot be listed
    * `{:error, {:not_an_auth_directory, path}}`: it holds neither credentials nor keys
    * `{:error, {:ambiguous_auth_directory, path}}`: it holds those of both backends
  """
  @spec detect(Path.t()) :: {:ok, module()} | {:error, term()}
  def detect(path) do
    path = Directory.absolute(path)
    with {:ok, names} <- Census.names(path), do: Recognition.backend([], path, names)
  end

  @doc """
  Returns the sorted names of the auth directories directly under `root`: directories that hold credentials or
  keys, directories that cannot be listed, and dangling links, such as to a volume that is not mounted. Names
  that begin with a dot and `lost+found` are left out.

      iex> alias BaileysEx.Auth.{NativeFilePersistence, State}
      iex> NativeFilePersistence.save_credentials("accounts/ada", State.new())
      iex> BaileysEx.Auth.Inspection.directories("accounts")
      {:ok, ["ada"]}

  A `root` that cannot be listed is `{:error, posix}`.
  """
  @spec directories(Path.t()) :: {:ok, [String.t()]} | {:error, File.posix()}
  def directories(root) do
    with {:ok, names} <- File.ls(root),
         do: {:ok, names |> Enum.filter(&Recognition.account?(root, &1)) |> Enum.sort()}
  end

  @typedoc "An account under a root: its report, or why there is none."
  @type account() :: %{
          name: String.t(),
          path: Path.t(),
          result: {:ok, report()} | {:error, term()}
        }

  @doc """
  Inspects every auth directory directly under `root` (see `directories/1`), several at a time. The result is
  sorted by name. If a directory cannot be inspected, its `:result` is the error.

      iex> alias BaileysEx.Auth.{NativeFilePersistence, State}
      iex> NativeFilePersistence.save_credentials("accounts/ada", State.new())
      iex> {:ok, accounts} = BaileysEx.Auth.Inspection.inspect_all("accounts")
      iex> for %{name: name, result: {:ok, report}} <- accounts, do: {name, report.paired?}
      [{"ada", false}]

  Options:

    * `:warn_above`: how many keys of an account are expected at most, see `t:warn_above/0`
    * `:on_progress`: a function that receives `%{done: accounts, total: accounts}`

  A `root` that cannot be listed is `{:error, posix}`.
  """
  @spec inspect_all(Path.t(), on_progress: (map() -> term()), warn_above: warn_above()) ::
          {:ok, [account()]} | {:error, File.posix()}
  def inspect_all(root, opts \\ []) do
    Options.check!(opts, [:on_progress, :warn_above])
    warn_above = WarnAbove.from!(opts)
    on_progress = Keyword.get(opts, :on_progress, fn _progress -> :ok end)
    root = Directory.absolute(root)

    with {:ok, names} <- directories(root) do
      accounts = for name <- names, do: %{name: name, path: Path.expand(name, root)}
      {:ok, SideBySide.map(accounts, &look(&1, warn_above: warn_above), on_progress)}
    end
  end

  defp look(account, opts),
    do: Map.put(account, :result, inspect_directory(account.path, opts))

  defp journal(module, format, path) do
    case Native.store_journal(path, format) do
      {:ok, {exists?, epoch, commits, bytes, torn?}} ->
        {:ok, %{exists?: exists?, epoch: epoch, commits: commits, bytes: bytes, torn?: torn?}}

      {:error, reason} ->
        {:error, NativeError.to_public(reason, module)}
    end
  end

  defp disk_use(path, module) do
    with {:error, reason} <- Native.directory_disk_use(path),
         do: {:error, NativeError.to_public(reason, module)}
  end

  defp ages(written, held, now) do
    Map.new(written, fn {type, times} ->
      {type, times |> Enum.map(&(&1 || held)) |> Growth.ages(now)}
    end)
  end

  defp newest(of_files, %{commits: commits}, held) when commits > 0 and held != nil do
    of_journal = DateTime.from_unix!(held)
    if of_files, do: Enum.max([of_files, of_journal], DateTime), else: of_journal
  end

  defp newest(of_files, _journal, _held), do: of_files

  # A key that is only in the journal was written no later than the journal.
  defp with_time(pre_keys, held), do: for({id, time} <- pre_keys, do: {id, time || held})

  defp dialect(:etf, _dialects), do: :native

  defp dialect(:json, dialects) do
    case Map.keys(dialects) do
      [] -> :unknown
      [dialect] -> dialect
      _several -> :mixed
    end
  end

  defp credentials(path, format) do
    with {:ok, creds} <- Native.creds_peek(path, format),
         {:ok, state} <- State.complete(term(creds, format)) do
      {:present, state}
    else
      {:error, :not_found} -> {:absent, nil}
      {:error, _damaged} -> {:damaged, nil}
    end
  end

  defp term(state, :json), do: state
  # The NIF has checked it: one plain term, few new atoms.
  defp term(binary, :etf), do: :erlang.binary_to_term(binary)
end
