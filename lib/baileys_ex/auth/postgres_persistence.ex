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
    Claims,
    CorruptRowError,
    Directory,
    InvalidKeyError,
    InvalidTermError,
    KeyStore,
    Native,
    NativeError,
    NotOwnerError,
    Options,
    Owner,
    Persistence,
    State,
    TermCheck
  }

  alias BaileysEx.Auth.Postgres.{Account, Schema, Statements, Value}

  @typedoc "The options of an account, see the top of this page."
  @type context() :: keyword()

  # An index entry of PostgreSQL holds some 2,700 bytes, account, type and id together.
  @most_bytes 1024

  @doc """
  Loads the credentials, and gives what a connection needs to keep its auth state there. Options as for
  `load_credentials/2`.
  """
  @spec use_postgres_auth_state(context(), [Persistence.load_option()]) ::
          {:ok, Persistence.auth_state_helper()} | {:error, term()}
  def use_postgres_auth_state(context, opts \\ []) do
    with {:ok, state} <- load_credentials(context, opts) do
      {:ok,
       %{
         state: state,
         connect_opts: [
           signal_store_module: KeyStore,
           signal_store_opts: [persistence_module: __MODULE__, persistence_context: context]
         ],
         save_creds: Directory.save_creds_with(&save_credentials(context, &1))
       }}
    end
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

    case Account.query(account, Statements.creds(account.prefix), [account.name]) do
      {:ok, [[bytes]]} when is_binary(bytes) -> Value.credentials(account, bytes)
      {:ok, _none} when must_exist? -> {:error, {:no_credentials, account.name}}
      {:ok, _none} -> {:ok, State.new()}
      error -> error
    end
  end

  @doc "Saves the credentials."
  @impl true
  @spec save_credentials(context(), State.t()) :: :ok | {:error, term()}
  def save_credentials(context, %State{} = state) do
    account = Account.new!(context)

    with {:ok, state} <- complete(state),
         bytes = :erlang.term_to_binary(state),
         :ok <- check_credentials(state, bytes) do
      put_credentials(account, claim_of(account), bytes)
    end
  end

  def save_credentials(_context, _other), do: Directory.no_state()

  @doc "One key."
  @impl true
  @spec load_keys(context(), atom(), term()) :: {:ok, term()} | {:error, term()}
  def load_keys(context, type, id) do
    {_type, name} = Directory.key(type, id)

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
    keys = Enum.map(ids, &Directory.key(type, &1))
    params = [account.name, to_string(type), Enum.map(keys, &elem(&1, 1))]

    with :ok <- check_keys(keys),
         {:ok, rows} <- Account.query(account, Statements.values(account.prefix), params) do
      Value.all(account, to_string(type), rows)
    end
  end

  @doc "Saves one key; `nil` deletes it. Any plain term can be saved."
  @impl true
  @spec save_keys(context(), atom(), term(), term()) :: :ok | {:error, term()}
  def save_keys(context, type, id, data), do: commit_keys(context, %{type => %{id => data}})

  @doc "Deletes one key; a key that is not there is `:ok`."
  @impl true
  @spec delete_keys(context(), atom(), term()) :: :ok | {:error, term()}
  def delete_keys(context, type, id), do: commit_keys(context, %{type => %{id => nil}})

  @doc "Saves and deletes (`nil`) several keys by one statement, all or none of them."
  @impl true
  @spec commit_keys(context(), Persistence.changes()) :: :ok | {:error, term()}
  def commit_keys(context, changes) do
    account = Account.new!(context)

    with {:ok, changes} <- Directory.flatten(changes),
         # A key given twice, as 1 and "1", would be two rows of one upsert.
         changes =
           changes |> Map.new(fn {type, id, value} -> {{type, id}, value} end) |> Enum.sort(),
         :ok <- check_keys(Enum.map(changes, &elem(&1, 0))),
         {:ok, changes} <- encode(changes) do
      commit(account, changes)
    end
  end

  @doc "The ids of every key, by type. Values are not read."
  @impl true
  @spec list_keys(context()) :: {:ok, Persistence.key_list()} | {:error, term()}
  def list_keys(context) do
    account = Account.new!(context)

    with {:ok, rows} <- Account.query(account, Statements.keys(account.prefix), [account.name]) do
      {:ok,
       Enum.group_by(rows, fn [type, _id] -> Directory.type(type) end, fn [_type, id] -> id end)}
    end
  end

  @doc "Sees to it that the tables are there and of this version; there is never anything to settle."
  @impl true
  @spec recover(context()) :: :ok | {:error, term()}
  def recover(context), do: context |> Account.new!() |> Schema.check()

  @doc "Claims the account: one statement, which waits for a commit that runs."
  @impl true
  @spec claim(context(), Owner.t()) :: :ok | {:error, term()}
  def claim(context, %Owner{} = owner) do
    account = Account.new!(context)
    {id, node, os_process, host, since_ms} = Owner.to_native(owner)
    params = [account.name, id, node, os_process, host, since_ms]

    with {:ok, [[_counter]]} <- Account.query(account, Statements.claim(account.prefix), params) do
      Claims.remember(place_of(account), id)
    end
  end

  @doc "Gives a claim back that still stands."
  @impl true
  @spec release(context(), Owner.t()) :: :ok | {:error, term()}
  def release(context, %Owner{id: id}) do
    account = Account.new!(context)

    case Account.query(account, Statements.release(account.prefix), [account.name, id]) do
      {:ok, [_released]} -> Claims.forget(place_of(account), id)
      {:ok, []} -> :ok
      error -> error
    end
  end

  @doc "Who has claimed the account."
  @impl true
  @spec owner(context()) :: {:ok, Owner.t() | nil} | {:error, term()}
  def owner(context), do: context |> Account.new!() |> current_owner()

  @doc false
  @impl true
  def place(context), do: context |> Account.new!() |> place_of()

  defp place_of(%Account{} = account) do
    {__MODULE__, account.connection, account.prefix, account.name}
  end

  defp claim_of(account), do: Claims.remembered(place_of(account))

  defp complete(state) do
    with {:error, {member, problem}} <- State.complete(state) do
      {:error, %InvalidTermError{member: "creds.#{member}", problem: problem}}
    end
  end

  defp check_credentials(state, bytes) do
    with {:error, reason} <- Native.etf_check("creds", bytes) do
      {:error,
       TermCheck.refused_field(state, __MODULE__) || NativeError.to_public(reason, __MODULE__)}
    end
  end

  defp put_credentials(account, nil, bytes) do
    sql = Statements.put_creds(account.prefix)
    with {:ok, _saved} <- Account.query(account, sql, [account.name, bytes]), do: :ok
  end

  defp put_credentials(account, claim, bytes) do
    sql = Statements.put_owned_creds(account.prefix)

    case Account.query(account, sql, [account.name, claim, bytes]) do
      {:ok, [_saved]} -> :ok
      {:ok, []} -> not_owner(account)
      error -> error
    end
  end

  defp encode(changes) do
    Enum.reduce_while(changes, {:ok, []}, fn {{type, id}, value}, {:ok, encoded} ->
      bytes = if value != nil, do: :erlang.term_to_binary(value)

      case bytes && Native.etf_check(type, bytes) do
        {:error, reason} -> {:halt, {:error, NativeError.to_public(reason, __MODULE__)}}
        _ok -> {:cont, {:ok, [{type, id, bytes} | encoded]}}
      end
    end)
  end

  defp commit(_account, []), do: :ok

  defp commit(account, changes) do
    {gone, saved} = Enum.split_with(changes, &match?({_type, _id, nil}, &1))
    claim = claim_of(account)

    params = [
      account.name,
      claim,
      Enum.map(saved, &elem(&1, 0)),
      Enum.map(saved, &elem(&1, 1)),
      Enum.map(saved, &elem(&1, 2)),
      Enum.map(gone, &elem(&1, 0)),
      Enum.map(gone, &elem(&1, 1))
    ]

    run = fn -> Account.query(account, Statements.commit(account.prefix), params) end

    case run.() do
      {:ok, [[1, _saved, _deleted]]} -> :ok
      {:ok, [[0, 0, 0]]} when claim == nil -> commit_first(account, run)
      {:ok, [[0, 0, 0]]} -> not_owner(account)
      error -> error
    end
  end

  # The account has no row yet, and there was no claim that would have made one.
  defp commit_first(account, run) do
    add = Statements.add_account(account.prefix)

    with {:ok, _rows} <- Account.query(account, add, [account.name]),
         {:ok, [[1, _saved, _deleted]]} <- run.() do
      :ok
    else
      {:ok, [[0, 0, 0]]} -> not_owner(account)
      error -> error
    end
  end

  # Nothing was written. A store of this VM is told, also where somebody else made the call.
  defp not_owner(account) do
    with {:ok, owner} <- current_owner(account) do
      error = %NotOwnerError{place: Account.place(account), owner: owner}
      Claims.lost(place_of(account), error)
      {:error, error}
    end
  end

  defp current_owner(account) do
    case Account.query(account, Statements.owner(account.prefix), [account.name]) do
      {:ok, [[nil | _released]]} -> {:ok, nil}
      {:ok, [owner]} -> {:ok, owner |> List.to_tuple() |> Owner.from_native()}
      {:ok, []} -> {:ok, nil}
      error -> error
    end
  end

  defp check_keys(keys), do: Enum.find_value(keys, :ok, &refused_key/1)

  defp refused_key({type, id}) do
    problem = text_problem(type) || text_problem(id)
    problem && {:error, %InvalidKeyError{type: shown(type), id: shown(id), problem: problem}}
  end

  defp text_problem(text) do
    cond do
      byte_size(text) > @most_bytes -> "is longer than #{@most_bytes} bytes"
      not String.valid?(text) -> "is not UTF-8 text"
      :binary.match(text, <<0>>) != :nomatch -> "holds a NUL"
      true -> nil
    end
  end

  defp shown(text), do: if(String.valid?(text), do: text, else: inspect(text))

  @doc """
  Reads every row and reports all that cannot be read: `{:error, [error]}` with a
  `BaileysEx.Auth.CorruptRowError` for each; `{:ok, %{credentials?: boolean, keys: count}}` where all
  can. `:on_progress` is given `%{done: keys, total: keys}` after each batch.
  """
  @spec verify(context(), on_progress: (map() -> term())) ::
          {:ok, %{credentials?: boolean(), keys: non_neg_integer()}}
          | {:error, [CorruptRowError.t()] | Exception.t()}
  def verify(context, opts \\ []) do
    Options.check!(opts, [:on_progress])
    on_progress = Keyword.get(opts, :on_progress, fn _progress -> :ok end)
    Value.verify(Account.new!(context), on_progress)
  end
end
