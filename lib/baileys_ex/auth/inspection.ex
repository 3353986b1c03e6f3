defmodule BaileysEx.Auth.Inspection do
  @moduledoc """
  What an auth directory or an account in PostgreSQL holds, for people who operate it.
  `mix baileys.auth.inspect` shows it.

      {:ok, report} = BaileysEx.Auth.Inspection.inspect_directory("auth_native")
      report.account
      #=> %{id: "15551230001:7@s.whatsapp.net", name: "Ada", lid: "900000000001:7@lid"}

  No report holds key material; account, file names and paths are in it.
  """

  alias BaileysEx.Auth.{
    CorruptFileError,
    CorruptRowError,
    Native,
    NativeError,
    NativeFilePersistence,
    Options,
    Owner,
    SideBySide,
    State,
    Verification
  }

  alias BaileysEx.Auth.Directory.Forms
  alias BaileysEx.Auth.Inspection.{Census, Growth, Identity, InDatabase, PreKeys, WarnAbove}
  alias BaileysEx.Auth.Postgres.Account

  @typedoc """
  Who wrote the files of a directory.

    * `:native`: Erlang terms, by this library or by baileys_ex
    * `:baileys`: JSON as Baileys writes it, and this library
    * `:explicit`, `:legacy`: JSON of baileys_ex since, and before, its version alpha.4
    * `:mixed`: JSON of several of them
    * `:unknown`: JSON, and no readable file that tells (many look the same in all three)
  """
  @type dialect() :: :native | :baileys | :explicit | :legacy | :mixed | :unknown

  @typedoc """
  The journal of a native directory: `:commits` that are not in a checkpoint yet, and that every reader
  finds there, in `:bytes`; `:torn?` when its last append was cut short, which loses nothing
  that was acknowledged; `:epoch` counts the journals of the directory.
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

    * `:dialects` counts the JSON files that tell their dialect
    * `:credentials` is `:absent` for a directory that holds keys only; `:account`,
      `:registered?` and `:paired?` (see `BaileysEx.Auth.State.paired?/1`) are `nil` unless it is
      `:present`
    * `:keys`: how many keys can be read, by type, those that are in the journal and in no file yet included
    * `:families`: files and bytes by type of key; `:creds` is the credentials and `:unknown` files
      of families that this library does not know
    * `:disk_bytes`: what the directory takes of the disk, in whole blocks, as `du` counts it
    * `:oldest_change` and `:newest_change`: when credentials or keys were last written, to the second
    * `:pre_keys`: see `t:BaileysEx.Auth.Inspection.PreKeys.t/0`; `nil` unless credentials are
      present and count what was uploaded
    * `:ages`: keys by type and by when they were last written, see `BaileysEx.Auth.Inspection.Growth`;
      `:growing` the types of which there are more than `:warn_above`
    * `:damaged`: files that cannot be read
    * `:unknown`: names with a key's extension and no known family, perhaps somebody else's; they are
      left where they are
    * `:leftovers`: names of interrupted writes, ours or Baileys', copies that other programs made of
      files, and keys under an old name that are there under the current one too; they are never read
    * `:foreign`: other names that are no keys
    * `:owner`: the `BaileysEx.Auth.Owner` whose store has claimed the directory, or `nil`
    * `:permissions`: what others than the owner can access, `.` being the directory itself; files
      should have mode 0600 and the directory 0700
    * `:owners`: files that belong to another user than the directory does: the application that owns the
      directory may not be able to read them
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
  How many keys of one type are expected at most, by default 5,000: one number for all types, or numbers by type, such
  as `%{session: 20_000}`, with the default for the others.
  """
  @type warn_above() ::
          non_neg_integer() | %{optional(atom() | String.t()) => non_neg_integer()}

  @type option() :: {:backend, module()} | {:warn_above, warn_above()} | Verification.option()

  @native_manifest ".baileys_ex_native_file_persistence.etf"

  @doc """
  Reports on a directory. Every file is read, nothing is written and no lock is taken: the owner of
  the directory may be using it. Names, sizes and times are those of the files; what they hold, and
  who is `:damaged`, is told with the journal, whose commits a crash may have left out of the files.

  Options: `:backend`, by default as `detect/1` says; `:warn_above`, see `t:warn_above/0`; `:on_progress` as for
  `verify/2`.

  Errors: those of `detect/1`, and of the backend when its manifest or journal forbids to read the
  directory. Damaged files are no error here, but in the report. Raises `ArgumentError` for a
  `:backend` that is none of the two, and for a `:warn_above` that names an unknown type or holds no number.
  """
  @spec inspect_directory(Path.t(), [option()]) :: {:ok, report()} | {:error, term()}
  def inspect_directory(path, opts \\ []) do
    Options.check!(opts, [:backend, :warn_above, :on_progress])
    warn_above = WarnAbove.from!(opts)
    path = Path.expand(path)

    with {:ok, names} <- Census.names(path),
         {:ok, module} <- backend(opts, path, names),
         format = Forms.format(module),
         {:ok, census} <- Census.take(path, names, format),
         {:ok, disk_bytes} <- disk_use(path, module),
         {:ok, journal} <- journal(module, format, path),
         {:ok, owner} <- module.owner(path),
         {:ok, survey} <- Verification.survey({module, format}, path, opts) do
      {credentials, state} = credentials(path, format)
      ages = ages(census.times)
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
        newest_change: census.newest,
        pre_keys: state && PreKeys.count(state, census.pre_keys),
        ages: ages,
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
  A report on an account in PostgreSQL, whose members are as those of `t:report/0`; `:place` is what
  messages call it, and `:families` has keys and bytes by type, without the credentials. Rows have no time, so that
  there are no ages, and `:older` is `nil` in what is `:growing`.
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
          growing: [Growth.warning()],
          damaged: [CorruptRowError.t()],
          owner: Owner.t() | nil
        }

  @doc """
  Reports on an account in PostgreSQL. The context is that of `BaileysEx.Auth.PostgresPersistence`. Every row
  is read, by several statements, and nothing is written: whoever owns the account may be using it.

      {:ok, report} = BaileysEx.Auth.Inspection.inspect_account(repo: MyApp.Repo, account: "ada")
      report.families[:session]
      #=> %{keys: 2, bytes: 5821}

  `:on_progress` is given `%{done: keys, total: keys}`; `:warn_above` is as for `inspect_directory/2`. Errors: `{:error, {:not_an_auth_directory, place}}`
  where there are neither credentials nor keys, and a `BaileysEx.Auth.DatabaseError`. Rows that cannot be
  read are no error here, but in the report.
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
  The backend whose files a directory holds, by their names; the native one also where all that it has is in its
  journal.

    * `{:error, posix}`: it cannot be listed
    * `{:error, {:not_an_auth_directory, path}}`: it holds neither credentials nor keys
    * `{:error, {:ambiguous_auth_directory, path}}`: it holds those of both backends
  """
  @spec detect(Path.t()) :: {:ok, module()} | {:error, term()}
  def detect(path) do
    path = Path.expand(path)
    with {:ok, names} <- Census.names(path), do: backend([], path, names)
  end

  @doc """
  The auth directories directly under `root`, by name. A directory counts if it holds credentials or keys, or
  cannot be listed; one whose name begins with a dot does not.
  """
  @spec directories(Path.t()) :: {:ok, [String.t()]} | {:error, File.posix()}
  def directories(root) do
    with {:ok, names} <- File.ls(root) do
      {:ok, names |> Enum.filter(&auth_directory?(Path.join(root, &1), &1)) |> Enum.sort()}
    end
  end

  defp auth_directory?(_path, "." <> _hidden), do: false

  defp auth_directory?(path, _name) do
    String.valid?(path) and File.dir?(path) and
      not match?({:error, {:not_an_auth_directory, _path}}, detect(path))
  end

  @typedoc "An account under a root: its report, or why there is none."
  @type account() :: %{
          name: String.t(),
          path: Path.t(),
          result: {:ok, report()} | {:error, term()}
        }

  @doc """
  Inspects every auth directory directly under `root`, several at a time, in order of their names. One that
  cannot be inspected is an error in its place. `:on_progress` is given `%{done: accounts, total: accounts}`;
  `:warn_above` is as for `inspect_directory/2`.

      {:ok, accounts} = BaileysEx.Auth.Inspection.inspect_all("/var/lib/my_app/auth")
      for %{name: name, result: {:ok, report}} <- accounts, do: {name, report.paired?}
  """
  @spec inspect_all(Path.t(), on_progress: (map() -> term()), warn_above: warn_above()) ::
          {:ok, [account()]} | {:error, File.posix()}
  def inspect_all(root, opts \\ []) do
    Options.check!(opts, [:on_progress, :warn_above])
    warn_above = WarnAbove.from!(opts)
    on_progress = Keyword.get(opts, :on_progress, fn _progress -> :ok end)

    with {:ok, names} <- directories(root) do
      accounts = for name <- names, do: %{name: name, path: Path.expand(name, root)}
      {:ok, SideBySide.map(accounts, &look(&1, warn_above: warn_above), on_progress)}
    end
  end

  defp look(account, opts),
    do: Map.put(account, :result, inspect_directory(account.path, opts))

  defp backend(opts, path, names) do
    with :error <- Forms.given!(opts) do
      recognise(path, for({module, format} <- Forms.all(), holds?(names, format), do: module))
    end
  end

  defp recognise(_path, [module]), do: {:ok, module}

  # All that is there may be in the journal, as where the file of the credentials was lost.
  defp recognise(path, []) do
    with true <- File.exists?(Path.join(path, @native_manifest)),
         {:ok, {_exists, _epoch, commits, _bytes, _torn}} when commits > 0 <-
           Native.store_journal(path, :etf) do
      {:ok, NativeFilePersistence}
    else
      _nothing -> {:error, {:not_an_auth_directory, path}}
    end
  end

  defp recognise(path, _both), do: {:error, {:ambiguous_auth_directory, path}}

  defp holds?(names, format) do
    names
    |> Census.kinds(format)
    |> Enum.any?(&(&1 == :creds or (is_tuple(&1) and elem(&1, 0) in [:key, :old_key])))
  end

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

  defp ages(times) do
    now = System.os_time(:second)

    for {type, times} <- times, type not in [:creds, :unknown], into: %{} do
      {type, Growth.ages(times, now)}
    end
  end

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
