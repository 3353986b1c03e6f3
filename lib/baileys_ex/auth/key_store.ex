defmodule BaileysEx.Auth.KeyStore do
  @moduledoc """
  A `BaileysEx.Signal.Store` on top of a persistence backend: Signal keys that survive the VM.

      iex> {:ok, pid} =
      ...>   BaileysEx.Auth.KeyStore.start_link(
      ...>     persistence_module: BaileysEx.Auth.NativeFilePersistence,
      ...>     persistence_context: "auth"
      ...>   )
      iex> keys = BaileysEx.Auth.KeyStore.wrap(pid)
      iex> BaileysEx.Auth.KeyStore.set(keys, %{"lid-mapping": %{"15550000000" => "800000000"}})
      :ok
      iex> BaileysEx.Auth.KeyStore.get(keys, :"lid-mapping", ["15550000000", "15550000001"])
      %{"15550000000" => "800000000"}

  `BaileysEx.Signal.Store` lists the types and describes their values.

  `use_native_file_auth_state/1` and `use_multi_file_auth_state/1` return `connect_opts` that name this module
  and its options.

  ## Reading

  The store keeps every key that it has read or written in an ETS table, and remembers which keys are missing.
  Reading such a key again sends no message and touches no disk. `:max_cached_entries` bounds the table.

  A directory belongs to one store at a time (see "One owner" below), but functions that are called without a
  store may still change it, in this VM or another one. The store checks for such changes when a transaction
  starts, when it reads a key that is not in the table, when it commits, and every five seconds. If it finds
  one, it empties the table.

  ## Writing

  `set/2`, `clear/1` and `transaction/3` return once the backend has committed. Each commit is **one** call of
  the backend's `commit_keys`. With the built-in backends, either all of a commit or none of it is on disk
  after a crash. Commits that arrive while another one is being written are written together. A backend
  without `commit_keys` receives the keys one by one. If one of them fails, the keys before it get their
  previous values back, unless the VM crashes in between.

  The caller retries a commit that fails: it makes up to `:max_commit_retries` attempts,
  `:delay_between_tries_ms` apart. It does not retry errors that a retry cannot fix, such as a term that
  cannot be stored or a directory that needs recovery. The first failure logs a warning, and a later success
  logs a line. After the last failure the call raises `BaileysEx.Auth.KeyStore.OperationError`, and nothing
  has changed. `get/3` also raises it for a key that exists and cannot be read: treating that key as missing
  would lose the session.

  Deleting a pre-key that does not exist does nothing, as in Baileys.

  ## One owner

  A store claims its directory when it starts and releases the claim when it stops. The newest claim wins, on
  whatever machine it was made. The previous store then writes nothing any more: its writes, transactions and
  reads raise an `OperationError` whose reason is a `BaileysEx.Auth.NotOwnerError`, until it is restarted. It
  does not claim the directory again by itself. Within one VM, a second store of the same directory is refused
  with `{:error, {:already_started, pid}}`, even if it uses another path.

  Functions that are called without a store need no claim. If one of them has changed a key that a transaction
  has read, or a cached key that `set/2` saves, nothing is written and the reason of the error is
  `{:changed_meanwhile, module, directory}`. Run the operation again with the current values.

  ## Transactions

  The callback of `transaction/3` runs in the calling process. Transactions with the same key run one after
  the other, in the order of the calls; transactions with different keys run concurrently. The callback reads
  and writes through the handle that it receives. A key that it has read keeps its value for the whole
  transaction. Nothing is written before the callback returns: if it raises or its process dies, nothing has
  changed, and the next transaction runs.
  """

  alias BaileysEx.Auth.KeyStore.{
    Backend,
    Cache,
    Callers,
    Commits,
    Context,
    Failure,
    OperationError,
    Reads,
    Ref,
    Server,
    Tenure,
    TxRef
  }

  alias BaileysEx.Auth.{Claims, Lock, Options}
  alias BaileysEx.Signal.Store
  alias BaileysEx.Signal.Store.{Changes, Running, Transaction, View}

  @behaviour Store

  # Unknown options are refused: after a misspelt `:persistence_context`, the store would otherwise use the
  # default directory, which may be another account's.
  @options [
    :persistence_module,
    :persistence_context,
    :name,
    :max_commit_retries,
    :delay_between_tries_ms,
    :max_cached_entries
  ]

  @typedoc "Options of `start_link/1`."
  @type option() ::
          {:persistence_module, module()}
          | {:persistence_context, term()}
          | {:name, GenServer.name()}
          | {:max_commit_retries, pos_integer()}
          | {:delay_between_tries_ms, non_neg_integer()}
          | {:max_cached_entries, pos_integer() | :infinity}

  @doc """
  Starts a store, linked to the caller. Options:

    * `:persistence_module`, a `BaileysEx.Auth.Persistence`; `BaileysEx.Auth.NativeFilePersistence` by default
    * `:persistence_context`, the first argument of the backend's context-aware callbacks, which are used only
      if this option is given. For the file backends it is the path of the directory. A relative path and the
      default path are resolved at once, so a later change of the current directory does not matter
    * `:name`, as for a `GenServer`
    * `:max_commit_retries`, the maximum number of attempts for a commit, including the first; 10 by default
    * `:delay_between_tries_ms`, the pause between attempts in milliseconds; 3000 by default
    * `:max_cached_entries`, unlimited by default

      iex> alias BaileysEx.Auth.KeyStore
      iex> {:ok, pid} = KeyStore.start_link(persistence_context: "auth")
      iex> same = "../" <> Path.basename(File.cwd!()) <> "/auth"
      iex> {:error, {:already_started, ^pid}} = KeyStore.start_link(persistence_context: same)
      iex> KeyStore.info(KeyStore.wrap(pid)).place == Path.expand("auth")
      true

  Before the store starts, the backend completes any interrupted commit
  (`c:BaileysEx.Auth.Persistence.recover/1`). No keys are read: a damaged key is noticed when it is requested.

    * `{:error, %BaileysEx.Auth.KeyStore.OperationError{}}`: the backend could not recover or claim the place;
      `:reason` is the backend's error
    * `{:error, {:already_started, pid}}`: in this VM a store already has this name, or this directory or
      account

  Raises `ArgumentError` for unknown options and invalid values.
  """
  @impl true
  @spec start_link([option()]) :: GenServer.on_start()
  def start_link(opts \\ []) do
    Options.check!(opts, @options)
    module = Context.module(opts)
    context = Context.of!(opts)
    backend = Backend.new!(module, context)

    config = %{
      store: __MODULE__,
      backend: backend,
      callers: Callers.chain(),
      # Held while writing. A store of the same place that was killed may still be writing.
      lock: {__MODULE__, module, Context.fingerprint(context)},
      tries: integer!(opts, :max_commit_retries, 10, 1),
      pause_ms: integer!(opts, :delay_between_tries_ms, 3_000, 0),
      max_entries: max_entries!(opts)
    }

    Lock.run_local({__MODULE__, :start, Context.fingerprint(context)}, fn ->
      with :ok <- vacant(opts[:name]),
           {:ok, tenure} <- Lock.run_local(config.lock, fn -> Tenure.begin(backend) end) do
        Server.start_link(Map.put(config, :tenure, tenure), Keyword.take(opts, [:name]))
      else
        {:error, {:already_started, _pid}} = error ->
          error

        {:error, reason} ->
          {:error, %OperationError{action: :start, reason: reason, place: backend.place_name}}
      end
    end)
  end

  # Checked first, so that a store that cannot start claims nothing.
  defp vacant(nil), do: :ok

  defp vacant(name) do
    case GenServer.whereis(name) do
      pid when is_pid(pid) -> {:error, {:already_started, pid}}
      _none -> :ok
    end
  end

  @doc """
  A child specification for a supervisor, as in `{BaileysEx.Auth.KeyStore, persistence_context: "auth"}`.

  The id contains the `:name`, or else the `:persistence_context`, so that one supervisor can run the stores
  of several directories. A context that is not a binary may contain a password, so the id contains its hash.

      iex> BaileysEx.Auth.KeyStore.child_spec(persistence_context: "auth").id
      {BaileysEx.Auth.KeyStore, "auth"}
  """
  @spec child_spec([option()]) :: Supervisor.child_spec()
  def child_spec(opts) do
    own = opts[:name] || Context.id(opts)

    %{
      id: if(own, do: {__MODULE__, own}, else: __MODULE__),
      start: {__MODULE__, :start_link, [Context.settle(opts)]}
    }
  end

  @doc """
  Returns the reference of a running store, given its pid or name. The other functions take this reference.

      iex> alias BaileysEx.Auth.KeyStore
      iex> {:ok, _pid} = KeyStore.start_link(persistence_context: "auth", name: MyApp.Keys)
      iex> keys = KeyStore.wrap(MyApp.Keys)
      iex> KeyStore.get(keys, :session, ["15550000000.0"])
      %{}

  Raises `ArgumentError` for anything but the pid or name of a key store.
  """
  @impl true
  @spec wrap(GenServer.server()) :: Ref.t()
  def wrap(server) do
    {pid, table} = Running.fetch!(__MODULE__, server)
    %Ref{pid: pid, table: table}
  end

  @typedoc """
  What `info/1` returns.

    * `:place` is the directory or the account, as errors name it, or `nil` if the backend has no name for it.
      The context of a custom backend is never shown, because it may contain a password
    * `:owner` is the claim of this store, or `nil` once another store has claimed the place
    * `:cached_entries` counts the cached keys, including those known to be missing
    * `:commits` counts the callers' commits since the start; several of them may have been written together
    * `:last_error` is the last failure, even if a retry succeeded, or `nil`
  """
  @type info() :: %{
          pid: pid(),
          backend: module(),
          place: String.t() | nil,
          owner: BaileysEx.Auth.Owner.t() | nil,
          cached_entries: non_neg_integer(),
          commits: non_neg_integer(),
          last_error: %{message: String.t(), at: DateTime.t()} | nil
        }

  @doc """
  Describes a running store and its condition, without a call to its process or its backend.

      BaileysEx.Auth.KeyStore.info(store).place
      #=> "/var/lib/my_app/auth/ada"

  Raises `ArgumentError` if the store has stopped.
  """
  @spec info(Ref.t()) :: info()
  def info(ref)

  def info(%Ref{pid: pid, table: table}) do
    config = Cache.config(table)
    {commits, last_error} = Cache.history(table)

    %{
      pid: pid,
      backend: config.backend.module,
      place: config.backend.place_name,
      owner: if(Cache.held(table) == :ok, do: config.owner),
      cached_entries: Cache.count(table),
      commits: commits,
      last_error: last_error
    }
  end

  def info(_other), do: Running.no_reference!(__MODULE__)

  @doc """
  Returns `info/1` for each key store that runs in this VM.

      for %{last_error: %{}} = store <- BaileysEx.Auth.KeyStore.running(), do: store.place
      #=> ["/var/lib/my_app/auth/ada"]
  """
  @spec running() :: [info()]
  def running, do: Enum.flat_map(Claims.stores(), &info_of_living/1)

  # A store may stop while it is being asked.
  defp info_of_living(pid) do
    [pid |> wrap() |> info()]
  rescue
    ArgumentError -> []
  catch
    :exit, _gone -> []
  end

  @doc """
  Returns a map from each of the `ids` that exists to its value. Takes the reference of a store or the handle
  of a transaction.

      iex> {:ok, pid} = BaileysEx.Auth.KeyStore.start_link(persistence_context: "auth")
      iex> keys = BaileysEx.Auth.KeyStore.wrap(pid)
      iex> BaileysEx.Auth.KeyStore.set(keys, %{"device-list": %{"15550000000" => ["0", "3"]}})
      iex> BaileysEx.Auth.KeyStore.get(keys, :"device-list", ["15550000000", "15550000001"])
      %{"15550000000" => ["0", "3"]}

  Raises `BaileysEx.Auth.KeyStore.OperationError` if a key cannot be read, if the store has stopped, or if
  another store has claimed its place.
  """
  @impl true
  @spec get(Ref.t() | TxRef.t(), Store.data_type(), [String.t()]) :: Store.data_entries()
  def get(%Ref{table: table}, type, ids) when is_atom(type) and is_list(ids) do
    Reads.get(table, type, ids)
  end

  def get(%TxRef{} = tx, type, ids) when is_atom(type) and is_list(ids) do
    View.get(tx.tx_table, type, ids, &Reads.read(tx.table, type, &1))
  end

  def get(_other, _type, _ids) do
    Running.no_reference!(__MODULE__, ", the type as an atom and a list of ids")
  end

  @doc """
  Saves the given entries, by type and id, and deletes those whose value is `nil`. On a store, the changes are
  committed when the call returns; on the handle of a transaction, they are committed when the transaction
  ends.

      iex> {:ok, pid} = BaileysEx.Auth.KeyStore.start_link(persistence_context: "auth")
      iex> keys = BaileysEx.Auth.KeyStore.wrap(pid)
      iex> BaileysEx.Auth.KeyStore.set(keys, %{"lid-mapping": %{"15550000000" => "800000000"}})
      :ok
      iex> BaileysEx.Auth.KeyStore.set(keys, %{"lid-mapping": %{"15550000000" => nil}})
      :ok

  Raises `BaileysEx.Auth.KeyStore.OperationError` if the changes cannot be committed. Raises `ArgumentError`
  if the calling process is in a transaction of this store: use the transaction's handle instead.
  """
  @impl true
  @spec set(Ref.t() | TxRef.t(), Store.data_set()) :: :ok
  def set(%Ref{} = ref, data) do
    Transaction.refuse_inside!(ref.pid)
    changes = Changes.from_data_set!(data)
    Commits.commit(ref.table, nil, :set, changes, Reads.remembered(ref.table, changes))
  end

  def set(%TxRef{} = tx, data), do: View.put(tx.tx_table, Changes.from_data_set!(data))
  def set(_other, _data), do: Running.no_reference!(__MODULE__)

  @doc """
  Deletes every key in the backend, including those that this store has never read. The credentials stay.

      iex> {:ok, pid} = BaileysEx.Auth.KeyStore.start_link(persistence_context: "auth")
      iex> keys = BaileysEx.Auth.KeyStore.wrap(pid)
      iex> BaileysEx.Auth.KeyStore.clear(keys)
      :ok

  Raises the same errors as `set/2`. If the backend cannot list its keys, the reason is
  `{:not_supported, :list_keys}`.
  """
  @impl true
  @spec clear(Ref.t() | TxRef.t()) :: :ok
  def clear(%Ref{} = ref) do
    Transaction.refuse_inside!(ref.pid)
    Commits.commit(ref.table, nil, :clear, Changes.new(true, %{}), {nil, %{}})
  end

  def clear(%TxRef{} = tx), do: View.put(tx.tx_table, Changes.new(true, %{}))
  def clear(_other), do: Running.no_reference!(__MODULE__)

  @doc """
  Runs `fun` in a transaction, commits its changes, and returns its result. `fun` receives the handle of the
  transaction. Transactions with the same `key`, which is any string, run one after the other. If
  `transaction/3` is called with a handle, `fun` runs as part of that transaction.

      iex> alias BaileysEx.Auth.KeyStore
      iex> {:ok, pid} = KeyStore.start_link(persistence_context: "auth")
      iex> keys = KeyStore.wrap(pid)
      iex> KeyStore.transaction(keys, "1555", fn tx ->
      ...>   KeyStore.set(tx, %{"lid-mapping": %{"1555" => "8000", "8000_reverse" => "1555"}})
      ...>   KeyStore.get(tx, :"lid-mapping", ["1555"])
      ...> end)
      %{"1555" => "8000"}

  Raises `BaileysEx.Auth.KeyStore.OperationError` if the changes cannot be committed, and `ArgumentError` if
  the process is already in a transaction with this key.
  """
  @impl true
  @spec transaction(Ref.t() | TxRef.t(), String.t(), (TxRef.t() -> result)) :: result
        when result: var
  def transaction(%TxRef{} = tx, _key, fun), do: fun.(tx)

  def transaction(%Ref{pid: pid, table: table} = ref, key, fun) do
    token = lock!(ref, key)

    Transaction.run(pid, token, fn view ->
      seen = Reads.look!(table, :transaction)
      result = fun.(%TxRef{pid: pid, table: table, tx_table: view})
      Commits.commit(table, token, :commit, View.changes(view), {seen, View.reads(view)})
      result
    end)
  end

  def transaction(_other, _key, _fun), do: Running.no_reference!(__MODULE__)

  @doc """
  Whether this is the handle of a transaction that is still running. `false` for the reference of a store.

      iex> {:ok, pid} = BaileysEx.Auth.KeyStore.start_link(persistence_context: "auth")
      iex> keys = BaileysEx.Auth.KeyStore.wrap(pid)
      iex> BaileysEx.Auth.KeyStore.in_transaction?(keys)
      false
  """
  @impl true
  @spec in_transaction?(Ref.t() | TxRef.t()) :: boolean()
  def in_transaction?(ref)
  def in_transaction?(%Ref{}), do: false
  def in_transaction?(%TxRef{tx_table: view}), do: View.open?(view)
  def in_transaction?(_other), do: Running.no_reference!(__MODULE__)

  defp lock!(%Ref{pid: pid, table: table}, key) do
    Transaction.lock!(pid, key)
  catch
    :exit, _reason -> Failure.fail!(table, :transaction, :store_stopped)
  end

  defp integer!(opts, option, default, least) do
    case Keyword.get(opts, option, default) do
      number when is_integer(number) and number >= least -> number
      _other -> raise ArgumentError, "expected #{inspect(option)} to be an integer from #{least}"
    end
  end

  defp max_entries!(opts) do
    case Keyword.get(opts, :max_cached_entries, :infinity) do
      :infinity -> :infinity
      _number -> integer!(opts, :max_cached_entries, nil, 1)
    end
  end
end
