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
    * `claim`, `release`, `owner`, `place`, `changes_seen`, `in_transaction?` and `commit_keys_unless_changed` are for
      backends that keep to one owner at a time; a backend without `claim` has no owners
    * `recover` is for backends where a crash can leave a commit half done on the disk, to be
      completed later.

  A type is a family of keys as Baileys names it, such as `:session` or `:"pre-key"`; an id is
  anything that `to_string/1` takes, such as `"15559990002.0"` or `1`.
  """

  alias BaileysEx.Auth.{Owner, State}

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

  @typedoc """
  What the built-in backends take when they load credentials: with `must_exist: true` there is no fresh
  identity for an account whose credentials are not there.
  """
  @type load_option() :: {:must_exist, boolean()}

  @typedoc "Changes by type and id; `nil` deletes."
  @type changes() :: %{
          optional(atom() | String.t()) => %{optional(term()) => term() | nil}
        }

  @typedoc "Ids by type. A type is a string where the VM has no atom of that name."
  @type key_list() :: %{optional(atom() | String.t()) => [String.t()]}

  @doc "The credentials of the context-free backend, see `c:load_credentials/1`."
  @callback load_credentials() :: {:ok, State.t()} | {:error, term()}

  @doc """
  The saved credentials, or a fresh `State.new()`, which is not written, where nothing was ever saved. What
  is there and cannot be read is an error, never a fresh identity.
  """
  @callback load_credentials(context :: term()) :: {:ok, State.t()} | {:error, term()}

  @doc "Saves the credentials of the context-free backend, see `c:save_credentials/2`."
  @callback save_credentials(State.t()) :: :ok | {:error, term()}

  @doc "Saves the credentials, whole or not at all; `:ok` promises that they survive a crash."
  @callback save_credentials(context :: term(), State.t()) :: :ok | {:error, term()}

  @doc "One key of the context-free backend, see `c:load_keys/3`."
  @callback load_keys(type :: atom(), id :: term()) :: {:ok, term()} | {:error, term()}

  @doc """
  One key, equal to the term that was saved. `type` is a family as Baileys names it (`:session`,
  `:"pre-key"`); an id is used as `to_string/1` gives it, so that `7` and `"7"` are one key.

  `{:error, :not_found}` only where it was never saved or was deleted: for a session, the store takes that as
  leave to make a new one. What cannot be read is another error.
  """
  @callback load_keys(context :: term(), type :: atom(), id :: term()) ::
              {:ok, term()} | {:error, term()}

  @doc "Several keys of the context-free backend, see `c:load_many/3`."
  @callback load_many(type :: atom(), ids :: [String.t()]) ::
              {:ok, %{optional(String.t()) => term()}} | {:error, term()}

  @doc """
  Several keys of one type at once, by id, without those that are not there: for backends where each
  call is a round trip. The store calls it with the ids that it does not remember; a backend without it
  is asked key by key.
  """
  @callback load_many(context :: term(), type :: atom(), ids :: [String.t()]) ::
              {:ok, %{optional(String.t()) => term()}} | {:error, term()}

  @doc "Saves one key of the context-free backend, see `c:save_keys/4`."
  @callback save_keys(type :: atom(), id :: term(), data :: term()) :: :ok | {:error, term()}

  @doc """
  Saves one key, whole or not at all; `nil` deletes it. `:ok` promises that it survives a crash. After an
  error it has the old value or the new one.
  """
  @callback save_keys(context :: term(), type :: atom(), id :: term(), data :: term()) ::
              :ok | {:error, term()}

  @doc "Deletes one key of the context-free backend, see `c:delete_keys/3`."
  @callback delete_keys(type :: atom(), id :: term()) :: :ok | {:error, term()}

  @doc "Deletes one key; `:ok` too where it is not there."
  @callback delete_keys(context :: term(), type :: atom(), id :: term()) ::
              :ok | {:error, term()}

  @doc "The keys of the context-free backend, see `c:list_keys/1`."
  @callback list_keys() :: {:ok, key_list()} | {:error, term()}

  @doc """
  The ids of every key that is saved, by type, as strings: `%{session: ["15550000001.0"], "pre-key": ["7"]}`.
  The credentials are no key.
  """
  @callback list_keys(context :: term()) :: {:ok, key_list()} | {:error, term()}

  @doc "Changes several keys of the context-free backend, see `c:commit_keys/2`."
  @callback commit_keys(changes()) :: :ok | {:error, term()}

  @doc """
  Saves and deletes (`nil`) several keys, all or none of them, whatever happens in between:
  `%{session: %{"15550000001.0" => record}, "pre-key": %{"7" => nil}}`. A backend without this callback is
  given the keys one by one, which a crash can tear apart.
  """
  @callback commit_keys(context :: term(), changes()) :: :ok | {:error, term()}

  @doc "Settles the context-free backend, see `c:recover/1`."
  @callback recover() :: :ok | {:error, term()}

  @doc """
  Settles what an interrupted commit left behind, whoever made it. `BaileysEx.Auth.KeyStore` calls it
  when it starts, before it reads anything.
  """
  @callback recover(context :: term()) :: :ok | {:error, term()}

  @doc "Ends the account of the context-free backend, see `c:delete_auth_state/1`."
  @callback delete_auth_state() :: :ok | {:error, term()}

  @doc """
  Deletes credentials and keys, durably, all or none of them, under a claim where the backend has claims:
  for an account that has been logged out. Nothing to delete is `:ok`.
  """
  @callback delete_auth_state(context :: term()) :: :ok | {:error, term()}

  @doc "Claims what the context-free backend keeps, see `c:claim/2`."
  @callback claim(Owner.t()) :: :ok | {:error, term()}

  @doc """
  Writes down, durably, that `owner` has what is kept under this context, with a counter that is one
  more than that of the claim before. The newest claim wins.

  From then on every write of this VM with this context, `save_credentials` too, checks that the claim
  stands, as atomically as the write itself, and where it does not, writes nothing and answers
  `{:error, %BaileysEx.Auth.NotOwnerError{}}`. Whoever has never claimed writes freely.
  """
  @callback claim(context :: term(), Owner.t()) :: :ok | {:error, term()}

  @doc "Gives the claim of the context-free backend back, see `c:release/2`."
  @callback release(Owner.t()) :: :ok | {:error, term()}

  @doc "Gives a claim back. One that does not stand any more is left, and stays lost: `:ok` too."
  @callback release(context :: term(), Owner.t()) :: :ok | {:error, term()}

  @doc "The owner of the context-free backend, see `c:owner/1`."
  @callback owner() :: {:ok, Owner.t() | nil} | {:error, term()}

  @doc "Who has claimed what is kept under this context. Only reads."
  @callback owner(context :: term()) :: {:ok, Owner.t() | nil} | {:error, term()}

  @doc "What tells the context-free backend's place from others, see `c:place/1`."
  @callback place() :: term() | nil

  @doc """
  A term that is the same for every context that leads to the same place, such as the paths of one
  directory, and for no other; `nil` where nothing is there yet. Two stores of one VM cannot have one
  place. Without this callback it is the context itself.
  """
  @callback place(context :: term()) :: term() | nil

  @doc "What people call the place of the context-free backend, see `c:place_name/1`."
  @callback place_name() :: String.t()

  @doc """
  What people call the place, for errors: a path, the name of an account. It holds nothing secret of the
  context. Without this callback errors do not say which place they are about.
  """
  @callback place_name(context :: term()) :: String.t()

  @doc "As `c:changes_seen/1`, of the context-free backend."
  @callback changes_seen() :: {:ok, non_neg_integer()} | {:error, term()}

  @doc """
  A number that has grown whenever somebody else than the store, in this VM or elsewhere, was seen to
  have changed keys: what the store remembers may be out of date. It is asked at the start of each
  transaction, so it must cost little. `{:error, %BaileysEx.Auth.NotOwnerError{}}` where the claim of
  this VM does not stand any more.
  """
  @callback changes_seen(context :: term()) :: {:ok, non_neg_integer()} | {:error, term()}

  @doc "As `c:commit_keys_unless_changed/3`, of the context-free backend."
  @callback commit_keys_unless_changed(changes(), seen :: non_neg_integer() | nil) ::
              :ok | {:error, term()}

  @doc """
  As `c:commit_keys/2`, by the store, whose own changes `c:changes_seen/1` does not count. With a
  number only if that would still give it: otherwise nothing is written, and the answer is
  `{:error, {:changed_meanwhile, module, place}}`.
  """
  @callback commit_keys_unless_changed(
              context :: term(),
              changes(),
              seen :: non_neg_integer() | nil
            ) :: :ok | {:error, term()}

  @doc "As `c:in_transaction?/1`, of the context-free backend."
  @callback in_transaction?() :: boolean()

  @doc """
  Whether the calling process has opened a transaction that these callbacks would take part in. A store
  then calls them from another process: what is not committed it must not remember.
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
