defmodule BaileysEx.Auth.PostgresPersistence do
  @moduledoc """
  Credentials and Signal keys in PostgreSQL: for accounts that several machines run, one at a time.

      {:ok, auth} =
        BaileysEx.Auth.PostgresPersistence.use_postgres_auth_state(repo: MyApp.Repo, account: "ada")

      auth.connect_opts

  The tables come from `BaileysEx.Auth.Postgres.Schema`.

  ## Context

  A keyword list, and the `:persistence_context` of a `BaileysEx.Auth.KeyStore`:

    * `:account`, the name of the account, any text
    * one way to the server: `:repo`, an Ecto repository on PostgreSQL; `:conn`, a Postgrex pool; or
      `:connection`, `{module, handle}` with a `BaileysEx.Auth.Postgres.Connection`. None of these
      is a dependency: they are called where the application has them
    * `:prefix`, the name of the schema that holds the tables, `"public"` by default

  Another option raises `ArgumentError`. Calls take part in the transaction that the calling process
  has opened on the repository. A key store commits from a process of its own: allow it where Ecto's
  sandbox asks for that, and do not start one inside a transaction.

  ## Promises

    * A commit is one statement, all of it or none, whatever the number of keys. It may be repeated:
      a second one changes nothing more.
    * What is acknowledged survives what the server promises: with `synchronous_commit = off`, or a
      failover to an asynchronous replica, the last commits can be lost.
    * A store claims its account when it starts, and the newest claim wins. Each write checks the
      claim in the same statement: whoever has lost it writes nothing and gets a
      `BaileysEx.Auth.NotOwnerError`.
    * What plain functions changed in an account is seen by its store within half a minute, and at each
      commit: one that was made from something older is refused.
    * Values are external term format, as in the native directory, and read only after the same check.

  ## Errors

    * `{:error, :not_found}`: no such key
    * `{:error, %BaileysEx.Auth.DatabaseError{}}`: its `:kind` says what to do
    * `{:error, %BaileysEx.Auth.CorruptRowError{}}`: the row cannot be read, and was left alone
    * `{:error, %BaileysEx.Auth.InvalidTermError{}}`: the term could not be loaded again; nothing was
      written
    * `{:error, %BaileysEx.Auth.InvalidKeyError{}}`: type and id are no text, hold a NUL or are too long
    * `{:error, %BaileysEx.Auth.NotOwnerError{}}`: somebody else has claimed the account since
  """

  @behaviour BaileysEx.Auth.Persistence

  alias BaileysEx.Auth.{
    AuthState,
    DamagedAccountError,
    Deletion,
    InvalidTermError,
    Keys,
    NativeFilePersistence,
    Options,
    Owner,
    Persistence,
    State,
    Verification
  }

  alias BaileysEx.Auth.PersistenceMigration.{AccountSource, DirectoryTarget, Rows}
  alias BaileysEx.Auth.Postgres.{Account, Claim, Key, Schema, Statements, Survey, Value}
  alias BaileysEx.Auth.Telemetry.Watched

  @typedoc "The options of an account, see the top of this page."
  @type context() :: keyword()

  @doc """
  Loads the credentials, and gives what a connection needs to keep its auth state there. Options as for
  `load_credentials/2`.
  """
  @spec use_postgres_auth_state(context(), [Persistence.load_option()]) ::
          {:ok, Persistence.auth_state_helper()} | {:error, term()}
  def use_postgres_auth_state(context, opts \\ []) do
    with {:ok, state} <- load_credentials(context, opts),
         do: {:ok, AuthState.helper(__MODULE__, context, state, &save_credentials(context, &1))}
  end

  @doc """
  The credentials; a fresh `State.new()`, and nothing written, where none were saved. A row that
  cannot be read, or a table that is not there, is an error.
  """
  @impl true
  @spec load_credentials(context()) :: {:ok, State.t()} | {:error, term()}
  def load_credentials(context), do: load_credentials(context, [])

  @doc """
  As `load_credentials/1`. With `must_exist: true` an account without credentials is
  `{:error, {:no_credentials, account}}`: for one that is known to be paired, so that a misspelt name
  never brings up a fresh identity.
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
  Saves the credentials, a `BaileysEx.Auth.State`. A state that lacks what an identity needs is
  `{:error, %BaileysEx.Auth.InvalidTermError{}}`, which names the member, and nothing is written.
  """
  @impl true
  @spec save_credentials(context(), State.t()) :: :ok | {:error, term()}
  def save_credentials(context, %State{} = state) do
    account = Account.new!(context)

    with {:ok, state} <- complete(state),
         {:ok, bytes} <- Value.encode_credentials(state) do
      watched_commit(account, [{"creds", nil, bytes}], fn ->
        put_credentials(account, bytes)
      end)
    end
  end

  def save_credentials(_context, _other), do: AuthState.no_state()

  @doc """
  The value of one key, as it was saved; for the families and their shapes see
  `BaileysEx.Auth.NativeFilePersistence.load_keys/3`.

  A key that was never saved, or was deleted, is `{:error, :not_found}`; bytes that are none of this library
  are `{:error, %BaileysEx.Auth.CorruptRowError{}}`; what the database refuses is
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

  @doc "Several keys of one type, by one statement; those that are not there are left out."
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
  it is `{:error, %BaileysEx.Auth.InvalidTermError{}}`, and nothing is written.

      :ok = PostgresPersistence.save_keys(context, :"device-list", "15550000000", ["0", "3"])
  """
  @impl true
  @spec save_keys(context(), atom(), term(), term()) :: :ok | {:error, term()}
  def save_keys(context, type, id, data), do: commit_keys(context, %{type => %{id => data}})

  @doc "Deletes one key; a key that is not there is `:ok`."
  @impl true
  @spec delete_keys(context(), atom(), term()) :: :ok | {:error, term()}
  def delete_keys(context, type, id), do: commit_keys(context, %{type => %{id => nil}})

  @doc """
  Saves and deletes (`nil`) several keys by one statement, all or none of them:

      commit_keys(context, %{session: %{"15550000001.0" => record}, "pre-key": %{"7" => nil}})

  `{:error, %BaileysEx.Auth.NotOwnerError{}}` where this VM had claimed the account and lost it.
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

    with {:ok, changes} <- Keys.flatten(changes),
         # A key given twice, as 1 and "1", would be two rows of one upsert.
         changes =
           changes |> Map.new(fn {type, id, value} -> {{type, id}, value} end) |> Enum.sort(),
         :ok <- Key.check(Enum.map(changes, &elem(&1, 0))),
         {:ok, changes} <- Value.encode(changes) do
      write(account, changes, by)
    end
  end

  @doc "The ids of every key, by type. Values are not read."
  @impl true
  @spec list_keys(context()) :: {:ok, Persistence.key_list()} | {:error, term()}
  def list_keys(context) do
    account = Account.new!(context)

    with {:ok, rows} <- Claim.read(account, Statements.keys(account.prefix), [account.name]) do
      {:ok, Enum.group_by(rows, fn [type, _id] -> Keys.type(type) end, fn [_type, id] -> id end)}
    end
  end

  @doc "Sees to it that the tables are there and of this version; there is never anything to settle."
  @impl true
  @spec recover(context()) :: :ok | {:error, term()}
  def recover(context), do: context |> Account.new!() |> Schema.check()

  @doc "Claims the account, and waits for a commit that runs."
  @impl true
  @spec claim(context(), Owner.t()) :: :ok | {:error, term()}
  def claim(context, %Owner{id: id} = owner) do
    account = Account.new!(context)
    with {:ok, changes} <- Claim.take(account, owner), do: Claim.remember(account, id, changes)
  end

  @doc "Gives a claim back that still stands."
  @impl true
  @spec release(context(), Owner.t()) :: :ok | {:error, term()}
  def release(context, %Owner{id: id}) do
    account = Account.new!(context)

    with {:ok, stood?} <- Claim.give_back(account, id) do
      if stood?, do: Claim.forget(account, id), else: :ok
    end
  end

  @doc "Who has claimed the account."
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

  @doc """
  Deletes the credentials and every key by one statement, under a claim: for an account that has been logged
  out. A store that has the account, on whatever machine, loses it. Nothing to delete is `:ok`.
  """
  @impl true
  @spec delete_auth_state(context()) :: :ok | {:error, term()}
  def delete_auth_state(context) do
    account = Account.new!(context)

    Deletion.run(__MODULE__, context, fn ->
      deleted =
        Claim.write(account, nil, fn {id, fence} ->
          sql = Statements.delete(account.prefix)

          with {:ok, [[0]]} <- Account.query(account, sql, [account.name, id, fence]),
               do: :refused
        end)

      with {:ok, _rows} <- deleted, do: :ok
    end)
  end

  @doc "Deletes every key of the account, not the credentials, by one statement."
  @spec clear(context()) :: :ok | {:error, term()}
  def clear(context) do
    with {:ok, keys} <- list_keys(context) do
      commit_keys(context, Map.new(keys, fn {type, ids} -> {type, Map.new(ids, &{&1, nil})} end))
    end
  end

  @doc """
  Reads every row and reports all that cannot be read, at once: `{:error, error}` with a
  `BaileysEx.Auth.DamagedAccountError`. `:on_progress` is given `%{done: keys, total: keys}` after each
  batch.
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
  Copies the account as it is at this moment, whoever is using it, to a native directory, which must not
  exist or be empty.
  """
  @spec snapshot(context(), Path.t()) :: :ok | {:error, term()}
  def snapshot(context, target) do
    source = %AccountSource{backend: __MODULE__, account: Account.new!(context)}

    directory = %DirectoryTarget{
      backend: NativeFilePersistence,
      format: :etf,
      path: Path.expand(target)
    }

    opts = %{
      overwrite?: false,
      skip?: false,
      without_credentials?: true,
      ignore_changes?: false,
      include_unknown?: false,
      on_progress: fn _progress -> :ok end,
      sender_keys: nil,
      old_device_names?: false
    }

    with {:ok, _summary} <- Rows.migrate(source, directory, opts), do: :ok
  end

  defp complete(state) do
    with {:error, {member, problem}} <- State.complete(state) do
      {:error, %InvalidTermError{member: "creds.#{member}", problem: problem}}
    end
  end

  defp put_credentials(account, bytes) do
    written =
      Claim.write(account, nil, fn
        nil ->
          Account.query(account, Statements.put_creds(account.prefix), [account.name, bytes])

        {id, fence} ->
          params = [account.name, id, fence, bytes]

          with {:ok, []} <-
                 Account.query(account, Statements.put_owned_creds(account.prefix), params),
               do: :refused
      end)

    with {:ok, _rows} <- written, do: :ok
  end

  defp write(_account, [], _by), do: :ok

  defp write(account, changes, by) do
    watched_commit(account, changes, fn -> write_now(account, changes, by) end)
  end

  defp watched_commit(account, changes, commit),
    do: Watched.commit(__MODULE__, fn -> Account.place(account) end, changes, commit)

  defp write_now(account, changes, by) do
    {gone, saved} = Enum.split_with(changes, &match?({_type, _id, nil}, &1))
    seen = with {:store, seen} <- by, do: seen, else: (_counted -> nil)

    rows = [
      Enum.map(saved, &elem(&1, 0)),
      Enum.map(saved, &elem(&1, 1)),
      Enum.map(saved, &elem(&1, 2)),
      Enum.map(gone, &elem(&1, 0)),
      Enum.map(gone, &elem(&1, 1))
    ]

    written =
      Claim.write(account, seen, fn claim ->
        sql = statement(claim, by).(account.prefix)
        {id, fence} = claim || {nil, nil}

        with {:ok, [[0, _changes]]} <-
               Account.query(account, sql, [account.name, id, fence, seen | rows]),
             do: :refused
      end)

    case written do
      {:ok, [[1, changes]]} ->
        Claim.saw(account, changes)

      {:error, :changed_meanwhile} ->
        {:error, {:changed_meanwhile, __MODULE__, Account.place(account)}}

      error ->
        error
    end
  end

  # Without a claim there is nothing that a store could rely on.
  defp statement(nil, _by), do: &Statements.commit_free/1
  defp statement(_claim, {:store, _seen}), do: &Statements.commit/1
  defp statement(_claim, :counted), do: &Statements.commit_counted/1
end
