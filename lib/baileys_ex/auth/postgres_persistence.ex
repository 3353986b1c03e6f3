defmodule BaileysEx.Auth.PostgresPersistence do
  @moduledoc """
  Keeps credentials and Signal keys in PostgreSQL, for accounts that several machines run, one machine at a
  time.

      {:ok, auth} =
        BaileysEx.Auth.PostgresPersistence.use_postgres_auth_state(repo: MyApp.Repo, account: "ada")

      auth.connect_opts

  `BaileysEx.Auth.Postgres.Schema` creates the tables.

  ## Context

  A keyword list, also used as the `:persistence_context` of a `BaileysEx.Auth.KeyStore`:

    * `:account`, the name of the account: any text that does not begin with U+0001
    * one way to reach the server: `:repo`, an Ecto repository on PostgreSQL; `:conn`, a Postgrex pool; or
      `:connection`, `{module, handle}` with a `BaileysEx.Auth.Postgres.Connection`. This library depends on
      none of them: it calls the one that the application brings
    * `:prefix`, the name of the schema that holds the tables, `"public"` by default

  Any other option raises `ArgumentError`. Calls take part in a transaction that the calling process has
  opened on the repository. A key store never does, because it reads and writes only committed data. So inside
  a transaction, do not write to an account both through these functions and through its store: the store
  would wait for the end of the transaction.

  In Ecto's sandbox a key store uses the connection of the process that started it, as a task would; see
  [Testing](testing.md#in-postgresql).

  ## Promises

    * A commit is one statement, all or nothing, for any number of keys. It can be repeated without harm: the
      second time changes nothing more.
    * An acknowledged commit is as safe as the server makes it. With `synchronous_commit = off`, or after a
      failover to an asynchronous replica, the last commits can be lost.
    * A store claims its account when it starts, and the newest claim wins. Each write checks the claim in the
      same statement. A store that has lost its claim writes nothing and gets a
      `BaileysEx.Auth.NotOwnerError`.
    * A store notices changes that plain functions make to its account within half a minute, and at each
      commit. A commit that was based on older values is refused.
    * Values are in the external term format, as in the native directory, and pass the same check before they
      are decoded.

  ## Errors

    * `{:error, :not_found}`: no such key
    * `{:error, %BaileysEx.Auth.DatabaseError{}}`: its `:kind` says what to do
    * `{:error, %BaileysEx.Auth.CorruptRowError{}}`: the row cannot be read, and is left untouched
    * `{:error, %BaileysEx.Auth.InvalidTermError{}}`: the term could not be loaded again; nothing was written
    * `{:error, %BaileysEx.Auth.InvalidKeyError{}}`: the type or the id is not text, contains a NUL or is too
      long
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
  Loads the credentials, and returns them with what a connection needs to keep its auth state in the account;
  see `t:BaileysEx.Auth.Persistence.auth_state_helper/0`.

      {:ok, auth} =
        BaileysEx.Auth.PostgresPersistence.use_postgres_auth_state(
          [repo: MyApp.Repo, account: "ada"],
          must_exist: true
        )

      auth.state         # a BaileysEx.Auth.State
      auth.connect_opts  # the store of Signal keys, for the connection
      :ok = auth.save_creds.(auth.state)

  The option `:must_exist` (default `false`) refuses an account without credentials. The errors are those of
  `load_credentials/2`.
  """
  @spec use_postgres_auth_state(context(), [Persistence.load_option()]) ::
          {:ok, Persistence.auth_state_helper()} | {:error, term()}
  def use_postgres_auth_state(context, opts \\ []) do
    with {:ok, state} <- load_credentials(context, opts),
         do: {:ok, AuthState.helper(__MODULE__, context, state, &save_credentials(context, &1))}
  end

  @doc """
  Loads the credentials of an account. If none were saved, it returns a fresh `BaileysEx.Auth.State` and
  writes nothing.

      context = [repo: MyApp.Repo, account: "ada"]
      {:ok, state} = BaileysEx.Auth.PostgresPersistence.load_credentials(context)

  A row that cannot be read is `{:error, %BaileysEx.Auth.CorruptRowError{}}`, never a fresh identity. A
  missing table, or a server that does not answer, is `{:error, %BaileysEx.Auth.DatabaseError{}}`.
  """
  @impl true
  @spec load_credentials(context()) :: {:ok, State.t()} | {:error, term()}
  def load_credentials(context), do: load_credentials(context, [])

  @doc """
  As `load_credentials/1`, with an option: with `must_exist: true` an account without credentials is
  `{:error, {:no_credentials, account}}`. Use it for an account that is known to be paired. A misspelt name
  then never leads to a fresh identity.

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
        {:ok, none} when none in [[], [[nil]]] -> AuthState.fresh(account.name, must_exist?)
        {:ok, _odd} -> Account.bad_answer(account)
        error -> error
      end
    end)
  end

  @doc """
  Saves the credentials, a `BaileysEx.Auth.State`.

      {:ok, state} = BaileysEx.Auth.PostgresPersistence.load_credentials(context)
      :ok = BaileysEx.Auth.PostgresPersistence.save_credentials(context, state)

  If the state lacks a part of the identity, nothing is written and the result is
  `{:error, %BaileysEx.Auth.InvalidTermError{}}`, which names the member. The other errors are listed in the
  module's documentation.
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
  Loads the value of one key, as it was saved. `type` is a family as Baileys names it, and `id` anything that
  `to_string/1` accepts. `BaileysEx.Signal.Store` describes the values.

      BaileysEx.Auth.PostgresPersistence.load_keys(context, :"device-list", "15550000000")
      #=> {:ok, ["0", "3"]}

  A key that was never saved or was deleted is `{:error, :not_found}`. A value that this library did not write
  is `{:error, %BaileysEx.Auth.CorruptRowError{}}`. A failed query is
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
  Loads several keys of one type with one statement. The result maps ids to values and leaves out missing
  keys.

      BaileysEx.Auth.PostgresPersistence.load_many(context, :"device-list", ["1555", "1556"])
      #=> {:ok, %{"1555" => ["0", "3"]}}

  The errors are those of `load_keys/3`, except for `:not_found`.
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
  Saves the value of one key; `nil` deletes it. The value is any plain term. If it contains a function, pid or
  reference, the result is `{:error, %BaileysEx.Auth.InvalidTermError{}}` and nothing is written. The other
  errors are listed in the module's documentation.

      :ok = BaileysEx.Auth.PostgresPersistence.save_keys(context, :"device-list", "1555", ["0", "3"])
  """
  @impl true
  @spec save_keys(context(), atom(), term(), term()) :: :ok | {:error, term()}
  def save_keys(context, type, id, data), do: commit_keys(context, %{type => %{id => data}})

  @doc """
  Deletes one key. Returns `:ok` even if the key does not exist. The errors are listed in the module's
  documentation.

      :ok = BaileysEx.Auth.PostgresPersistence.delete_keys(context, :session, "15550000000.0")
  """
  @impl true
  @spec delete_keys(context(), atom(), term()) :: :ok | {:error, term()}
  def delete_keys(context, type, id), do: commit_keys(context, %{type => %{id => nil}})

  @doc """
  Saves several keys, by type and id, and deletes those whose value is `nil`, with one statement: all of them
  or, after an error, none.

      :ok =
        BaileysEx.Auth.PostgresPersistence.commit_keys(context, %{
          session: %{"15550000001.0" => record},
          "pre-key": %{"7" => nil}
        })

  If this VM had claimed the account and has lost it, the result is
  `{:error, %BaileysEx.Auth.NotOwnerError{}}`. The other errors are listed in the module's documentation.
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
  Lists the ids of all keys by type, as strings, without reading the values.

      BaileysEx.Auth.PostgresPersistence.list_keys(context)
      #=> {:ok, %{session: ["15550000001.0"], "pre-key": ["1", "2"]}}

  A failed query is `{:error, %BaileysEx.Auth.DatabaseError{}}`.
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
  Checks that the tables exist and have the version of this library; otherwise the result is
  `{:error, %BaileysEx.Auth.DatabaseError{}}`. There is nothing to recover: the server does that itself.

      :ok = BaileysEx.Auth.PostgresPersistence.recover(context)
  """
  @impl true
  @spec recover(context()) :: :ok | {:error, term()}
  def recover(context), do: context |> Account.new!() |> Schema.check()

  @doc """
  Claims the account for this VM, after waiting for any commit in progress. Once somebody else claims it,
  every write of this VM is refused with a `BaileysEx.Auth.NotOwnerError`. `BaileysEx.Auth.KeyStore` claims
  its account when it starts.

      :ok = BaileysEx.Auth.PostgresPersistence.claim(context, BaileysEx.Auth.Owner.new())

  A failed query is `{:error, %BaileysEx.Auth.DatabaseError{}}`.
  """
  @impl true
  @spec claim(context(), Owner.t()) :: :ok | {:error, term()}
  def claim(context, %Owner{id: id} = owner) do
    account = Account.new!(context)
    with {:ok, changes} <- Claim.take(account, owner), do: Claim.remember(account, id, changes)
  end

  @doc """
  Releases a claim if it still stands. If somebody else's claim has replaced it, nothing changes and the
  result is `:ok`.

      :ok = BaileysEx.Auth.PostgresPersistence.release(context, owner)

  A failed query is `{:error, %BaileysEx.Auth.DatabaseError{}}`.
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
  Returns who has claimed the account: a `BaileysEx.Auth.Owner`, or `nil` if nobody has. It only reads.

      {:ok, owner} = BaileysEx.Auth.PostgresPersistence.owner(context)
      owner && to_string(owner)
      #=> "my_app@web-2 (process 4711 on web-2) since 2026-11-27 02:11:03Z"

  A failed query is `{:error, %BaileysEx.Auth.DatabaseError{}}`.
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
  Deletes the credentials and all keys with one statement, for an account that has been logged out. This
  cannot be undone: make a copy with `snapshot/2` first.

      :ok = BaileysEx.Auth.PostgresPersistence.delete_auth_state(context)

  It claims the account first, so that a store that uses it, on any machine, can no longer write. Returns
  `:ok` if there is nothing to delete. A failed query is `{:error, %BaileysEx.Auth.DatabaseError{}}`.
  """
  @impl true
  @spec delete_auth_state(context()) :: :ok | {:error, term()}
  def delete_auth_state(context) do
    account = Account.new!(context)

    Deletion.run(__MODULE__, context, fn -> Writes.delete(account) end)
  end

  @doc """
  Deletes all keys of the account with one statement. The credentials stay.

      :ok = BaileysEx.Auth.PostgresPersistence.clear(context)

  The errors are those of `commit_keys/2`.
  """
  @spec clear(context()) :: :ok | {:error, term()}
  def clear(context) do
    with {:ok, keys} <- list_keys(context) do
      commit_keys(context, Map.new(keys, fn {type, ids} -> {type, Map.new(ids, &{&1, nil})} end))
    end
  end

  @doc """
  Reads every row and changes nothing. `t:BaileysEx.Auth.Verification.report/0` describes the result.

      {:ok, report} = BaileysEx.Auth.PostgresPersistence.verify(context)
      report.families
      #=> %{session: 12, "pre-key": 812}

  Options:

    * `:credentials`: `:required` (default) or `:optional`, for an account that holds only keys
    * `:on_progress`: a function that receives `%{done: keys, total: keys}` after each batch

  Errors:

    * `{:error, %BaileysEx.Auth.DamagedAccountError{}}` names every row that cannot be read
    * `{:error, {:no_credentials, place}}`: there are keys but no credentials, which `:credentials` requires
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
  Copies the account, which may be in use, to a native directory, which must be empty or not exist. The copy
  is the state of the account at one moment.

  An account of more than 10,000 keys or 4 MiB is read in pages. If a store writes in the meantime, the
  reading starts again. After five attempts the result is `{:error, {:source_changed, account, []}}`: stop the
  store.

      :ok = BaileysEx.Auth.PostgresPersistence.snapshot(context, "/backup/ada")

  The errors are those of `BaileysEx.Auth.PersistenceMigration.migrate/3`, such as
  `{:error, {:target_not_empty, path}}`, and `{:error, %BaileysEx.Auth.DatabaseError{}}` for a failed query.
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
