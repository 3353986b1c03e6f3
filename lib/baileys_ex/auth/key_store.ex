defmodule BaileysEx.Auth.KeyStore do
  @moduledoc """
  A `BaileysEx.Signal.Store` over a persistence backend: Signal keys that survive the VM.

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

  The types, and what their values look like, are in `BaileysEx.Signal.Store`.

  The `connect_opts` of `use_native_file_auth_state/1` and `use_multi_file_auth_state/1` name this
  module and its options.

  ## Reading

  What was read or written once, and what was found missing, is kept in an ETS table: reading it
  again sends no message and touches no disk. `:max_cached_entries` bounds the table.

  The directory belongs to one store at a time: see "One owner" below. Plain functions, of this VM or
  another one, may change it nevertheless. The store notices when a transaction starts, when it reads a
  key that is not in the table, when it commits, and every five seconds; then it empties the table.

  ## Writing

  `set/2`, `clear/1` and the end of a transaction return when the backend has committed. A commit is
  **one** `commit_keys` of the backend, so with the built-in backends all of it or none of it is on
  disk after any crash. Commits of different callers that arrive while one is being written
  are written together. A backend without that callback is given the keys one by one; when one
  fails, those before it get their previous values back, but not where the VM crashes in between.

  A commit that fails is tried again in its caller, `:max_commit_retries` times in all with
  `:delay_between_tries_ms` in between, unless trying again is pointless (a term that cannot be
  stored, a directory that waits for its recovery). The first failure logs a warning, and a later success
  logs a line. After the last failure it raises `BaileysEx.Auth.KeyStore.OperationError`, and nothing has
  changed. `get/3` raises it too, for a key that is there and cannot be read: to treat it as missing would
  lose the session.

  Deleting a pre-key that does not exist does nothing, as in Baileys.

  ## One owner

  A store claims its directory when it starts, and gives the claim up when it stops. The newest claim wins,
  on whatever machine it was made. The store that had the directory before then writes nothing any more:
  each of its writes, transactions and reads raises an `OperationError` whose reason is a
  `BaileysEx.Auth.NotOwnerError`, until it is started again. It does not claim the directory again by itself.
  In one VM a second store of the same directory is refused with `{:error, {:already_started, pid}}`,
  whichever path leads there.

  Functions that are called without a store need no claim. Where one of them has changed a key that a
  transaction had read, or one that the store remembered and `set/2` saves, nothing is written, and the
  reason of the error is `{:changed_meanwhile, module, directory}`: run it again with what is there now.

  ## Transactions

  The callback of `transaction/3` runs in the calling process. Transactions with the same key run one after
  the other, in the order in which they were asked for; those with other keys run at the same time. The
  callback reads and writes through the handle that it is given, and a key that it has read does not
  change for it. Nothing is written before it returns: if it raises or its process dies, nothing has
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

  # A misspelt context would leave the default directory, one account's, to another one.
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

    * `:persistence_module`, a `BaileysEx.Auth.Persistence`; `BaileysEx.Auth.NativeFilePersistence`
      by default
    * `:persistence_context`, the first argument of its context-aware callbacks, which are used if
      this is given. For the backends of files it is the path of the directory; a relative one, and the default
      one, stay where they are when the current directory changes
    * `:name`, as for a `GenServer`
    * `:max_commit_retries`, how often a commit is tried in all; 10 by default
    * `:delay_between_tries_ms`, in milliseconds; 3000 by default
    * `:max_cached_entries`, unlimited by default

      iex> alias BaileysEx.Auth.KeyStore
      iex> {:ok, pid} = KeyStore.start_link(persistence_context: "auth")
      iex> same = "../" <> Path.basename(File.cwd!()) <> "/auth"
      iex> {:error, {:already_started, ^pid}} = KeyStore.start_link(persistence_context: same)
      iex> KeyStore.info(KeyStore.wrap(pid)).place == Path.expand("auth")
      true

  First the backend completes what an interrupted commit left behind
  (`c:BaileysEx.Auth.Persistence.recover/1`). Keys are not read: a damaged one is noticed when it is asked for.

    * `{:error, %BaileysEx.Auth.KeyStore.OperationError{}}`: the backend could not recover or claim the place;
      `:reason` is its error
    * `{:error, {:already_started, pid}}`: the name, or the directory or account, has a store in this VM

  Raises `ArgumentError` for options that are not known or cannot work.
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
      # Held by whoever writes there. A store that was here before and was killed may still do so.
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

  # Seen before anything is claimed for a store that cannot start.
  defp vacant(nil), do: :ok

  defp vacant(name) do
    case GenServer.whereis(name) do
      pid when is_pid(pid) -> {:error, {:already_started, pid}}
      _none -> :ok
    end
  end

  @doc """
  A child specification for a supervisor, as in `{BaileysEx.Auth.KeyStore, persistence_context: "auth"}`.

  Its id holds the `:name`, or else the `:persistence_context`, so that one supervisor can have the stores of
  several directories. A context that is not a binary may hold a password, and is hashed there.

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
  The reference of a running store, from its pid or name. The other functions take it.

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
  What `info/1` tells of a store.

    * `:place` is the directory or the account, as errors name it; `nil` where the backend has no name for it.
      The context of a custom backend, which may hold a password, is never shown
    * `:owner` is the claim of this store, `nil` once somebody else has the place
    * `:cached_entries` counts keys that are remembered, those that are known to be missing included
    * `:commits` counts commits of callers since the start; several of them may have been written together
    * `:last_error` is the last failure, also of a commit that worked when it was tried again, or `nil`
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
  What a running store is and how it is doing, without asking its process or its backend.

      BaileysEx.Auth.KeyStore.info(store).place
      #=> "/var/lib/my_app/auth/ada"

  Raises `ArgumentError` where the store has stopped.
  """
  @spec info(Ref.t()) :: info()
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
  What `info/1` tells of each key store that runs in this VM.

      for %{last_error: %{}} = store <- BaileysEx.Auth.KeyStore.running(), do: store.place
      #=> ["/var/lib/my_app/auth/ada"]
  """
  @spec running() :: [info()]
  def running, do: Enum.flat_map(Claims.stores(), &info_of_living/1)

  # One may stop while we ask.
  defp info_of_living(pid) do
    [pid |> wrap() |> info()]
  rescue
    ArgumentError -> []
  catch
    :exit, _gone -> []
  end

  @doc """
  The values of `ids` by id, without those that are not there. It takes the reference of a store, or the
  handle of a transaction.

      iex> {:ok, pid} = BaileysEx.Auth.KeyStore.start_link(persistence_context: "auth")
      iex> keys = BaileysEx.Auth.KeyStore.wrap(pid)
      iex> BaileysEx.Auth.KeyStore.set(keys, %{"device-list": %{"15550000000" => ["0", "3"]}})
      iex> BaileysEx.Auth.KeyStore.get(keys, :"device-list", ["15550000000", "15550000001"])
      %{"15550000000" => ["0", "3"]}

  Raises `BaileysEx.Auth.KeyStore.OperationError` if one of them cannot be read, and if the store has stopped
  or another one has claimed its place.
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
  Saves the given entries, by type and id, and deletes those whose value is `nil`. On a store they are committed
  when it returns; on the handle of a transaction, when the transaction ends.

      iex> {:ok, pid} = BaileysEx.Auth.KeyStore.start_link(persistence_context: "auth")
      iex> keys = BaileysEx.Auth.KeyStore.wrap(pid)
      iex> BaileysEx.Auth.KeyStore.set(keys, %{"lid-mapping": %{"15550000000" => "800000000"}})
      :ok
      iex> BaileysEx.Auth.KeyStore.set(keys, %{"lid-mapping": %{"15550000000" => nil}})
      :ok

  Raises `BaileysEx.Auth.KeyStore.OperationError` if they cannot be committed, and `ArgumentError` where the
  calling process is in a transaction of this store: use the transaction's handle then.
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
  Deletes every key that the backend has, also those that this store has never read. The credentials stay.

      iex> {:ok, pid} = BaileysEx.Auth.KeyStore.start_link(persistence_context: "auth")
      iex> keys = BaileysEx.Auth.KeyStore.wrap(pid)
      iex> BaileysEx.Auth.KeyStore.clear(keys)
      :ok

  Raises as `set/2` does, also for a backend that cannot list its keys: the reason is
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
  Runs `fun` in a transaction and returns what it returned, when the changes are committed. `fun` is given the
  handle of the transaction. Transactions with the same `key`, any string, run one after the other. On the
  handle of a transaction, `fun` runs as a part of that one.

      iex> alias BaileysEx.Auth.KeyStore
      iex> {:ok, pid} = KeyStore.start_link(persistence_context: "auth")
      iex> keys = KeyStore.wrap(pid)
      iex> KeyStore.transaction(keys, "1555", fn tx ->
      ...>   KeyStore.set(tx, %{"lid-mapping": %{"1555" => "8000", "8000_reverse" => "1555"}})
      ...>   KeyStore.get(tx, :"lid-mapping", ["1555"])
      ...> end)
      %{"1555" => "8000"}

  Raises `BaileysEx.Auth.KeyStore.OperationError` if the changes cannot be committed, and `ArgumentError` where
  the process is in a transaction with this key already.
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
  Whether this is the handle of a transaction that is still running; `false` for the reference of a store.

      iex> {:ok, pid} = BaileysEx.Auth.KeyStore.start_link(persistence_context: "auth")
      iex> keys = BaileysEx.Auth.KeyStore.wrap(pid)
      iex> BaileysEx.Auth.KeyStore.in_transaction?(keys)
      false
  """
  @impl true
  @spec in_transaction?(Ref.t() | TxRef.t()) :: boolean()
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
