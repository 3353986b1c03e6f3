defmodule BaileysEx.Auth.Directory.Owned do
  @moduledoc false
  # `use BaileysEx.Auth.Directory.Owned, format: :json | :etf`: the callbacks by which a file backend
  # takes part in ownership, with and without a path. The module has `default_path/0` and
  # `commit_keys_by/3`, which `keeper` tells on whose behalf it commits.

  @spec __using__(keyword()) :: Macro.t()
  defmacro __using__(opts) do
    quote do
      @owned {__MODULE__, unquote(opts[:format])}

      @doc "As `claim/2`, for the default directory."
      @impl true
      @spec claim(BaileysEx.Auth.Owner.t()) :: :ok | {:error, term()}
      def claim(owner), do: claim(default_path(), owner)

      @doc """
      Claims the directory for this VM, durably, and makes it where it is missing: from now on every
      write of this VM there is refused with a `BaileysEx.Auth.NotOwnerError` once somebody else has
      claimed it. `BaileysEx.Auth.KeyStore` does this when it starts.
      """
      @impl true
      @spec claim(Path.t(), BaileysEx.Auth.Owner.t()) :: :ok | {:error, term()}
      def claim(path, owner), do: BaileysEx.Auth.Directory.claim(@owned, path, owner)

      @doc "As `release/2`, for the default directory."
      @impl true
      @spec release(BaileysEx.Auth.Owner.t()) :: :ok | {:error, term()}
      def release(owner), do: release(default_path(), owner)

      @doc "Gives a claim back, if it still stands. `BaileysEx.Auth.KeyStore` does this when it stops."
      @impl true
      @spec release(Path.t(), BaileysEx.Auth.Owner.t()) :: :ok | {:error, term()}
      def release(path, owner), do: BaileysEx.Auth.Directory.release(@owned, path, owner)

      @doc "As `owner/1`, of the default directory."
      @impl true
      @spec owner() :: {:ok, BaileysEx.Auth.Owner.t() | nil} | {:error, term()}
      def owner, do: owner(default_path())

      @doc "Who has claimed the directory: a `BaileysEx.Auth.Owner`, or `nil`. Only reads."
      @impl true
      @spec owner(Path.t()) :: {:ok, BaileysEx.Auth.Owner.t() | nil} | {:error, term()}
      def owner(path), do: BaileysEx.Auth.Directory.owner(@owned, path)

      @doc false
      @impl true
      def place, do: place(default_path())

      @doc false
      @impl true
      def place(path), do: BaileysEx.Auth.Directory.place(@owned, path)

      @doc false
      @impl true
      def place_name, do: default_path()

      @doc false
      @impl true
      def place_name(path), do: BaileysEx.Auth.Directory.absolute(path)

      @doc false
      @impl true
      def changes_seen, do: changes_seen(default_path())

      @doc false
      @impl true
      def changes_seen(path), do: BaileysEx.Auth.Directory.changes_seen(@owned, path)

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
