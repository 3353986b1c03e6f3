defmodule BaileysEx.Signal.Store do
  @moduledoc """
  The store of Signal keys that a messaging runtime uses, modelled on Baileys' `keys` contract.

  A store is started with `start_link/1` and then used through its handle:

      iex> {:ok, store} = BaileysEx.Signal.Store.start_link()
      iex> BaileysEx.Signal.Store.set(store, %{"lid-mapping": %{"15550000000" => "800000000"}})
      :ok
      iex> BaileysEx.Signal.Store.get(store, :"lid-mapping", ["15550000000", "15550000001"])
      %{"15550000000" => "800000000"}

    * `get/3` leaves out missing keys.
    * `set/2` saves several entries; `nil` deletes one.
    * `transaction/3` excludes all other transactions with the same key; callers are served in order of
      arrival. The callback receives a handle of the transaction. Its own reads see the writes made through
      that handle at once. Everybody else sees them when the transaction is over: all of them, or none.

          BaileysEx.Signal.Store.transaction(store, "session:alice.0", fn tx ->
            %{"alice.0" => record} = BaileysEx.Signal.Store.get(tx, :session, ["alice.0"])
            BaileysEx.Signal.Store.set(tx, %{session: %{"alice.0" => advance(record)}})
          end)

      A callback that raises, throws or exits changes nothing. A transaction that is started on
      the handle of another one becomes a part of it. If a process starts one on the *store's*
      handle, for a key for which it already has a transaction, the call raises: it would wait for
      itself.

  ## Implementations

  `BaileysEx.Signal.Store.Memory`, the default, keeps everything in memory. `BaileysEx.Auth.KeyStore` keeps
  keys in an auth directory, in PostgreSQL or in a custom backend.

  A store of your own implements the callbacks of this behaviour. `c:wrap/1` receives the process that
  `c:start_link/1` has started, and makes the reference that the other callbacks take. `c:transaction/3` gives
  its function a reference of the transaction, which the other callbacks must accept as well.

  ## Types, ids and values

  A type is a family of keys, under Baileys' name for it. An id is a string; any other term is converted with
  `to_string/1`. A store accepts any value but `nil`. As of 7.0.0-rc14, Baileys has these types and values:

    * `:session`, by `"<user>.<device>"`: a `BaileysEx.Signal.SessionRecord`
    * `:"pre-key"`, by its number: `%{public: <<_::256>>, private: <<_::256>>}`
    * `:"sender-key"`, by `"<group>::<user>::<device>"`: a `BaileysEx.Signal.Group.SenderKeyRecord`
    * `:"sender-key-memory"`, by group: a map of devices' JIDs to booleans
    * `:"app-state-sync-key"`, by its id in base64: `%{key_data: binary}`, and if known `:fingerprint`
      (`%{raw_id: integer, current_index: integer, device_indexes: [integer]}`) and `:timestamp` (an integer)
    * `:"app-state-sync-version"`, by collection, such as `"regular"`:
      `%{version: integer, hash: binary, index_value_map: %{base64 => %{value_mac: binary}}}`
    * `:"lid-mapping"`: by phone number, the user of the LID; by `"<LID>_reverse"`, the phone number
    * `:"device-list"`, by user: the devices, such as `["0", "3"]`
    * `:tctoken`, by JID: `%{token: binary, timestamp: string, sender_timestamp: integer}`
    * `:"identity-key"`, by `"<user>.<device>"`: the public key, 33 bytes
  """

  alias BaileysEx.Signal.Store.Running

  # Only a name, because the stores depend on this module.
  @default :"Elixir.BaileysEx.Signal.Store.Memory"

  @typedoc "The handle of a store or of a transaction."
  @type t() :: %__MODULE__{module: module(), ref: term()}

  @type start_result() :: {:ok, pid()} | :ignore | {:error, term()}

  @typedoc "The families of keys, as Baileys names them."
  @type data_type() ::
          :session
          | :"pre-key"
          | :"sender-key"
          | :"sender-key-memory"
          | :"app-state-sync-key"
          | :"app-state-sync-version"
          | :"lid-mapping"
          | :"device-list"
          | :tctoken
          | :"identity-key"

  @typedoc "The run-time term of a key; never `nil`."
  @type data_value() :: term()

  @typedoc "Values by id."
  @type data_entries() :: %{optional(String.t()) => data_value()}

  @typedoc "Changes by type and id; `nil` deletes."
  @type data_set() :: %{
          optional(data_type()) => %{optional(String.t()) => data_value() | nil}
        }

  @doc "Starts a store of this kind, linked to the caller."
  @callback start_link(keyword()) :: start_result()

  @doc "Returns the reference that the other callbacks take, given the pid or name of a running store."
  @callback wrap(term()) :: term()

  @doc "See `get/3`."
  @callback get(term(), data_type(), [String.t()]) :: data_entries()

  @doc "See `set/2`."
  @callback set(term(), data_set()) :: :ok

  @doc "See `clear/1`."
  @callback clear(term()) :: :ok

  @doc "See `transaction/3`; the function receives a reference of the transaction."
  @callback transaction(term(), String.t(), (term() -> result)) :: result when result: var

  @doc "See `in_transaction?/1`."
  @callback in_transaction?(term()) :: boolean()

  @enforce_keys [:module, :ref]
  defstruct [:module, :ref]

  @doc """
  Starts a store, linked to the caller, and returns its handle.

  `:module` selects the store, by default `BaileysEx.Signal.Store.Memory`. The other options are those of that
  module's `start_link/1`, which also determines `:ignore` and the errors.

      iex> {:ok, store} = BaileysEx.Signal.Store.start_link(module: BaileysEx.Signal.Store.Memory)
      iex> store.module
      BaileysEx.Signal.Store.Memory
  """
  @spec start_link(keyword()) :: {:ok, t()} | :ignore | {:error, term()}
  def start_link(opts \\ []) do
    {module, opts} = Keyword.pop(opts, :module, @default)

    with {:ok, pid} <- module.start_link(opts) do
      {:ok, %__MODULE__{module: module, ref: module.wrap(pid)}}
    end
  end

  @doc """
  Returns a map from each of the `ids` that exists to its value.

      iex> {:ok, store} = BaileysEx.Signal.Store.start_link()
      iex> BaileysEx.Signal.Store.set(store, %{"device-list": %{"15550000000" => ["0", "3"]}})
      iex> BaileysEx.Signal.Store.get(store, :"device-list", ["15550000000", "15550000001"])
      %{"15550000000" => ["0", "3"]}

  A store that cannot read a key raises; see `get/3` of its module.
  """
  @spec get(t(), data_type(), [String.t()]) :: data_entries()
  def get(store, type, ids)
  def get(%__MODULE__{module: module, ref: ref}, type, ids), do: module.get(ref, type, ids)
  def get(_other, _type, _ids), do: no_handle!()

  @doc """
  Saves the given entries, by type and id, and deletes those whose value is `nil`.

      iex> {:ok, store} = BaileysEx.Signal.Store.start_link()
      iex> BaileysEx.Signal.Store.set(store, %{"lid-mapping": %{"15550000000" => "800000000"}})
      :ok
      iex> BaileysEx.Signal.Store.set(store, %{"lid-mapping": %{"15550000000" => nil}})
      :ok

  Raises `ArgumentError` if the calling process is in a transaction of this store: use the handle of the
  transaction instead. A store that cannot save raises; see `set/2` of its module.
  """
  @spec set(t(), data_set()) :: :ok
  def set(store, data)
  def set(%__MODULE__{module: module, ref: ref}, data), do: module.set(ref, data)
  def set(_other, _data), do: no_handle!()

  @doc """
  Deletes all entries. Raises the same errors as `set/2`.

      iex> {:ok, store} = BaileysEx.Signal.Store.start_link()
      iex> BaileysEx.Signal.Store.set(store, %{"lid-mapping": %{"15550000000" => "800000000"}})
      iex> BaileysEx.Signal.Store.clear(store)
      :ok
      iex> BaileysEx.Signal.Store.get(store, :"lid-mapping", ["15550000000"])
      %{}
  """
  @spec clear(t()) :: :ok
  def clear(store)
  def clear(%__MODULE__{module: module, ref: ref}), do: module.clear(ref)
  def clear(_other), do: no_handle!()

  @doc """
  Runs `fun` in a transaction and returns its result.

  `fun` receives the handle of the transaction. Transactions with the same `key`, which is any string, run one
  after the other. When `fun` returns, everything that it wrote is saved. If it raises, throws or exits,
  nothing is saved.

      iex> alias BaileysEx.Signal.Store
      iex> {:ok, store} = Store.start_link()
      iex> Store.transaction(store, "mapping", fn tx ->
      ...>   Store.set(tx, %{"lid-mapping": %{"15550000000" => "800000000"}})
      ...>   Store.get(tx, :"lid-mapping", ["15550000000"])
      ...> end)
      %{"15550000000" => "800000000"}

  Raises `ArgumentError` if the process is already in a transaction with this key.
  """
  @spec transaction(t(), String.t(), (t() -> result)) :: result when result: var
  def transaction(%__MODULE__{module: module, ref: ref} = store, key, fun) do
    module.transaction(ref, key, fn tx_ref -> fun.(%{store | ref: tx_ref}) end)
  end

  def transaction(_other, _key, _fun), do: no_handle!()

  @doc """
  Whether this is the handle of a transaction that is still running. `false` for the handle of a store.

      iex> alias BaileysEx.Signal.Store
      iex> {:ok, store} = Store.start_link()
      iex> Store.transaction(store, "key", &Store.in_transaction?/1)
      true
      iex> Store.in_transaction?(store)
      false
  """
  @spec in_transaction?(t()) :: boolean()
  def in_transaction?(store)
  def in_transaction?(%__MODULE__{module: module, ref: ref}), do: module.in_transaction?(ref)
  def in_transaction?(_other), do: no_handle!()

  @doc """
  Returns the handle of a store that is already running. It takes

    * `{module, server}`, where `server` is a pid or a name
    * `server` alone, for a store of this library
    * a handle, which is returned unchanged

  and returns `nil` for `nil`, or if nothing runs under that name.

      iex> {:ok, pid} = BaileysEx.Signal.Store.Memory.start_link(name: MyApp.Keys)
      iex> store = BaileysEx.Signal.Store.wrap_running(MyApp.Keys)
      iex> {store.module, store.ref.pid == pid}
      {BaileysEx.Signal.Store.Memory, true}
      iex> BaileysEx.Signal.Store.wrap_running(MyApp.Nobody)
      nil

  Raises `ArgumentError` for anything else, such as a process that is not a store.
  """
  @spec wrap_running(t() | {module(), term()} | term() | nil) :: t() | nil
  def wrap_running(nil), do: nil
  def wrap_running(%__MODULE__{} = store), do: store

  def wrap_running({module, server} = name) when is_atom(module) do
    if store_module?(module),
      do: wrap_process(server, module),
      else: wrap_process(name, :its_own)
  end

  def wrap_running(server), do: wrap_process(server, :its_own)

  # A FunctionClauseError would put the arguments, which may be keys, into its stack trace.
  @spec no_handle!() :: no_return()
  defp no_handle! do
    raise ArgumentError, "expected the handle of a store, from start_link/1 or wrap_running/1"
  end

  defp store_module?(module) do
    Code.ensure_loaded?(module) and function_exported?(module, :wrap, 1)
  end

  defp wrap_process(server, module) do
    case Running.whereis!(server) do
      pid when is_pid(pid) -> wrap_pid(pid, module)
      _not_on_this_node -> nil
    end
  end

  defp wrap_pid(pid, :its_own), do: wrap_pid(pid, Running.module!(pid))
  defp wrap_pid(pid, module), do: %__MODULE__{module: module, ref: module.wrap(pid)}
end
