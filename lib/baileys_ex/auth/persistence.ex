defmodule BaileysEx.Auth.Persistence do
  @moduledoc """
  The behaviour of a persistence backend, which keeps credentials and Signal keys.

  Three backends come with the library:

    * `BaileysEx.Auth.NativeFilePersistence`, ETF files with crash-safe commits, recommended
    * `BaileysEx.Auth.FilePersistence`, the JSON directory of Baileys (`useMultiFileAuthState`)
    * `BaileysEx.Auth.PostgresPersistence`, rows in PostgreSQL

  A custom backend implements the callbacks without a context, those with a context, or both. The context is
  the value of `:persistence_context`, such as the path of a directory. If a context is given,
  `BaileysEx.Auth.KeyStore` prefers the callbacks that take one.

  ## Results

    * `load_credentials` returns a fresh `BaileysEx.Auth.State` if nothing has been saved yet. If credentials
      were saved and cannot be read, it returns an error, never a fresh identity.
    * `load_keys` returns `{:error, :not_found}` for a key that was never saved or was deleted.
    * Deleting a key that does not exist returns `:ok`.
    * `commit_keys` saves and deletes (`nil`) several keys, all or none of them. A backend that cannot promise
      this leaves the callback out.
    * `claim`, `release`, `owner`, `place`, `changes_seen`, `in_transaction?` and `commit_keys_unless_changed`
      are for backends that enforce one owner at a time. A backend without `claim` has no owners.
    * `recover` is for backends in which a crash can leave a half-done commit that must be completed later.

  A type is a family of keys as Baileys names it, such as `:session` or `:"pre-key"`. An id is anything that
  `to_string/1` accepts, such as `"15559990002.0"` or `1`.
  """

  alias BaileysEx.Auth.{Owner, State}

  @typedoc """
  What the auth-state loaders of the built-in backends return.

    * `:state` is the loaded state
    * `:connect_opts` are connection options, to be merged with yours
    * `:save_creds` saves the latest credentials: a `State`, a map of its fields, or a map that holds either
      of these under `:creds`
  """
  @type auth_state_helper() :: %{
          state: State.t(),
          connect_opts: keyword(),
          save_creds: (State.t() | map() -> :ok | {:error, term()})
        }

  @typedoc """
  An option of the built-in backends for loading credentials. With `must_exist: true` an account without
  credentials is an error instead of a fresh identity.
  """
  @type load_option() :: {:must_exist, boolean()}

  @typedoc "Changes by type and id; `nil` deletes."
  @type changes() :: %{
          optional(atom() | String.t()) => %{optional(term()) => term() | nil}
        }

  @typedoc "Ids by type. A type is a string if the VM has no atom of that name."
  @type key_list() :: %{optional(atom() | String.t()) => [String.t()]}

  @doc "The credentials of the context-free backend, see `c:load_credentials/1`."
  @callback load_credentials() :: {:ok, State.t()} | {:error, term()}

  @doc """
  Loads the saved credentials. If none were ever saved, it returns a fresh `State.new()` and writes nothing.
  Credentials that exist and cannot be read are an error, never a fresh identity.
  """
  @callback load_credentials(context :: term()) :: {:ok, State.t()} | {:error, term()}

  @doc "Saves the credentials of the context-free backend, see `c:save_credentials/2`."
  @callback save_credentials(State.t()) :: :ok | {:error, term()}

  @doc "Saves the credentials, whole or not at all; `:ok` promises that they survive a crash."
  @callback save_credentials(context :: term(), State.t()) :: :ok | {:error, term()}

  @doc "One key of the context-free backend, see `c:load_keys/3`."
  @callback load_keys(type :: atom(), id :: term()) :: {:ok, term()} | {:error, term()}

  @doc """
  Loads one key; the result equals the term that was saved. `type` is a family as Baileys names it
  (`:session`, `:"pre-key"`). The id is converted with `to_string/1`, so `7` and `"7"` name the same key.

  Returns `{:error, :not_found}` only for a key that was never saved or was deleted: for a session, this
  result allows a new one to be made. A key that cannot be read must be a different error.
  """
  @callback load_keys(context :: term(), type :: atom(), id :: term()) ::
              {:ok, term()} | {:error, term()}

  @doc "Several keys of the context-free backend, see `c:load_many/3`."
  @callback load_many(type :: atom(), ids :: [String.t()]) ::
              {:ok, %{optional(String.t()) => term()}} | {:error, term()}

  @doc """
  Loads several keys of one type at once. The result maps ids to values and leaves out missing keys. This
  callback is for backends in which each call is a round trip. The store calls it with the ids that it has not
  cached; without this callback it loads one key at a time.
  """
  @callback load_many(context :: term(), type :: atom(), ids :: [String.t()]) ::
              {:ok, %{optional(String.t()) => term()}} | {:error, term()}

  @doc "Saves one key of the context-free backend, see `c:save_keys/4`."
  @callback save_keys(type :: atom(), id :: term(), data :: term()) :: :ok | {:error, term()}

  @doc """
  Saves one key, whole or not at all; `nil` deletes it. `:ok` promises that the key survives a crash. After an
  error it has the old value or the new one.
  """
  @callback save_keys(context :: term(), type :: atom(), id :: term(), data :: term()) ::
              :ok | {:error, term()}

  @doc "Deletes one key of the context-free backend, see `c:delete_keys/3`."
  @callback delete_keys(type :: atom(), id :: term()) :: :ok | {:error, term()}

  @doc "Deletes one key; returns `:ok` even if it does not exist."
  @callback delete_keys(context :: term(), type :: atom(), id :: term()) ::
              :ok | {:error, term()}

  @doc "The keys of the context-free backend, see `c:list_keys/1`."
  @callback list_keys() :: {:ok, key_list()} | {:error, term()}

  @doc """
  Lists the ids of all saved keys by type, as strings. Leaves out the credentials.

      {:ok, %{session: ["15550000001.0"], "pre-key": ["7"]}}
  """
  @callback list_keys(context :: term()) :: {:ok, key_list()} | {:error, term()}

  @doc "Changes several keys of the context-free backend, see `c:commit_keys/2`."
  @callback commit_keys(changes()) :: :ok | {:error, term()}

  @doc """
  Saves and deletes (`nil`) several keys: all or none of them, even after a crash.

      commit_keys(context, %{session: %{"15550000001.0" => record}, "pre-key": %{"7" => nil}})

  A backend without this callback receives the keys one by one, so a crash may leave only some of them saved.
  """
  @callback commit_keys(context :: term(), changes()) :: :ok | {:error, term()}

  @doc "Recovers the context-free backend, see `c:recover/1`."
  @callback recover() :: :ok | {:error, term()}

  @doc """
  Completes or undoes an interrupted commit, including one of another process. `BaileysEx.Auth.KeyStore` calls
  this when it starts, before it reads anything.
  """
  @callback recover(context :: term()) :: :ok | {:error, term()}

  @doc "Deletes the account of the context-free backend, see `c:delete_auth_state/1`."
  @callback delete_auth_state() :: :ok | {:error, term()}

  @doc """
  Deletes the credentials and all keys, durably, all or none of them, for an account that has been logged out.
  If the backend has claims, it claims the account first. Returns `:ok` if there is nothing to delete.
  """
  @callback delete_auth_state(context :: term()) :: :ok | {:error, term()}

  @doc "Claims what the context-free backend keeps, see `c:claim/2`."
  @callback claim(Owner.t()) :: :ok | {:error, term()}

  @doc """
  Records durably that `owner` has claimed this context, with a counter that is one more than that of the
  previous claim. The newest claim wins.

  From then on, every write of this VM to this context, including `save_credentials`, checks that the claim
  still stands. The check and the write are one atomic step. If the claim does not stand, nothing is written
  and the result is `{:error, %BaileysEx.Auth.NotOwnerError{}}`. A VM that has never claimed may write.
  """
  @callback claim(context :: term(), Owner.t()) :: :ok | {:error, term()}

  @doc "Gives up the claim of the context-free backend, see `c:release/2`."
  @callback release(Owner.t()) :: :ok | {:error, term()}

  @doc "Releases a claim. If the claim no longer stands, nothing changes and the result is `:ok`."
  @callback release(context :: term(), Owner.t()) :: :ok | {:error, term()}

  @doc "The owner of the context-free backend, see `c:owner/1`."
  @callback owner() :: {:ok, Owner.t() | nil} | {:error, term()}

  @doc "Returns the owner who has claimed this context. It only reads."
  @callback owner(context :: term()) :: {:ok, Owner.t() | nil} | {:error, term()}

  @doc "Identifies the place of the context-free backend, see `c:place/1`."
  @callback place() :: term() | nil

  @doc """
  A term that identifies the place: equal for all contexts that lead to the same place, such as different
  paths of one directory, and different for any other place. It is `nil` if nothing exists there yet. One VM
  cannot run two stores of the same place. Without this callback, the context identifies the place.
  """
  @callback place(context :: term()) :: term() | nil

  @doc "The name of the place of the context-free backend, see `c:place_name/1`."
  @callback place_name() :: String.t()

  @doc """
  The name of the place in errors: a path, or the name of an account. It must not contain a secret from the
  context. Without this callback, errors do not name the place.
  """
  @callback place_name(context :: term()) :: String.t()

  @doc "As `c:changes_seen/1`, of the context-free backend."
  @callback changes_seen() :: {:ok, non_neg_integer()} | {:error, term()}

  @doc """
  A number that grows whenever somebody other than the store has changed keys, in this VM or elsewhere; the
  store's cache may then be out of date. The store asks for it at the start of each transaction, so it must be
  cheap. It is `{:error, %BaileysEx.Auth.NotOwnerError{}}` if the claim of this VM no longer stands.
  """
  @callback changes_seen(context :: term()) :: {:ok, non_neg_integer()} | {:error, term()}

  @doc "As `c:commit_keys_unless_changed/3`, of the context-free backend."
  @callback commit_keys_unless_changed(changes(), seen :: non_neg_integer() | nil) ::
              :ok | {:error, term()}

  @doc """
  As `c:commit_keys/2`, for commits of the store, which `c:changes_seen/1` does not count. If `seen` is a
  number, the commit is made only if `c:changes_seen/1` would still return that number. Otherwise nothing is
  written, and the result is `{:error, {:changed_meanwhile, module, place}}`.
  """
  @callback commit_keys_unless_changed(
              context :: term(),
              changes(),
              seen :: non_neg_integer() | nil
            ) :: :ok | {:error, term()}

  @doc "As `c:in_transaction?/1`, of the context-free backend."
  @callback in_transaction?() :: boolean()

  @doc """
  Whether the calling process has an open transaction that these callbacks would take part in. If so, the
  store calls them from another process, because it must not cache uncommitted values.
  """
  @callback in_transaction?(context :: term()) :: boolean()

  @optional_callbacks claim: 1,
                      claim: 2,
                      release: 1,
                      release: 2,
                      owner: 0,
                      owner: 1,
                      place: 0,
                      place: 1,
                      place_name: 0,
                      place_name: 1,
                      changes_seen: 0,
                      changes_seen: 1,
                      in_transaction?: 0,
                      in_transaction?: 1,
                      commit_keys_unless_changed: 2,
                      commit_keys_unless_changed: 3,
                      load_credentials: 0,
                      load_credentials: 1,
                      save_credentials: 1,
                      save_credentials: 2,
                      load_keys: 2,
                      load_keys: 3,
                      load_many: 2,
                      load_many: 3,
                      save_keys: 3,
                      save_keys: 4,
                      delete_keys: 2,
                      delete_keys: 3,
                      list_keys: 0,
                      list_keys: 1,
                      commit_keys: 1,
                      commit_keys: 2,
                      recover: 0,
                      recover: 1,
                      delete_auth_state: 0,
                      delete_auth_state: 1
end
