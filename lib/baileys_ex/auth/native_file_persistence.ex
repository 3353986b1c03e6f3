defmodule BaileysEx.Auth.NativeFilePersistence do
  @moduledoc """
  Keeps credentials and Signal keys as Erlang terms on disk, with crash-safe commits. Recommended for Elixir
  applications.

  ## What is on disk

  `creds.etf` holds the `BaileysEx.Auth.State`, and `<type>-<id>.etf` holds the run-time term of each key, as
  encoded by `:erlang.term_to_binary/1`. There is also a journal. A commit appends one record to it.
  Checkpoints write the files later: when the journal has grown long, when the directory has been idle for
  half a minute, and when its store or the application stops. Directories that baileys_ex wrote can be read
  and written too.

  ## Promises

    * A save is on disk when it returns `:ok`: it survives a power cut.
    * `commit_keys/2` is all or nothing, and costs one flush for any number of keys.
    * The cost of a save does not grow with the number of keys.
    * A file is decoded only after a check that it is plain data: a hostile file cannot crash the VM, fill its
      atom table or inject code.

  ## Errors

    * `{:error, posix}`, such as `:enospc`: the operating system refused
    * `{:error, :not_found}`: no such key
    * `{:error, %BaileysEx.Auth.CorruptFileError{}}`: the file cannot be read, and is left untouched
    * `{:error, %BaileysEx.Auth.InvalidTermError{}}`: the term could not be loaded again, for example because
      it contains a function or a pid; nothing was written
    * `{:error, %BaileysEx.Auth.InvalidKeyError{}}`: the id cannot name a file of this directory
    * `{:error, {:unsupported_persistence_version | :unexpected_persistence_backend |
      :invalid_persistence_metadata | :unsupported_journal_version, module, detail}}`: the
      directory's manifest or journal
    * `{:error, {:recovery_required, module, path}}`: an earlier write failed half-way; see
      `recover/1`

  Writers of one directory exclude each other through an operating system lock on its file `.baileys_ex.lock`.
  This works within one VM, in a cluster, and between VMs that are not connected. A call that waits for more
  than 15 seconds returns `{:error, %BaileysEx.Auth.LockedError{}}`. If this VM has claimed the directory, as
  a `BaileysEx.Auth.KeyStore` does, and somebody else has claimed it since, writes return
  `{:error, %BaileysEx.Auth.NotOwnerError{}}`.
  """

  use BaileysEx.Auth.Directory.Backend, format: :etf, directory: "baileys_native_auth_info"

  alias BaileysEx.Auth.{
    AuthState,
    CorruptFileError,
    Directory,
    InvalidTermError,
    Keys,
    Native,
    Options,
    Persistence,
    State,
    TermCheck
  }

  @doc """
  Loads the credentials, and returns them with what a connection needs to keep its auth state in `path`; see
  `t:BaileysEx.Auth.Persistence.auth_state_helper/0`.

      iex> {:ok, auth} = BaileysEx.Auth.NativeFilePersistence.use_native_file_auth_state("auth")
      iex> auth.save_creds.(auth.state)
      :ok
      iex> auth.connect_opts[:signal_store_module]
      BaileysEx.Auth.KeyStore

  The option `:must_exist` (default `false`) refuses a directory without credentials. The errors are those of
  `load_credentials/2`.
  """
  @spec use_native_file_auth_state(Path.t(), [Persistence.load_option()]) ::
          {:ok, Persistence.auth_state_helper()} | {:error, term()}
  def use_native_file_auth_state(path \\ default_path(), opts \\ []) do
    # Resolved now: the current directory may have changed when the credentials are saved.
    path = Directory.absolute(path)

    with {:ok, state} <- load_credentials(path, opts),
         do: {:ok, AuthState.helper(__MODULE__, path, state, &save_credentials(path, &1))}
  end

  @doc """
  As `load_credentials/1`, with an option: with `must_exist: true` a directory without credentials is
  `{:error, {:no_credentials, path}}`. Use it for an account that is known to be paired. A wrong path or a
  missing mount then never leads to a fresh identity.

      iex> alias BaileysEx.Auth.NativeFilePersistence
      iex> NativeFilePersistence.load_credentials("aut", must_exist: true)
      {:error, {:no_credentials, Path.expand("aut")}}
  """
  @spec load_credentials(Path.t(), [Persistence.load_option()]) ::
          {:ok, State.t()} | {:error, term()}
  def load_credentials(path, opts) do
    must_exist? = Options.must_exist?(opts)

    case load(path, Keys.creds()) do
      {:ok, term} -> credentials(path, term)
      {:error, :not_found} -> AuthState.fresh(Directory.absolute(path), must_exist?)
      error -> error
    end
  end

  @doc """
  Saves the credentials, a `BaileysEx.Auth.State`, durably: after `:ok` they survive a crash.

      iex> {:ok, state} = BaileysEx.Auth.NativeFilePersistence.load_credentials("auth")
      iex> BaileysEx.Auth.NativeFilePersistence.save_credentials("auth", state)
      :ok

  If the state lacks a part of the identity, nothing is written and the result is
  `{:error, %BaileysEx.Auth.InvalidTermError{}}`, which names the member.
  """
  @impl true
  @spec save_credentials(Path.t(), State.t()) :: :ok | {:error, term()}
  def save_credentials(path, %State{} = state) do
    {family, id} = Keys.creds()

    with {:ok, state} <- AuthState.complete(state),
         {:error, %InvalidTermError{} = whole} <-
           commit(path, [{family, id, :erlang.term_to_binary(state)}]) do
      {:error, TermCheck.refused_field(state, __MODULE__) || whole}
    end
  end

  def save_credentials(_path, _other), do: AuthState.no_state()

  @doc """
  Saves the value of one key durably; `nil` deletes it. The value is any plain term. If it contains a
  function, pid or reference, the result is `{:error, %BaileysEx.Auth.InvalidTermError{}}` and nothing is
  written.

      iex> BaileysEx.Auth.NativeFilePersistence.save_keys("auth", :"device-list", "1555", ["0", "3"])
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
  Writes all committed changes to the files durably, and empties the journal. This also happens automatically
  from time to time. Call it before an older version of this library, or any other program, reads or changes
  the directory. To copy the directory, use `snapshot/2` instead.

      iex> BaileysEx.Auth.NativeFilePersistence.save_keys("auth", :"lid-mapping", "1555", "8000")
      iex> BaileysEx.Auth.NativeFilePersistence.checkpoint("auth")
      :ok
      iex> File.exists?("auth/lid-mapping-1555.etf")
      true

  The errors are listed in the module's documentation.
  """
  @spec checkpoint(Path.t()) :: :ok | {:error, term()}
  def checkpoint(path),
    do: Directory.locked(@backend, path, &Native.store_checkpoint(&1, @format))

  @doc """
  Copies the directory, which may be in use, to `target`, which must be empty or not exist. The copy is one
  consistent state and can be used at once. Files are linked if the file system allows it: this library never
  changes a file in place, but replaces it.

      iex> alias BaileysEx.Auth.NativeFilePersistence
      iex> NativeFilePersistence.save_keys("auth", :"lid-mapping", "15550000000", "800000000")
      iex> NativeFilePersistence.snapshot("auth", "backup")
      :ok
      iex> NativeFilePersistence.load_keys("backup", :"lid-mapping", "15550000000")
      {:ok, "800000000"}

  If the target is not empty, the result is `{:error, :enotempty}`; if it is the directory itself,
  `{:error, :einval}`. Any other problem with the target is
  `{:error, {:invalid_snapshot_target, path, posix}}`. The other errors are listed in the module's
  documentation.
  """
  @spec snapshot(Path.t(), Path.t()) :: :ok | {:error, term()}
  def snapshot(path, target), do: Directory.snapshot(@backend, path, Directory.absolute(target))

  defp load(path, key) do
    with {:ok, binary} <- Directory.load(@backend, path, key, &Native.etf_load/3),
         :error <- term(binary) do
      file = Directory.file(path, key, ".etf")
      problem = "is not a term that this VM can hold"
      {:error, %CorruptFileError{path: file, member: nil, problem: problem}}
    end
  end

  # The NIF has checked the binary: it is one plain term with few new atoms. Only the VM can detect a
  # duplicate key in a map or an integer beyond its limit. The VM's own error would show the content.
  defp term(binary) do
    {:ok, :erlang.binary_to_term(binary)}
  rescue
    _ in [ArgumentError, SystemLimitError] -> :error
  end

  defp credentials(path, term) do
    with {:error, {member, problem}} <- State.complete(term) do
      file = Directory.file(path, Keys.creds(), ".etf")
      {:error, %CorruptFileError{path: file, member: member, problem: problem}}
    end
  end

  defp change(nil), do: nil
  defp change(value), do: :erlang.term_to_binary(value)

  defp commit(path, changes, by \\ nil) do
    Directory.commit(@backend, path, changes, &Native.etf_commit(&1, by, &2))
  end
end
