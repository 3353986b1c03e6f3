defmodule BaileysEx.Auth.FilePersistence do
  @moduledoc """
  The JSON directory of Baileys (`useMultiFileAuthState`), read and written so that Baileys itself
  goes on with it.

  Use it to bring the auth directory of a Baileys (Node.js) sidecar, or to share one with it, one
  program at a time. For anything else `BaileysEx.Auth.NativeFilePersistence` is recommended:
  its commits are cheaper. `BaileysEx.Auth.PersistenceMigration` moves between the two.

  ## What is on disk

  `creds.json`, and `<type>-<id>.json` for each key, with `/` in the name written as `__` and `:`
  as `-`. Files are written in Baileys' own shape. Read are also the two shapes that baileys_ex
  wrote, file by file, and every spelling of bytes that Baileys ever used. Members that this
  library does not know are kept.

  ## Promises

    * A save is on disk when it returns `:ok`: it survives a power cut.
    * `commit_keys/2` is all or nothing.
    * Whenever no call is running, the directory is complete for Node as it stands.
    * The cost of a save does not grow with the number of keys.

  ## Errors

    * `{:error, posix}`, such as `:enospc`: the operating system refused
    * `{:error, :not_found}`: no such key
    * `{:error, %BaileysEx.Auth.CorruptFileError{}}`: the file cannot be read, and was left alone
    * `{:error, %BaileysEx.Auth.InvalidTermError{}}`: the term has no JSON form; nothing was written
    * `{:error, {:invalid_additional_data, message}}`: the same for `State.additional_data`
    * `{:error, %BaileysEx.Auth.InvalidKeyError{}}`: the id cannot name a file of this directory
    * `{:error, {:unsupported_persistence_version | :unexpected_persistence_backend |
      :invalid_persistence_metadata | :unsupported_journal_version, module, detail}}`: the
      directory's manifest, or the journal that an interrupted commit of several keys left
    * `{:error, {:recovery_required, module, path}}`: an earlier write failed half-way; see
      `recover/1`

  Writers of one directory exclude each other, in one VM, in a cluster and between VMs that are not
  connected, by a lock of the operating system on the file `.baileys_ex.lock` in it; who waits for more
  than 15 seconds is told `{:error, %BaileysEx.Auth.LockedError{}}`. Where this VM has claimed the
  directory, as a `BaileysEx.Auth.KeyStore` does, and somebody else has claimed it since, writes answer
  `{:error, %BaileysEx.Auth.NotOwnerError{}}`.
  Node.js knows nothing of the lock: stop it first.
  """

  @behaviour BaileysEx.Auth.Persistence

  use BaileysEx.Auth.Directory.Owned, format: :json

  alias BaileysEx.Auth.{Directory, Native, Options, Persistence, State, Verification}

  @backend {__MODULE__, :json}
  @default_directory "baileys_auth_info"

  @typedoc "What `use_multi_file_auth_state/1` returns; see `t:BaileysEx.Auth.Persistence.auth_state_helper/0`."
  @type multi_file_auth_state() :: %{
          state: State.t(),
          connect_opts: keyword(),
          save_creds: (State.t() | map() -> :ok | {:error, term()})
        }

  @doc "The directory that is used when none is given: `baileys_auth_info` under the current one."
  @spec default_path() :: Path.t()
  def default_path, do: Path.expand(@default_directory)

  @doc """
  Loads the credentials, and gives what a connection needs to keep its auth state in `path`. Options as
  for `load_credentials/2`.
  """
  @spec use_multi_file_auth_state(Path.t(), [Persistence.load_option()]) ::
          {:ok, multi_file_auth_state()} | {:error, term()}
  def use_multi_file_auth_state(path \\ default_path(), opts \\ []) do
    # Where it is now: the current directory may be another one when the credentials are saved.
    path = Path.expand(path)

    with {:ok, state} <- load_credentials(path, opts) do
      {:ok,
       %{
         state: state,
         connect_opts: Directory.connect_opts(__MODULE__, path),
         save_creds: Directory.save_creds_with(&save_credentials(path, &1))
       }}
    end
  end

  @doc "As `load_credentials/1`, in the default directory."
  @impl true
  @spec load_credentials() :: {:ok, State.t()} | {:error, term()}
  def load_credentials, do: load_credentials(default_path())

  @doc """
  Loads the credentials of a directory; a fresh `State.new()`, and nothing written, where none
  were saved. A file that cannot be read, or credentials of the other backend, is an error, never a
  fresh state.
  """
  @impl true
  @spec load_credentials(Path.t()) :: {:ok, State.t()} | {:error, term()}
  def load_credentials(path), do: load_credentials(path, [])

  @doc """
  As `load_credentials/1`. With `must_exist: true` a directory without credentials is
  `{:error, {:no_credentials, path}}`: for an account that is known to be paired, so that a wrong path or
  a volume that is not mounted never brings up a fresh identity.
  """
  @spec load_credentials(Path.t(), [Persistence.load_option()]) ::
          {:ok, State.t()} | {:error, term()}
  def load_credentials(path, opts) do
    must_exist? = Options.must_exist?(opts)

    with {:error, :not_found} <- load(path, Directory.creds()),
         do: Directory.fresh_state(path, must_exist?)
  end

  @doc "As `save_credentials/2`, in the default directory."
  @impl true
  @spec save_credentials(State.t()) :: :ok | {:error, term()}
  def save_credentials(state), do: save_credentials(default_path(), state)

  @doc "Saves the credentials, durably."
  @impl true
  @spec save_credentials(Path.t(), State.t()) :: :ok | {:error, term()}
  def save_credentials(path, %State{} = state) do
    {family, id} = Directory.creds()
    commit(path, [{family, id, {:put, state}}])
  end

  def save_credentials(_path, _other), do: Directory.no_state()

  @doc "As `load_keys/3`, in the default directory."
  @impl true
  @spec load_keys(atom(), term()) :: {:ok, term()} | {:error, term()}
  def load_keys(type, id), do: load_keys(default_path(), type, id)

  @doc "Loads a key."
  @impl true
  @spec load_keys(Path.t(), atom(), term()) :: {:ok, term()} | {:error, term()}
  def load_keys(path, type, id) do
    load(path, Directory.key(type, id))
  end

  @doc "As `save_keys/4`, in the default directory."
  @impl true
  @spec save_keys(atom(), term(), term()) :: :ok | {:error, term()}
  def save_keys(type, id, data), do: save_keys(default_path(), type, id, data)

  @doc "Saves a key, durably; `nil` deletes it."
  @impl true
  @spec save_keys(Path.t(), atom(), term(), term()) :: :ok | {:error, term()}
  def save_keys(path, type, id, data) do
    {family, id} = Directory.key(type, id)
    commit(path, [{family, id, change(data)}])
  end

  @doc "As `delete_keys/3`, in the default directory."
  @impl true
  @spec delete_keys(atom(), term()) :: :ok | {:error, term()}
  def delete_keys(type, id), do: delete_keys(default_path(), type, id)

  @doc "Deletes a key, durably; a key that is not there is `:ok`."
  @impl true
  @spec delete_keys(Path.t(), atom(), term()) :: :ok | {:error, term()}
  def delete_keys(path, type, id) do
    {family, id} = Directory.key(type, id)
    commit(path, [{family, id, :delete}])
  end

  @doc "As `list_keys/1`, in the default directory."
  @impl true
  @spec list_keys() :: {:ok, Persistence.key_list()} | {:error, term()}
  def list_keys, do: list_keys(default_path())

  @doc "The ids of every key, by type. Nothing is read but the directory."
  @impl true
  @spec list_keys(Path.t()) :: {:ok, Persistence.key_list()} | {:error, term()}
  def list_keys(path), do: Directory.list_keys(@backend, path)

  @doc "As `commit_keys/2`, in the default directory."
  @impl true
  @spec commit_keys(Persistence.changes()) :: :ok | {:error, term()}
  def commit_keys(changes), do: commit_keys(default_path(), changes)

  @doc "Saves and deletes (`nil`) several keys, durably, all or none of them."
  @impl true
  @spec commit_keys(Path.t(), Persistence.changes()) :: :ok | {:error, term()}
  def commit_keys(path, changes), do: commit_keys_by(path, nil, changes)

  defp commit_keys_by(path, by, changes) do
    with {:ok, changes} <- Directory.flatten(changes) do
      changes = for {family, id, value} <- changes, do: {family, id, change(value)}
      commit(path, changes, by)
    end
  end

  @doc """
  Reads every file and reports all that cannot be read: `{:error, exception}` with a
  `BaileysEx.Auth.DamagedDirectoryError`. The option `:on_progress` is a function that is given
  `%{done: files, total: files}` after each step.
  """
  @spec verify(Path.t(), [Verification.option()]) ::
          {:ok, Verification.report()} | {:error, term()}
  def verify(path, opts \\ []), do: Verification.run(@backend, path, opts)

  @doc "As `recover/1`, in the default directory."
  @impl true
  @spec recover() :: :ok | {:error, term()}
  def recover, do: recover(default_path())

  @doc """
  Makes a directory usable again whose operations answer `:recovery_required`: what was committed
  is written once more, whole, and synced. Do it when the cause (a full or failing disk) is gone.
  """
  @impl true
  @spec recover(Path.t()) :: :ok | {:error, term()}
  def recover(path), do: Directory.locked(@backend, path, &Native.store_recover(&1, :json))

  @doc """
  Copies the directory, live, to `target`, which must not exist or be empty: one consistent state,
  usable at once. Files are copied, not linked: Node writes the files of such a directory in place,
  and would write into the copy too.
  """
  @spec snapshot(Path.t(), Path.t()) :: :ok | {:error, term()}
  def snapshot(path, target) do
    target = Path.expand(target)
    Directory.snapshot(@backend, path, target)
  end

  defp load(path, key), do: Directory.load(@backend, path, key, &Native.json_load/3)

  defp change(nil), do: :delete
  defp change(value), do: {:put, value}

  defp commit(path, changes, by \\ nil) do
    Directory.commit(@backend, path, changes, &Native.json_commit(&1, by, &2))
  end
end
