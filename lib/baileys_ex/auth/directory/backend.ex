defmodule BaileysEx.Auth.Directory.Backend do
  @moduledoc false
  # What the backends of directories have in common, word for word:
  #
  #     use BaileysEx.Auth.Directory.Backend, format: :json, directory: "baileys_auth_info"
  #
  # defines `default_path/0`; each callback of `BaileysEx.Auth.Persistence` without a path, for that
  # directory; and with a path `load_credentials/1`, `list_keys/1`, `commit_keys/2`, `recover/1`,
  # `delete_auth_state/1`, `verify/1,2` and those of ownership. The module defines the rest:
  # `load_credentials/2`, `save_credentials/2`, `load_keys/3`, `save_keys/4`, `delete_keys/3`, and the
  # private `change/1`, `commit/3` and `commit_keys_by/3`, the last two told on whose behalf they commit.

  @spec __using__(keyword()) :: Macro.t()
  defmacro __using__(opts) do
    [
      quote do
        @behaviour BaileysEx.Auth.Persistence

        alias BaileysEx.Auth.{Deletion, Directory, Keys, Native, Owner, Persistence}
        alias BaileysEx.Auth.{State, Verification}

        @format unquote(opts[:format])
        @backend {__MODULE__, @format}
      end,
      default_directory(opts[:directory]),
      with_path(),
      ownership(),
      for_the_store()
    ]
  end

  defp default_directory(directory) do
    quote do
      @doc unquote(
             "The directory that is used when none is given: `#{directory}` under the current one."
           )
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
      Loads the credentials of a directory; a fresh `State.new()`, and nothing written, where none
      were saved. A file that cannot be read, or credentials of the other backend, is an error, never a
      fresh state. Members that an older file lacks have the defaults of `BaileysEx.Auth.State`.
      """
      @impl true
      @spec load_credentials(Path.t()) :: {:ok, State.t()} | {:error, term()}
      def load_credentials(path), do: load_credentials(path, [])

      @doc """
      The ids of every key, by type, as strings: `%{session: ["15550000001.0"], "pre-key": ["1", "2"]}`.
      Nothing is read but the directory.
      """
      @impl true
      @spec list_keys(Path.t()) :: {:ok, Persistence.key_list()} | {:error, term()}
      def list_keys(path), do: Directory.list_keys(@backend, path)

      @doc """
      Saves and deletes (`nil`) several keys, durably, all or none of them:

          commit_keys(path, %{session: %{"15550000001.0" => record}, "pre-key": %{"7" => nil}})
      """
      @impl true
      @spec commit_keys(Path.t(), Persistence.changes()) :: :ok | {:error, term()}
      def commit_keys(path, changes), do: commit_keys_by(path, nil, changes)

      @doc """
      Makes a directory usable again whose operations answer `:recovery_required`: what was committed
      is written once more, whole, and synced. Do it when the cause (a full or failing disk) is gone.
      """
      @impl true
      @spec recover(Path.t()) :: :ok | {:error, term()}
      def recover(path), do: Directory.locked(@backend, path, &Native.store_recover(&1, @format))

      @doc """
      Deletes credentials and keys, durably, all or none of them, under a claim: for an account that has
      been logged out, which cannot be paired again with what it has. A store that has the directory, here
      or elsewhere, loses it. What is deleted is gone; `snapshot/2` keeps a copy. Nothing to delete is `:ok`.

      The directory stays, empty but for the files that this library needs in it, and files that are not of
      the account.
      """
      @impl true
      @spec delete_auth_state(Path.t()) :: :ok | {:error, term()}
      def delete_auth_state(path) do
        if File.dir?(path),
          do: Deletion.run(__MODULE__, path, fn -> delete_all(path) end),
          else: :ok
      end

      defp delete_all(path) do
        with {:ok, keys} <- list_keys(path),
             all = for({type, ids} <- keys, id <- ids, do: Keys.key(type, id)),
             gone = for({family, id} <- [Keys.creds() | all], do: {family, id, change(nil)}),
             :ok <- commit(path, gone, nil) do
          # Nothing of it stays in the journal.
          Directory.locked(@backend, path, &Native.store_checkpoint(&1, @format))
        end
      end

      @doc """
      Reads every file and reports all that cannot be read: `{:error, exception}` with a
      `BaileysEx.Auth.DamagedDirectoryError`. The option `:on_progress` is a function that is given
      `%{done: files, total: files}` after each step; with `credentials: :optional` keys without
      credentials are no error.
      """
      @spec verify(Path.t(), [Verification.option()]) ::
              {:ok, Verification.report()} | {:error, term()}
      def verify(path, opts \\ []), do: Verification.run(@backend, path, opts)
    end
  end

  defp ownership do
    quote do
      @doc """
      Claims the directory for this VM, durably, and makes it where it is missing: from now on every
      write of this VM there is refused with a `BaileysEx.Auth.NotOwnerError` once somebody else has
      claimed it. `BaileysEx.Auth.KeyStore` does this when it starts.
      """
      @impl true
      @spec claim(Path.t(), Owner.t()) :: :ok | {:error, term()}
      def claim(path, owner), do: Directory.claim(@backend, path, owner)

      @doc "Gives a claim back, if it still stands. `BaileysEx.Auth.KeyStore` does this when it stops."
      @impl true
      @spec release(Path.t(), Owner.t()) :: :ok | {:error, term()}
      def release(path, owner), do: Directory.release(@backend, path, owner)

      @doc "Who has claimed the directory: a `BaileysEx.Auth.Owner`, or `nil`. Only reads."
      @impl true
      @spec owner(Path.t()) :: {:ok, Owner.t() | nil} | {:error, term()}
      def owner(path), do: Directory.owner(@backend, path)
    end
  end

  # Asked by the key store only.
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
