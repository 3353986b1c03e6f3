defmodule BaileysEx.Auth.Accounts do
  @moduledoc """
  A supervisor for the stores of many accounts, all under one root directory or all in one database.

      children = [
        {BaileysEx.Auth.Accounts, name: MyApp.Accounts, root: "/var/lib/my_app/accounts"}
      ]

      {:ok, ada} = BaileysEx.Auth.Accounts.open(MyApp.Accounts, "ada")
      BaileysEx.Auth.KeyStore.get(ada.store, :session, ["15559990002.0"])

  Each account has its own supervisor, which runs the account's `BaileysEx.Auth.KeyStore`. That supervisor
  restarts a store that crashes; a store that keeps crashing closes only its own account. An account that
  starts slowly does not delay the others.

      MyApp.Accounts
      ├── MyApp.Accounts.Registry
      └── MyApp.Accounts.Supervisors
          ├── the supervisor of "ada" ── KeyStore
          └── the supervisor of "bob" ── KeyStore
  """

  use Supervisor

  alias BaileysEx.Auth.Accounts.Place
  alias BaileysEx.Auth.{KeyStore, Options}

  @own [:name, :root, :context, :backend]
  @store [:max_commit_retries, :delay_between_tries_ms, :max_cached_entries]

  @option_list """
    * `:name`, an atom, required: the first argument of the other functions
    * `:backend`: `BaileysEx.Auth.NativeFilePersistence` (default),
      `BaileysEx.Auth.FilePersistence` or `BaileysEx.Auth.PostgresPersistence`
    * `:root`, for the file backends: the directory that contains one directory for each account
    * `:context`, for PostgreSQL: the backend's context without its `:account`, such as
      `[repo: MyApp.Repo]`
    * `:max_commit_retries`, `:delay_between_tries_ms` and `:max_cached_entries`: for every store, see
      `BaileysEx.Auth.KeyStore.start_link/1`
  """

  @typedoc """
  Options of `start_link/1`.

  #{@option_list}
  """
  @type option() ::
          {:name, atom()}
          | {:backend, module()}
          | {:root, Path.t()}
          | {:context, keyword()}
          | {:max_commit_retries, pos_integer()}
          | {:delay_between_tries_ms, non_neg_integer()}
          | {:max_cached_entries, pos_integer() | :infinity}

  @typedoc """
  An open account: what `use_native_file_auth_state/2` and its counterparts return, and the reference of the
  running store under `:store`.
  """
  @type account() :: %{
          state: BaileysEx.Auth.State.t(),
          connect_opts: keyword(),
          save_creds: (term() -> :ok | {:error, term()}),
          store: KeyStore.Ref.t()
        }

  @doc """
  Starts the supervisor, linked to the caller, with no accounts open.

      iex> {:ok, _pid} = BaileysEx.Auth.Accounts.start_link(name: MyApp.Accounts, root: "accounts")
      iex> BaileysEx.Auth.Accounts.list(MyApp.Accounts)
      []

  Options:

  #{@option_list}
  If the name is taken, the result is `{:error, {:already_started, pid}}`. Raises `ArgumentError` for unknown
  options and for options that do not fit the backend.
  """
  @spec start_link([option()]) :: Supervisor.on_start()
  def start_link(opts) do
    Options.check!(opts, @own ++ @store)
    name = opts[:name]

    if not is_atom(name) or name == nil do
      raise ArgumentError, "expected :name to be an atom"
    end

    config = %{place: Place.new!(opts), store: Keyword.take(opts, @store)}
    Supervisor.start_link(__MODULE__, {name, config}, name: name)
  end

  @doc """
  A child specification for a supervisor, as in
  `{BaileysEx.Auth.Accounts, name: MyApp.Accounts, root: "accounts"}`. Its id contains the `:name`.

      iex> BaileysEx.Auth.Accounts.child_spec(name: MyApp.Accounts, root: "accounts").id
      {BaileysEx.Auth.Accounts, MyApp.Accounts}
  """
  @spec child_spec([option()]) :: Supervisor.child_spec()
  def child_spec(opts) do
    %{
      id: {__MODULE__, opts[:name]},
      start: {__MODULE__, :start_link, [opts]},
      type: :supervisor
    }
  end

  @impl true
  def init({name, config}) do
    children = [
      {Registry, keys: :unique, name: registry(name), meta: [config: config]},
      {DynamicSupervisor, name: supervisors(name), strategy: :one_for_one}
    ]

    # Accounts are found through the registry. If it crashes, all accounts stop, so that none runs unfound.
    Supervisor.init(children, strategy: :one_for_all)
  end

  @doc """
  Opens the account with this name: loads its credentials, and starts its store unless it is already running.

      iex> {:ok, _pid} = BaileysEx.Auth.Accounts.start_link(name: MyApp.Accounts, root: "accounts")
      iex> {:ok, ada} = BaileysEx.Auth.Accounts.open(MyApp.Accounts, "ada")
      iex> BaileysEx.Auth.KeyStore.get(ada.store, :session, ["15559990002.0"])
      %{}

  By default an account without credentials gets a fresh identity. With the option `:must_exist` set to
  `true`, such an account is refused, and nothing is created for it.

    * `{:error, {:no_credentials, place}}`: refused because of `must_exist: true`
    * `{:error, {:invalid_account_name, problem}}`: a name must be one file name. It must not be empty, begin
      with a dot, contain a slash, a backslash or a control character, or be longer than 200 bytes
    * `{:error, {:already_started, pid}}`: a store that this supervisor did not start uses the account
    * `{:error, :store_stopped}`: the account was closed at the same time
    * the errors of the backend and of `BaileysEx.Auth.KeyStore.start_link/1`
  """
  @spec open(atom(), String.t(), must_exist: boolean()) :: {:ok, account()} | {:error, term()}
  def open(accounts, name, opts \\ []) do
    Options.must_exist?(opts)
    config = config!(accounts)

    with {:ok, context} <- Place.context(config.place, name),
         # Refuses a missing account before anything is created for it.
         {:ok, _helper} <- Place.load(config.place, context, opts),
         {:ok, pid} <- store(accounts, name, context, config),
         # Loads again: the credentials may have been saved before the store claimed the account.
         {:ok, helper} <- Place.load(config.place, context, opts) do
      {:ok, Map.put(helper, :store, KeyStore.wrap(pid))}
    end
  end

  @doc """
  Stops the store of an account, which releases its claim. Returns `:ok` even if the account is not open.

      iex> {:ok, _pid} = BaileysEx.Auth.Accounts.start_link(name: MyApp.Accounts, root: "accounts")
      iex> {:ok, _ada} = BaileysEx.Auth.Accounts.open(MyApp.Accounts, "ada")
      iex> BaileysEx.Auth.Accounts.close(MyApp.Accounts, "ada")
      :ok
  """
  @spec close(atom(), String.t()) :: :ok
  def close(accounts, name) do
    case Registry.lookup(registry(accounts), {:supervisor, name}) do
      [{pid, _value}] -> terminate(accounts, pid)
      [] -> :ok
    end
  end

  @doc """
  Returns the sorted names of the accounts whose stores are running.

      iex> alias BaileysEx.Auth.Accounts
      iex> {:ok, _pid} = Accounts.start_link(name: MyApp.Accounts, root: "accounts")
      iex> for name <- ["bob", "ada"], do: {:ok, _account} = Accounts.open(MyApp.Accounts, name)
      iex> Accounts.list(MyApp.Accounts)
      ["ada", "bob"]
  """
  @spec list(atom()) :: [String.t()]
  def list(accounts) do
    stores =
      Registry.select(registry(accounts), [{{{:store, :"$1"}, :"$2", :_}, [], [{{:"$1", :"$2"}}]}])

    # The registry notices the end of a process with a delay.
    for {name, pid} <- Enum.sort(stores), Process.alive?(pid), do: name
  end

  @doc """
  Returns the process of an account's store, or `nil` if it is not running.

      iex> {:ok, _pid} = BaileysEx.Auth.Accounts.start_link(name: MyApp.Accounts, root: "accounts")
      iex> BaileysEx.Auth.Accounts.whereis(MyApp.Accounts, "ada")
      nil
  """
  @spec whereis(atom(), String.t()) :: pid() | nil
  def whereis(accounts, name) do
    case Registry.lookup(registry(accounts), {:store, name}) do
      [{pid, _value}] -> pid
      [] -> nil
    end
  end

  defp store(accounts, name, context, config) do
    case whereis(accounts, name) do
      nil -> start(accounts, name, context, config)
      pid -> {:ok, pid}
    end
  end

  defp start(accounts, name, context, config) do
    options =
      config.store ++
        [
          persistence_module: config.place.backend,
          persistence_context: context,
          name: {:via, Registry, {registry(accounts), {:store, name}}}
        ]

    # The context may hold a password, which the id would show in reports.
    spec = %{KeyStore.child_spec(options) | id: KeyStore}

    with {:ok, supervisor} <- supervisor_of(accounts, name) do
      # In the account's own supervisor: to wait for a lock keeps nobody else waiting.
      started(Supervisor.start_child(supervisor, spec), accounts, name)
    end
  catch
    # Closed, or given up, at the same time.
    :exit, _reason -> {:error, :store_stopped}
  end

  defp started({:ok, pid}, _accounts, _name), do: {:ok, pid}

  # Another caller has opened the account here in the meantime, or somebody unrelated uses it.
  defp started({:error, {:already_started, pid}}, accounts, name) do
    if pid == whereis(accounts, name), do: {:ok, pid}, else: {:error, {:already_started, pid}}
  end

  defp started({:error, {reason, _child}}, accounts, name)
       when is_exception(reason) or elem(reason, 0) == :already_started do
    started({:error, reason}, accounts, name)
  end

  defp started({:error, reason}, _accounts, _name), do: {:error, reason}

  defp supervisor_of(accounts, name) do
    via = {:via, Registry, {registry(accounts), {:supervisor, name}}}

    spec = %{
      id: name,
      start: {Supervisor, :start_link, [[], [strategy: :one_for_one, name: via]]},
      type: :supervisor,
      # An account that goes on crashing is given up alone.
      restart: :temporary
    }

    case DynamicSupervisor.start_child(supervisors(accounts), spec) do
      {:error, {:already_started, pid}} -> {:ok, pid}
      other -> other
    end
  end

  defp terminate(accounts, pid) do
    with {:error, :not_found} <- DynamicSupervisor.terminate_child(supervisors(accounts), pid) do
      :ok
    end
  end

  defp config!(accounts) do
    {:ok, config} = Registry.meta(registry(accounts), :config)
    config
  end

  defp registry(accounts), do: Module.concat(accounts, Registry)
  defp supervisors(accounts), do: Module.concat(accounts, Supervisors)
end
