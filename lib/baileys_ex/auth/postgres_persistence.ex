defmodule BaileysEx.Auth.PostgresPersistence do
  @moduledoc """
  Credentials and Signal keys in PostgreSQL: for accounts that several machines run, one machine at a time.

      {:ok, auth} =
        BaileysEx.Auth.PostgresPersistence.use_postgres_auth_state(repo: MyApp.Repo, account: "ada")

      auth.connect_opts

  The tables come from `BaileysEx.Auth.Postgres.Schema`.

  ## Context

  A keyword list, and the `:persistence_context` of a `BaileysEx.Auth.KeyStore`:

    * `:account`, the name of the account, any text that does not begin with U+0001
    * one way to the server: `:repo`, an Ecto repository on PostgreSQL; `:conn`, a Postgrex pool; or
      `:connection`, `{module, handle}` with a `BaileysEx.Auth.Postgres.Connection`. This library depends
      on none of them: it calls what the application has
    * `:prefix`, the name of the schema that holds the tables, `"public"` by default

  Another option raises `ArgumentError`. Calls take part in the transaction that the calling process
  has opened on the repository. A key store never does: what it reads and writes is committed. So do not
  write to an account in a transaction both by these functions and by its store, which would wait for
  the transaction's end.

  In Ecto's sandbox a key store uses the connection of the process that started it, as a task would; see
  [Testing](testing.md#in-postgresql).

  ## Promises

    * A commit is one statement, all of it or none, whatever the number of keys. It may be repeated:
      the second time it changes nothing more.
    * A commit that was acknowledged is as safe as the server makes it: with `synchronous_commit = off`, or
      after a failover to an asynchronous replica, the last commits can be lost.
    * A store claims its account when it starts, and the newest claim wins. Each write checks the
      claim in the same statement: whoever has lost it writes nothing and gets a
      `BaileysEx.Auth.NotOwnerError`.
    * The store of an account notices within half a minute, and at each commit, what plain functions
      have changed there. A commit that was made from older values is refused.
    * Values are in the external term format, as in the native directory, and are read only after the
      same check.

  ## Errors

    * `{:error, :not_found}`: no such key
    * `{:error, %BaileysEx.Auth.DatabaseError{}}`: its `:kind` says what to do
    * `{:error, %BaileysEx.Auth.CorruptRowError{}}`: the row cannot be read, and was left alone
    * `{:error, %BaileysEx.Auth.InvalidTermError{}}`: the term could not be loaded again; nothing was
      written
    * `{:error, %BaileysEx.Auth.InvalidKeyError{}}`: the type or the id is no text, holds a NUL or is too long
    * `{:error, %BaileysEx.Auth.NotOwnerError{}}`: somebody else has claimed the account since
  """

  @behaviour BaileysEx.Auth.Persistence

  alias BaileysEx.Auth.{
    AuthState,
    DamagedAccountError,
    Deletion,
    Keys,
    NativeFilePersistence,
    Options,
    Owner,
    Persistence,
    State,
    Verification
  }

  alias BaileysEx.Auth.PersistenceMigration.{AccountSnapshot, AccountSource, DirectoryTarget}
  alias BaileysEx.Auth.Postgres.{Account, Claim, Key, Schema, Statements, Survey, Value, Writes}
  alias BaileysEx.Auth.Telemetry.Watched

  @typedoc "The options of an account, see the top of this page."
  @type context() :: keyword()

  @doc """
  Loads the credentials, and gives what a connection needs to keep its auth state in the account; see
  `t:BaileysEx.Auth.Persistence.auth_state_helper/0`.

      {:ok, auth} =
        BaileysEx.Auth.PostgresPersistence.use_postgres_auth_state(
          [repo: MyApp.Repo, account: "ada"],
          must_exist: true
        )

      auth.state         # a BaileysEx.Auth.State
      auth.connect_opts  # the store of Signal keys, for the connection
      :ok = auth.save_creds.(auth.state)

  The option `:must_exist` (default `false`) refuses an account without credentials, see
  `load_credentials/2`, which has the same errors.
  """
  @spec use_postgres_auth_state(context(), [Persistence.load_option()]) ::
          {:ok, Persistence.auth_state_helper()} | {:error, term()}
  def use_postgres_auth_state(context, opts \\ []) do
    with {:ok, state} <- load_credentials(context, opts),
         do: {:ok, AuthState.helper(__MODULE__, context, state, &save_credentials(context, &1))}
  end

  @doc """
  Loads the credentials of an account. Where none were saved it gives a fresh `BaileysEx.Auth.State`, and writes
  nothing.

      context = [repo: MyApp.Repo, account: "ada"]
      {:ok, state} = BaileysEx.Auth.PostgresPersistence.load_credentials(context)

  A row that cannot be read is `{:error, %BaileysEx.Auth.CorruptRowError{}}`, never a fresh identity; a missing
  table, or a server that does not answer, is `{:error, %BaileysEx.Auth.DatabaseError{}}`.
  """
  @impl true
  @spec load_credentials(context()) :: {:ok, State.t()} | {:error, term()}
  def load_credentials(context), do: load_credentials(context, [])

  @doc """
  As `load_credentials/1`, with an option: with `must_exist: true` an account without credentials is
  `{:error, {:no_credentials, account}}`. Use it for an account that is known to be paired: a misspelt name then
  never leads to a fresh identity.

      context = [repo: MyApp.Repo, account: "adda"]
      BaileysEx.Auth.PostgresPersistence.load_credentials(context, must_exist: true)
      #=> {:error, {:no_credentials, "adda"}}
  """
  @spec load_credentials(context(), [Persistence.load_option()]) ::
          {:ok, State.t()} | {:error, term()}
  def load_credentials(context, opts) do
    must_exist? = Options.must_exist?(opts)
    account = Account.new!(context)

    Watched.load(__MODULE__, fn -> Account.place(account) end, "creds", fn ->
      case Claim.read(account, Statements.creds(account.prefix), [account.name]) do
        {:ok, [[bytes]]} when is_binary(bytes) -> Value.credentials(account, bytes)
        {:ok, _none} -> AuthState.fresh(account.name, must_exist?)
        error -> error
      end
    end)
  end

  @doc """
  Saves the credentials, a `BaileysEx.Auth.State`.

      {:ok, state} = BaileysEx.Auth.PostgresPersistence.load_credentials(context)
      :ok = BaileysEx.Auth.PostgresPersistence.save_credentials(context, state)

  A state that lacks what an identity needs is `{:error, %BaileysEx.Auth.InvalidTermError{}}`, which names the
  member, and nothing is written. The other errors are listed in the module's documentation.
  """
  @impl true
  @spec save_credentials(context(), State.t()) :: :ok | {:error, term()}
  def save_credentials(context, %State{} = state) do
    account = Account.new!(context)

    with {:ok, bytes} <- Writes.encode_credentials(state) do
      watched_commit(account, [{"creds", nil, bytes}], fn ->
        Writes.credentials(account, bytes)
      end)
    end
  end

  def save_credentials(_context, _other), do: AuthState.no_state()

  @doc """
  Loads the value of one key, as it was saved. `type` is a family as Baileys names it, `id` anything that
  `to_string/1` takes; `BaileysEx.Signal.Store` says what the values look like.

      BaileysEx.Auth.PostgresPersistence.load_keys(context, :"device-list", "15550000000")
      #=> {:ok, ["0", "3"]}

  A key that was never saved, or was deleted, is `{:error, :not_found}`; a value that this library did not
  write is `{:error, %BaileysEx.Auth.CorruptRowError{}}`; a query that fails is
  `{:error, %BaileysEx.Auth.DatabaseError{}}`.
  """
  @impl true
  @spec load_keys(context(), atom(), term()) :: {:ok, term()} | {:error, term()}
  def load_keys(context, type, id) do
    {_type, name} = Keys.key(type, id)

    with {:ok, found} <- load_many(context, type, [name]) do
      case found do
        %{^name => value} -> {:ok, value}
        _none -> {:error, :not_found}
      end
    end
  end

  @doc """
  Loads several keys of one type by one statement. The result has their values by id, without those that are
  not there.

      BaileysEx.Auth.PostgresPersistence.load_many(context, :"device-list", ["1555", "1556"])
      #=> {:ok, %{"1555" => ["0", "3"]}}

  Errors are those of `load_keys/3`, but for `:not_found`.
  """
  @impl true
  @spec load_many(context(), atom(), [term()]) ::
          {:ok, %{optional(String.t()) => term()}} | {:error, term()}
  def load_many(context, type, ids) do
    account = Account.new!(context)
    keys = Enum.map(ids, &Keys.key(type, &1))
    params = [account.name, to_string(type), Enum.map(keys, &elem(&1, 1))]

    with :ok <- Key.check(keys) do
      Watched.load(__MODULE__, fn -> Account.place(account) end, to_string(type), fn ->
        with {:ok, rows} <- Claim.read(account, Statements.values(account.prefix), params),
             do: Value.all(account, to_string(type), rows)
      end)
    end
  end

  @doc """
  Saves the value of one key; `nil` deletes it. The value is any plain term: a function, pid or reference in
  it is `{:error, %BaileysEx.Auth.InvalidTermError{}}`, and nothing is written. The other errors are listed in the
  module's documentation.

      :ok = BaileysEx.Auth.PostgresPersistence.save_keys(context, :"device-list", "1555", ["0", "3"])
  """
  @impl true
  @spec save_keys(context(), atom(), term(), term()) :: :ok | {:error, term()}
  def save_keys(context, type, id, data), do: commit_keys(context, %{type => %{id => data}})

  @doc """
  Deletes one key. It is `:ok` too where the key is not there; the errors are listed in the module's
  documentation.

      :ok = BaileysEx.Auth.PostgresPersistence.delete_keys(context, :session, "15550000000.0")
  """
  @impl true
  @spec delete_keys(context(), atom(), term()) :: :ok | {:error, term()}
  def delete_keys(context, type, id), do: commit_keys(context, %{type => %{id => nil}})

  @doc """
  Saves several keys, by type and id, and deletes those whose value is `nil`, by one statement: all of it, or
  after an error none of it.

      :ok =
        BaileysEx.Auth.PostgresPersistence.commit_keys(context, %{
          session: %{"15550000001.0" => record},
          "pre-key": %{"7" => nil}
        })

  Where this VM had claimed the account and lost it, it is `{:error, %BaileysEx.Auth.NotOwnerError{}}`. The other
  errors are listed in the module's documentation.
  """
  @impl true
  @spec commit_keys(context(), Persistence.changes()) :: :ok | {:error, term()}
  def commit_keys(context, changes), do: commit(context, changes, :counted)

  @doc false
  @impl true
  @spec commit_keys_unless_changed(context(), Persistence.changes(), non_neg_integer() | nil) ::
          :ok | {:error, term()}
  def commit_keys_unless_changed(context, changes, seen),
    do: commit(context, changes, {:store, seen})

  defp commit(context, changes, by) do
    account = Account.new!(context)

    with {:ok, [_ | _] = changes} <- Writes.encode(changes) do
      watched_commit(account, changes, fn -> write(account, changes, by) end)
    else
      {:ok, []} -> :ok
      error -> error
    end
  end

  defp write(account, changes, by) do
    with {:error, :changed_meanwhile} <- Writes.keys(account, changes, by),
         do: {:error, {:changed_meanwhile, __MODULE__, Account.place(account)}}
  end

  @doc """
  Lists the ids of every key by type, as strings. Values are not read.

      BaileysEx.Auth.PostgresPersistence.list_keys(context)
      #=> {:ok, %{session: ["15550000001.0"], "pre-key": ["1", "2"]}}

  A query that fails is `{:error, %BaileysEx.Auth.DatabaseError{}}`.
  """
  @impl true
  @spec list_keys(context()) :: {:ok, Persistence.key_list()} | {:error, term()}
  def list_keys(context) do
    account = Account.new!(context)

    with {:ok, rows} <- Claim.read(account, Statements.keys(account.prefix), [account.name]) do
      {:ok, Enum.group_by(rows, fn [type, _id] -> Keys.type(type) end, fn [_type, id] -> id end)}
    end
  end

  @doc """
  Checks that the tables are there and have this library's version; otherwise it is
  `{:error, %BaileysEx.Auth.DatabaseError{}}`. There is nothing to recover: the server does that.

      :ok = BaileysEx.Auth.PostgresPersistence.recover(context)
  """
  @impl true
  @spec recover(context()) :: :ok | {:error, term()}
  def recover(context), do: context |> Account.new!() |> Schema.check()

  @doc """
  Claims the account for this VM; it waits for a commit that is running. Once somebody else has claimed it
  after that, every write of this VM there is refused with a `BaileysEx.Auth.NotOwnerError`.
  `BaileysEx.Auth.KeyStore` claims its account when it starts.

      :ok = BaileysEx.Auth.PostgresPersistence.claim(context, BaileysEx.Auth.Owner.new())

  A query that fails is `{:error, %BaileysEx.Auth.DatabaseError{}}`.
  """
  @impl true
  @spec claim(context(), Owner.t()) :: :ok | {:error, term()}
  def claim(context, %Owner{id: id} = owner) do
    account = Account.new!(context)
    with {:ok, changes} <- Claim.take(account, owner), do: Claim.remember(account, id, changes)
  end

  @doc """
  Gives a claim up, if it still stands. A claim that somebody else's has replaced is `:ok` too, and nothing
  changes.

      :ok = BaileysEx.Auth.PostgresPersistence.release(context, owner)

  A query that fails is `{:error, %BaileysEx.Auth.DatabaseError{}}`.
  """
  @impl true
  @spec release(context(), Owner.t()) :: :ok | {:error, term()}
  def release(context, %Owner{id: id}) do
    account = Account.new!(context)

    with {:ok, stood?} <- Claim.give_back(account, id) do
      if stood?, do: Claim.forget(account, id), else: :ok
    end
  end

  @doc """
  Tells who has claimed the account: a `BaileysEx.Auth.Owner`, or `nil` where nobody has. It only reads.

      {:ok, owner} = BaileysEx.Auth.PostgresPersistence.owner(context)
      owner && to_string(owner)
      #=> "my_app@web-2 (process 4711 on web-2) since 2026-11-27 02:11:03Z"

  A query that fails is `{:error, %BaileysEx.Auth.DatabaseError{}}`.
  """
  @impl true
  @spec owner(context()) :: {:ok, Owner.t() | nil} | {:error, term()}
  def owner(context), do: context |> Account.new!() |> Claim.owner()

  @doc false
  @impl true
  def place(context), do: context |> Account.new!() |> Claim.place()

  @doc false
  @impl true
  def place_name(context), do: context |> Account.new!() |> Account.place()

  @doc false
  @impl true
  @spec changes_seen(context()) :: {:ok, non_neg_integer()} | {:error, term()}
  def changes_seen(context), do: context |> Account.new!() |> Claim.changes_seen()

  @doc false
  @impl true
  def in_transaction?(context), do: context |> Account.new!() |> Account.in_transaction?()

  @doc """
  Deletes the credentials and every key by one statement: for an account that has been logged out. There is no
  way back: make a copy with `snapshot/2` before.

      :ok = BaileysEx.Auth.PostgresPersistence.delete_auth_state(context)

  It claims the account first, so a store that uses it, on whatever machine, can write no more. It is `:ok`
  where there is nothing to delete; a query that fails is `{:error, %BaileysEx.Auth.DatabaseError{}}`.
  """
  @impl true
  @spec delete_auth_state(context()) :: :ok | {:error, term()}
  def delete_auth_state(context) do
    account = Account.new!(context)

    Deletion.run(__MODULE__, context, fn -> Writes.delete(account) end)
  end

  @doc """
  Deletes every key of the account by one statement. The credentials stay.

      :ok = BaileysEx.Auth.PostgresPersistence.clear(context)

  Errors are those of `commit_keys/2`.
  """
  @spec clear(context()) :: :ok | {:error, term()}
  def clear(context) do
    with {:ok, keys} <- list_keys(context) do
      commit_keys(context, Map.new(keys, fn {type, ids} -> {type, Map.new(ids, &{&1, nil})} end))
    end
  end

  @doc """
  Reads every row, and changes nothing. See `t:BaileysEx.Auth.Verification.report/0` for what it returns.

      {:ok, report} = BaileysEx.Auth.PostgresPersistence.verify(context)
      report.families
      #=> %{session: 12, "pre-key": 812}

  Options:

    * `:credentials`: `:required` (default) or `:optional`, for an account that holds keys only
    * `:on_progress`: a function that is given `%{done: keys, total: keys}` after each batch

  Errors:

    * `{:error, %BaileysEx.Auth.DamagedAccountError{}}` names every row that cannot be read
    * `{:error, {:no_credentials, place}}`: there are keys and no credentials, which `:credentials` requires
    * `{:error, %BaileysEx.Auth.DatabaseError{}}`: a query failed
  """
  @spec verify(context(), [Verification.option()]) ::
          {:ok, Verification.report()} | {:error, DamagedAccountError.t() | Exception.t()}
  def verify(context, opts \\ []) do
    Options.check!(opts, [:credentials, :on_progress])
    required? = Options.one_of!(opts, :credentials, [:required, :optional]) == :required
    on_progress = Keyword.get(opts, :on_progress, fn _progress -> :ok end)
    account = Account.new!(context)

    case Survey.verify(account, on_progress) do
      {:ok, %{credentials?: false, families: keys}} when required? and keys != %{} ->
        {:error, {:no_credentials, Account.place(account)}}

      report ->
        report
    end
  end

  @doc """
  Copies the account, which may be in use, to a native directory, which must not exist or be empty. The copy
  is the account's state at one moment.

  An account of more than 10,000 keys or 4 MiB is read in pages, and again from the beginning where a store has
  written meanwhile; after five times it is `{:error, {:source_changed, account, []}}`: stop the store.

      :ok = BaileysEx.Auth.PostgresPersistence.snapshot(context, "/backup/ada")

  Errors are those of `BaileysEx.Auth.PersistenceMigration.migrate/3`, such as
  `{:error, {:target_not_empty, path}}`, and `{:error, %BaileysEx.Auth.DatabaseError{}}` for a query that fails.
  """
  @spec snapshot(context(), Path.t()) :: :ok | {:error, term()}
  def snapshot(context, target) do
    AccountSnapshot.take(
      %AccountSource{backend: __MODULE__, account: Account.new!(context)},
      %DirectoryTarget{
        backend: NativeFilePersistence,
        format: :etf,
        path: Path.expand(target)
      }
    )
  end

  defp watched_commit(account, changes, commit),
    do: Watched.commit(__MODULE__, fn -> Account.place(account) end, changes, commit)
end
