defmodule BaileysEx.Auth.FilePersistence do
  @moduledoc """
  The JSON directory of Baileys (`useMultiFileAuthState`), read and written in such a way that Baileys itself
  can continue with it.

  Use it to take over the auth directory of a Baileys (Node.js) sidecar, or to share that directory, with one
  program using it at a time. Otherwise prefer `BaileysEx.Auth.NativeFilePersistence`: its commits are
  cheaper. `BaileysEx.Auth.PersistenceMigration` moves an account between the two.

  ## What is on disk

  The credentials are in `creds.json` and each key is in `<type>-<id>.json`. In file names, `/` is written as
  `__` and `:` as `-`, as by Baileys' `fixFileName`. Files are written in Baileys' own format. The two formats
  of baileys_ex can be read as well, file by file, and so can every encoding of bytes that Baileys has ever
  used. JSON members that this library does not know are preserved.

  ## Promises

    * A save is on disk when it returns `:ok`: it survives a power cut.
    * `commit_keys/2` is all or nothing.
    * Whenever no call is running, the directory is complete, and Node.js can use it as it is.
    * The cost of a save does not grow with the number of keys.

  ## Errors

    * `{:error, posix}`, such as `:enospc`: the operating system refused
    * `{:error, :not_found}`: no such key
    * `{:error, %BaileysEx.Auth.CorruptFileError{}}`: the file cannot be read, and is left untouched
    * `{:error, %BaileysEx.Auth.InvalidTermError{}}`: the term has no JSON form; nothing was written
    * `{:error, {:invalid_additional_data, message}}`: the same for `State.additional_data`
    * `{:error, %BaileysEx.Auth.InvalidKeyError{}}`: the id cannot name a file of this directory
    * `{:error, {:unsupported_persistence_version | :unexpected_persistence_backend |
      :invalid_persistence_metadata | :unsupported_journal_version, module, detail}}`: the
      directory's manifest, or the journal of an interrupted commit of several keys
    * `{:error, {:recovery_required, module, path}}`: an earlier write failed half-way; see
      `recover/1`

  Writers of one directory exclude each other through an operating system lock on its file `.baileys_ex.lock`.
  This works within one VM, in a cluster, and between VMs that are not connected. A call that waits for more
  than 15 seconds returns `{:error, %BaileysEx.Auth.LockedError{}}`. If this VM has claimed the directory, as
  a `BaileysEx.Auth.KeyStore` does, and somebody else has claimed it since, writes return
  `{:error, %BaileysEx.Auth.NotOwnerError{}}`. Node.js does not know the lock: stop it first.
  """

  use BaileysEx.Auth.Directory.Backend, format: :json, directory: "baileys_auth_info"

  alias BaileysEx.Auth.{AuthState, Directory, Keys, Native, Options, Persistence, State}

  @typedoc "What `use_multi_file_auth_state/1` returns; see `t:BaileysEx.Auth.Persistence.auth_state_helper/0`."
  @type multi_file_auth_state() :: %{
          state: State.t(),
          connect_opts: keyword(),
          save_creds: (State.t() | map() -> :ok | {:error, term()})
        }

  @doc """
  Loads the credentials, and returns them with what a connection needs to keep its auth state in `path`; see
  `t:BaileysEx.Auth.Persistence.auth_state_helper/0`.

      iex> {:ok, auth} = BaileysEx.Auth.FilePersistence.use_multi_file_auth_state("auth")
      iex> auth.save_creds.(auth.state)
      :ok
      iex> auth.connect_opts[:signal_store_module]
      BaileysEx.Auth.KeyStore

  The option `:must_exist` (default `false`) refuses a directory without credentials. The errors are those of
  `load_credentials/2`.
  """
  @spec use_multi_file_auth_state(Path.t(), [Persistence.load_option()]) ::
          {:ok, multi_file_auth_state()} | {:error, term()}
  def use_multi_file_auth_state(path \\ default_path(), opts \\ []) do
    # Resolved now: the current directory may have changed when the credentials are saved.
    path = Directory.absolute(path)

    with {:ok, state} <- load_credentials(path, opts),
         do: {:ok, AuthState.helper(__MODULE__, path, state, &save_credentials(path, &1))}
  end

  @doc """
  As `load_credentials/1`, with an option: with `must_exist: true` a directory without credentials is
  `{:error, {:no_credentials, path}}`. Use it for an account that is known to be paired. A wrong path or a
  missing mount then never leads to a fresh identity.

      iex> alias BaileysEx.Auth.FilePersistence
      iex> FilePersistence.load_credentials("aut", must_exist: true)
      {:error, {:no_credentials, Path.expand("aut")}}
  """
  @spec load_credentials(Path.t(), [Persistence.load_option()]) ::
          {:ok, State.t()} | {:error, term()}
  def load_credentials(path, opts) do
    must_exist? = Options.must_exist?(opts)

    with {:error, :not_found} <- load(path, Keys.creds()),
         do: AuthState.fresh(Directory.absolute(path), must_exist?)
  end

  @doc """
  Saves the credentials, a `BaileysEx.Auth.State`, durably: after `:ok` they survive a crash.

      iex> {:ok, state} = BaileysEx.Auth.FilePersistence.load_credentials("auth")
      iex> BaileysEx.Auth.FilePersistence.save_credentials("auth", state)
      :ok

  If the state lacks a part of the identity, nothing is written and the result is
  `{:error, %BaileysEx.Auth.InvalidTermError{}}`, which names the member.
  """
  @impl true
  @spec save_credentials(Path.t(), State.t()) :: :ok | {:error, term()}
  def save_credentials(path, %State{} = state) do
    {family, id} = Keys.creds()
    commit(path, [{family, id, {:put, state}}])
  end

  def save_credentials(_path, _other), do: AuthState.no_state()

  @doc """
  Saves the value of one key durably; `nil` deletes it. The value must have the form of its family, see
  `load_keys/3`. If keys in it have another form, or if it has no JSON form, the result is
  `{:error, %BaileysEx.Auth.InvalidTermError{}}` and nothing is written.

      iex> BaileysEx.Auth.FilePersistence.save_keys("auth", :"device-list", "1555", ["0", "3"])
      :ok

  The other errors are listed in the module's documentation. To save several keys that belong together, use
  one `commit_keys/2`.
  """
  @impl true
  @spec save_keys(Path.t(), atom(), term(), term()) :: :ok | {:error, term()}
  def save_keys(path, type, id, data) do
    {family, id} = Keys.key(type, id)
    commit(path, [{family, id, change(data)}])
  end

  @doc """
  Copies the directory, which may be in use, to `target`, which must be empty or not exist. The copy is one
  consistent state and can be used at once. Files are copied rather than linked, because Node.js writes such
  files in place and would also change the copy.

      iex> alias BaileysEx.Auth.FilePersistence
      iex> FilePersistence.save_keys("auth", :"lid-mapping", "15550000000", "800000000")
      iex> FilePersistence.snapshot("auth", "backup")
      :ok
      iex> FilePersistence.load_keys("backup", :"lid-mapping", "15550000000")
      {:ok, "800000000"}

  If the target is not empty, the result is `{:error, :enotempty}`; if it is the directory itself,
  `{:error, :einval}`. Any other problem with the target is
  `{:error, {:invalid_snapshot_target, path, posix}}`. The other errors are listed in the module's
  documentation.
  """
  @spec snapshot(Path.t(), Path.t()) :: :ok | {:error, term()}
  def snapshot(path, target), do: Directory.snapshot(@backend, path, Directory.absolute(target))

  defp load(path, key), do: Directory.load(@backend, path, key, &Native.json_load/3)

  defp change(nil), do: :delete
  defp change(value), do: {:put, value}

  defp commit(path, changes, by \\ nil) do
    Directory.commit(@backend, path, changes, &Native.json_commit(&1, by, &2))
  end
end
