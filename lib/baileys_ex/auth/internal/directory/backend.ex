defmodule BaileysEx.Auth.Directory.Backend do
  @moduledoc false
  # The common part of the backends over directories:
  #
  #     use BaileysEx.Auth.Directory.Backend, format: :json, directory: "baileys_auth_info"
  #
  # defines `default_path/0`; every callback of `BaileysEx.Auth.Persistence` without a path, for that
  # directory; and with a path `load_credentials/1`, `load_keys/3`, `delete_keys/3`, `list_keys/1`,
  # `commit_keys/2`, `recover/1`, `delete_auth_state/1`, `verify/1,2` and the callbacks of ownership. The
  # module itself defines `load_credentials/2`, `save_credentials/2`, `save_keys/4`, `snapshot/2`, and the
  # private `load/2`, `change/1` and `commit/3`; the last argument of `commit/3` says on whose behalf it
  # commits.

  @spec __using__(keyword()) :: Macro.t()
  defmacro __using__(opts) do
    [
      quote do
        @behaviour BaileysEx.Auth.Persistence

        alias BaileysEx.Auth.{Deletion, Directory, Keys, Native, Owner, Persistence}
        alias BaileysEx.Auth.{State, Verification}

        @format unquote(opts[:format])
        @backend {__MODULE__, @format}
        # For examples.
        @name inspect(__MODULE__)
        @short_name __MODULE__ |> Module.split() |> List.last()
      end,
      default_directory(opts[:directory]),
      with_path(),
      ownership(),
      for_the_store()
    ]
  end

  defp default_directory(directory) do
    quote do
      @doc """
      Returns the absolute path of the directory that is used if none is given: `#{unquote(directory)}` under
      the current directory.

          iex> path = #{@name}.default_path()
          iex> path == Path.expand("#{unquote(directory)}")
          true
      """
      @spec default_path() :: Path.t()
      def default_path, do: Path.expand(unquote(directory))

      @doc "As `load_credentials/1`, in the default directory."
      @impl true
      @spec load_credentials() :: {:ok, State.t()} | {:error, term()}
      def load_credentials, do: load_credentials(default_path())

      @doc "As `save_credentials/2`, in the default directory."
      @impl true
      @spec save_credentials(State.t()) :: :ok | {:error, term()}
      def save_credentials(state), do: save_credentials(default_path(), state)

      @doc "As `load_keys/3`, in the default directory."
      @impl true
      @spec load_keys(atom(), term()) :: {:ok, term()} | {:error, term()}
      def load_keys(type, id), do: load_keys(default_path(), type, id)

      @doc "As `save_keys/4`, in the default directory."
      @impl true
      @spec save_keys(atom(), term(), term()) :: :ok | {:error, term()}
      def save_keys(type, id, data), do: save_keys(default_path(), type, id, data)

      @doc "As `delete_keys/3`, in the default directory."
      @impl true
      @spec delete_keys(atom(), term()) :: :ok | {:error, term()}
      def delete_keys(type, id), do: delete_keys(default_path(), type, id)

      @doc "As `list_keys/1`, in the default directory."
      @impl true
      @spec list_keys() :: {:ok, Persistence.key_list()} | {:error, term()}
      def list_keys, do: list_keys(default_path())

      @doc "As `commit_keys/2`, in the default directory."
      @impl true
      @spec commit_keys(Persistence.changes()) :: :ok | {:error, term()}
      def commit_keys(changes), do: commit_keys(default_path(), changes)

      @doc "As `recover/1`, in the default directory."
      @impl true
      @spec recover() :: :ok | {:error, term()}
      def recover, do: recover(default_path())

      @doc "As `delete_auth_state/1`, in the default directory."
      @impl true
      @spec delete_auth_state() :: :ok | {:error, term()}
      def delete_auth_state, do: delete_auth_state(default_path())

      @doc "As `claim/2`, for the default directory."
      @impl true
      @spec claim(Owner.t()) :: :ok | {:error, term()}
      def claim(owner), do: claim(default_path(), owner)

      @doc "As `release/2`, for the default directory."
      @impl true
      @spec release(Owner.t()) :: :ok | {:error, term()}
      def release(owner), do: release(default_path(), owner)

      @doc "As `owner/1`, of the default directory."
      @impl true
      @spec owner() :: {:ok, Owner.t() | nil} | {:error, term()}
      def owner, do: owner(default_path())
    end
  end

  defp with_path do
    quote do
      @doc """
      Loads the credentials of a directory. If none were saved, it returns a fresh `BaileysEx.Auth.State` and
      writes nothing. Members that an older file lacks get the defaults of the struct.

          iex> {:ok, state} = #{@name}.load_credentials("auth")
          iex> {state.me, File.exists?("auth")}
          {nil, false}

      It never returns a fresh state for a file that cannot be read or for credentials of the other backend.
      The first is `{:error, %BaileysEx.Auth.CorruptFileError{}}`, the second
      `{:error, {:unexpected_persistence_backend, module, detail}}`. The other errors are listed in the
      module's documentation.
      """
      @impl true
      @spec load_credentials(Path.t()) :: {:ok, State.t()} | {:error, term()}
      def load_credentials(path), do: load_credentials(path, [])

      @doc """
      Loads the value of one key, as it was saved.

      `type` is the family as Baileys names it, such as `:session`, `:"pre-key"` or `:"lid-mapping"`; `id` is
      anything that `to_string/1` accepts. The form of a value depends on the family: a `:"lid-mapping"` is a
      string, a `:"device-list"` a list of strings, a `:"pre-key"` a map with `:public` and `:private` of 32
      bytes each, and a `:session` a `BaileysEx.Signal.SessionRecord`. `BaileysEx.Signal.Store` lists them
      all.

          iex> alias #{@name}
          iex> #{@short_name}.save_keys("auth", :"lid-mapping", "15550000000", "800000000")
          iex> #{@short_name}.load_keys("auth", :"lid-mapping", "15550000000")
          {:ok, "800000000"}
          iex> #{@short_name}.load_keys("auth", :"lid-mapping", "15550000001")
          {:error, :not_found}

      A key that was never saved or was deleted is `{:error, :not_found}`. A file that cannot be read is
      `{:error, %BaileysEx.Auth.CorruptFileError{}}`, and is left untouched. The other errors are listed in
      the module's documentation.
      """
      @impl true
      @spec load_keys(Path.t(), atom(), term()) :: {:ok, term()} | {:error, term()}
      def load_keys(path, type, id), do: load(path, Keys.key(type, id))

      @doc """
      Deletes a key durably. Returns `:ok` even if the key does not exist or its file cannot be read. The
      errors are listed in the module's documentation.

          iex> #{@name}.delete_keys("auth", :session, "15550000000.0")
          :ok
      """
      @impl true
      @spec delete_keys(Path.t(), atom(), term()) :: :ok | {:error, term()}
      def delete_keys(path, type, id), do: save_keys(path, type, id, nil)

      @doc """
      Lists the ids of all keys by type, as strings, without reading the files of keys.

          iex> #{@name}.save_keys("auth", :"lid-mapping", "1555", "8000")
          :ok
          iex> #{@name}.list_keys("auth")
          {:ok, %{"lid-mapping": ["1555"]}}

      A directory that does not exist is `{:error, :enoent}`. The other errors are listed in the module's
      documentation.
      """
      @impl true
      @spec list_keys(Path.t()) :: {:ok, Persistence.key_list()} | {:error, term()}
      def list_keys(path), do: Directory.list_keys(@backend, path)

      @doc """
      Saves several keys, by type and id, and deletes those whose value is `nil`. After `:ok` all changes
      survive a crash; after an error none was made. The values are those of `save_keys/4`.

          iex> #{@name}.commit_keys("auth", %{
          ...>   "lid-mapping": %{"1555" => "8000", "8000_reverse" => "1555"},
          ...>   "pre-key": %{"7" => nil}
          ...> })
          :ok

      The errors are those of `save_keys/4`.
      """
      @impl true
      @spec commit_keys(Path.t(), Persistence.changes()) :: :ok | {:error, term()}
      def commit_keys(path, changes), do: commit_keys_by(path, nil, changes)

      defp commit_keys_by(path, by, changes) do
        with {:ok, changes} <- Keys.flatten(changes) do
          changes = for {family, id, value} <- changes, do: {family, id, change(value)}
          commit(path, changes, by)
        end
      end

      @doc """
      Repairs a directory whose operations return `{:error, {:recovery_required, module, path}}`: writes
      everything that was committed once more, completely, and syncs it. Call it when the cause, such as a
      full disk, is gone. If there is nothing to recover, it changes nothing.

          iex> #{@name}.save_keys("auth", :"lid-mapping", "1555", "8000")
          iex> #{@name}.recover("auth")
          :ok

      It returns the same error if the directory still cannot be written. The other errors are listed in the
      module's documentation.
      """
      @impl true
      @spec recover(Path.t()) :: :ok | {:error, term()}
      def recover(path), do: Directory.locked(@backend, path, &Native.store_recover(&1, @format))

      @doc """
      Deletes the credentials and all keys durably, all or none of them. This is for an account that has been
      logged out, which cannot be paired again with its old state. It cannot be undone: make a copy with
      `snapshot/2` first.

          iex> #{@name}.save_keys("auth", :"lid-mapping", "1555", "8000")
          iex> #{@name}.delete_auth_state("auth")
          :ok
          iex> #{@name}.list_keys("auth")
          {:ok, %{}}

      It claims the directory first, so that a store that uses it, on any machine, can no longer write. The
      directory itself stays, with the files that this library needs in it and those that are not part of the
      account. Returns `:ok` if there is no directory. If the path is not a directory or cannot be reached,
      the result is `{:error, posix}`. The other errors are listed in the module's documentation.
      """
      @impl true
      @spec delete_auth_state(Path.t()) :: :ok | {:error, term()}
      def delete_auth_state(path) do
        with {:ok, path} <- path |> Directory.absolute() |> Directory.text() do
          # A directory that cannot be reached is not treated as a missing one.
          if File.lstat(path) == {:error, :enoent},
            do: :ok,
            else: Deletion.run(__MODULE__, path, fn -> delete_all(path) end)
        end
      end

      defp delete_all(path) do
        with {:ok, keys} <- list_keys(path),
             all = for({type, ids} <- keys, id <- ids, do: Keys.key(type, id)),
             gone = for({family, id} <- [Keys.creds() | all], do: {family, id, change(nil)}),
             :ok <- commit(path, gone, nil) do
          # Leaves nothing of the account in the journal.
          Directory.locked(@backend, path, &Native.store_checkpoint(&1, @format))
        end
      end

      @doc """
      Reads every file and changes nothing. `t:BaileysEx.Auth.Verification.report/0` describes the result.

          iex> #{@name}.save_credentials("auth", BaileysEx.Auth.State.new())
          iex> {:ok, report} = #{@name}.verify("auth")
          iex> {report.credentials?, report.families}
          {true, %{}}

      Options:

        * `:credentials`: `:required` (default) or `:optional`, for a directory that holds only keys
        * `:on_progress`: a function that receives `%{done: files, total: files}` after each step

      Errors:

        * `{:error, %BaileysEx.Auth.DamagedDirectoryError{}}` names every file that cannot be read
        * `{:error, {:no_credentials, path}}`: there are keys but no credentials, which `:credentials`
          requires
        * those listed in the module's documentation
      """
      @spec verify(Path.t(), [Verification.option()]) ::
              {:ok, Verification.report()} | {:error, term()}
      def verify(path, opts \\ []), do: Verification.run(@backend, path, opts)
    end
  end

  defp ownership do
    quote do
      @doc """
      Claims the directory for this VM durably, and creates it if it does not exist. Once somebody else claims
      it, every write of this VM is refused with a `BaileysEx.Auth.NotOwnerError`. `BaileysEx.Auth.KeyStore`
      claims its directory when it starts.

          iex> #{@name}.claim("auth", BaileysEx.Auth.Owner.new())
          :ok

      The errors are listed in the module's documentation.
      """
      @impl true
      @spec claim(Path.t(), Owner.t()) :: :ok | {:error, term()}
      def claim(path, owner), do: Directory.claim(@backend, path, owner)

      @doc """
      Releases a claim if it still stands. `BaileysEx.Auth.KeyStore` does this when it stops. If somebody
      else's claim has replaced it, nothing changes and the result is `:ok`. The errors are listed in the
      module's documentation.

          iex> owner = BaileysEx.Auth.Owner.new()
          iex> #{@name}.claim("auth", owner)
          iex> #{@name}.release("auth", owner)
          :ok
      """
      @impl true
      @spec release(Path.t(), Owner.t()) :: :ok | {:error, term()}
      def release(path, owner), do: Directory.release(@backend, path, owner)

      @doc """
      Returns who has claimed the directory: a `BaileysEx.Auth.Owner`, or `nil` if nobody has. It only reads.
      The errors are listed in the module's documentation.

          iex> owner = BaileysEx.Auth.Owner.new()
          iex> #{@name}.claim("auth", owner)
          iex> {:ok, %{counter: 1} = claimed} = #{@name}.owner("auth")
          iex> claimed.id == owner.id
          true
      """
      @impl true
      @spec owner(Path.t()) :: {:ok, Owner.t() | nil} | {:error, term()}
      def owner(path), do: Directory.owner(@backend, path)
    end
  end

  # Only the key store calls these.
  defp for_the_store do
    quote do
      @doc false
      @impl true
      def place, do: place(default_path())

      @doc false
      @impl true
      def place(path), do: Directory.place(@backend, path)

      @doc false
      @impl true
      def place_name, do: default_path()

      @doc false
      @impl true
      def place_name(path), do: Directory.absolute(path)

      @doc false
      @impl true
      def changes_seen, do: changes_seen(default_path())

      @doc false
      @impl true
      def changes_seen(path), do: Directory.changes_seen(@backend, path)

      @doc false
      @impl true
      def commit_keys_unless_changed(changes, seen),
        do: commit_keys_unless_changed(default_path(), changes, seen)

      @doc false
      @impl true
      def commit_keys_unless_changed(path, changes, seen),
        do: commit_keys_by(path, seen || :keeper, changes)
    end
  end
end
