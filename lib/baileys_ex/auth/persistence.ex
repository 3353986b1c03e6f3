defmodule BaileysEx.Auth.Persistence do
  @moduledoc """
  The behaviour of a persistence backend: where credentials and Signal keys are kept.

  Two backends come with the library:

    * `BaileysEx.Auth.NativeFilePersistence`, ETF files with crash-safe commits, recommended
    * `BaileysEx.Auth.FilePersistence`, the JSON directory of Baileys (`useMultiFileAuthState`)

  A custom backend implements the context-free callbacks, the context-aware ones (which take
  whatever was given as `:persistence_context`, a path for the built-in backends), or both.
  `BaileysEx.Auth.KeyStore` calls the widest arity that is exported when a context is given.

  ## Results

    * `load_credentials` gives a fresh `BaileysEx.Auth.State` when nothing was saved yet, and an
      error, never a fresh identity, when something was and it cannot be read.
    * `load_keys` gives `{:error, :not_found}` for a key that was never saved or was deleted.
    * Deleting a key that is not there is `:ok`.
    * `commit_keys` saves and deletes (`nil`) several keys, all or none of them. A backend that
      cannot promise this leaves the callback out.
    * `recover` is for backends where a crash can leave a commit half done on the disk, to be
      completed later.

  A type is a family of keys as Baileys names it, such as `:session` or `:"pre-key"`; an id is
  anything that `to_string/1` takes, such as `"15559990002.0"` or `1`.
  """

  alias BaileysEx.Auth.State

  @typedoc """
  What the auth-state loaders of the built-in backends return.

    * `:state` is the loaded state
    * `:connect_opts` is ready to merge into the options of a connection
    * `:save_creds` persists the latest credentials: a `State`, a map of its fields, or a map
      that holds either under `:creds`
  """
  @type auth_state_helper() :: %{
          state: State.t(),
          connect_opts: keyword(),
          save_creds: (State.t() | map() -> :ok | {:error, term()})
        }

  @typedoc "Changes by type and id; `nil` deletes."
  @type changes() :: %{
          optional(atom() | String.t()) => %{optional(term()) => term() | nil}
        }

  @typedoc "Ids by type. A type is a string where the VM has no atom of that name."
  @type key_list() :: %{optional(atom() | String.t()) => [String.t()]}

  @callback load_credentials() :: {:ok, State.t()} | {:error, term()}
  @callback load_credentials(context :: term()) :: {:ok, State.t()} | {:error, term()}

  @callback save_credentials(State.t()) :: :ok | {:error, term()}
  @callback save_credentials(context :: term(), State.t()) :: :ok | {:error, term()}

  @callback load_keys(type :: atom(), id :: term()) :: {:ok, term()} | {:error, term()}
  @callback load_keys(context :: term(), type :: atom(), id :: term()) ::
              {:ok, term()} | {:error, term()}

  @callback save_keys(type :: atom(), id :: term(), data :: term()) :: :ok | {:error, term()}
  @callback save_keys(context :: term(), type :: atom(), id :: term(), data :: term()) ::
              :ok | {:error, term()}

  @callback delete_keys(type :: atom(), id :: term()) :: :ok | {:error, term()}
  @callback delete_keys(context :: term(), type :: atom(), id :: term()) ::
              :ok | {:error, term()}

  @doc "Every key that is saved, by type."
  @callback list_keys() :: {:ok, key_list()} | {:error, term()}
  @callback list_keys(context :: term()) :: {:ok, key_list()} | {:error, term()}

  @doc "Saves and deletes several keys, all or none of them."
  @callback commit_keys(changes()) :: :ok | {:error, term()}
  @callback commit_keys(context :: term(), changes()) :: :ok | {:error, term()}

  @doc """
  Settles what an interrupted commit left behind, whoever made it. `BaileysEx.Auth.KeyStore` calls it
  when it starts, before it reads anything.
  """
  @callback recover() :: :ok | {:error, term()}
  @callback recover(context :: term()) :: :ok | {:error, term()}

  @optional_callbacks load_credentials: 0,
                      load_credentials: 1,
                      save_credentials: 1,
                      save_credentials: 2,
                      load_keys: 2,
                      load_keys: 3,
                      save_keys: 3,
                      save_keys: 4,
                      delete_keys: 2,
                      delete_keys: 3,
                      list_keys: 0,
                      list_keys: 1,
                      commit_keys: 1,
                      commit_keys: 2,
                      recover: 0,
                      recover: 1
end
