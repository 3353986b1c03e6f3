defmodule BaileysEx.Signal.Store do
  @moduledoc """
  The store of Signal keys that a messaging runtime works on, after Baileys' `keys` contract.

  A store is started with `start_link/1` and then used through its handle:

      {:ok, store} = BaileysEx.Signal.Store.start_link()
      :ok = BaileysEx.Signal.Store.set(store, %{"lid-mapping": %{"15550000000" => "800000000"}})
      BaileysEx.Signal.Store.get(store, :"lid-mapping", ["15550000000", "15550000001"])
      #=> %{"15550000000" => "800000000"}

    * `get/3` leaves out what is not there.
    * `set/2` saves several entries; `nil` deletes one.
    * `transaction/3` excludes every other transaction with the same key, first come, first
      served. The callback is given a handle of the transaction: what it writes through that
      handle is visible to its own reads at once and to everybody else when the transaction is
      over, all of it or none.

          BaileysEx.Signal.Store.transaction(store, "session:alice.0", fn tx ->
            %{"alice.0" => record} = BaileysEx.Signal.Store.get(tx, :session, ["alice.0"])
            BaileysEx.Signal.Store.set(tx, %{session: %{"alice.0" => advance(record)}})
          end)

      A callback that raises, throws or exits changes nothing. A transaction that is started on
      the handle of another one joins it. Starting one on the *store's* handle for a key that
      the same process already has a transaction for raises: it would wait for itself.

  ## Implementations

  `BaileysEx.Signal.Store.Memory` keeps everything in memory and is the default;
  `BaileysEx.Auth.KeyStore` keeps it in an auth directory or a custom backend. Another one
  implements the callbacks of this behaviour. `c:wrap/1` makes the reference that the other
  callbacks take from what `c:start_link/1` has started; `c:transaction/3` must give its callback
  a reference of the transaction, which those callbacks take too.

  Ids are strings; another term is taken as its `to_string/1`.
  """

  alias BaileysEx.Signal.Store.Running

  # A name, as a caller gives one: the stores are built on this module.
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

  @doc "The reference that the other callbacks take, from the pid or name of a running store."
  @callback wrap(term()) :: term()

  @doc "See `get/3`."
  @callback get(term(), data_type(), [String.t()]) :: data_entries()

  @doc "See `set/2`."
  @callback set(term(), data_set()) :: :ok

  @doc "See `clear/1`."
  @callback clear(term()) :: :ok

  @doc "See `transaction/3`; the function is given a reference of the transaction."
  @callback transaction(term(), String.t(), (term() -> result)) :: result when result: var

  @doc "See `in_transaction?/1`."
  @callback in_transaction?(term()) :: boolean()

  @enforce_keys [:module, :ref]
  defstruct [:module, :ref]

  @doc """
  Starts a store linked to the caller and returns its handle. `:module` says which, by default
  `BaileysEx.Signal.Store.Memory`; the other options are that module's.
  """
  @spec start_link(keyword()) :: {:ok, t()} | :ignore | {:error, term()}
  def start_link(opts \\ []) do
    {module, opts} = Keyword.pop(opts, :module, @default)

    with {:ok, pid} <- module.start_link(opts) do
      {:ok, %__MODULE__{module: module, ref: module.wrap(pid)}}
    end
  end

  @doc "The values of `ids`, without those that are not there."
  @spec get(t(), data_type(), [String.t()]) :: data_entries()
  def get(%__MODULE__{module: module, ref: ref}, type, ids), do: module.get(ref, type, ids)
  def get(_other, _type, _ids), do: no_handle!()

  @doc "Saves and deletes (`nil`) entries."
  @spec set(t(), data_set()) :: :ok
  def set(%__MODULE__{module: module, ref: ref}, data), do: module.set(ref, data)
  def set(_other, _data), do: no_handle!()

  @doc "Deletes every entry."
  @spec clear(t()) :: :ok
  def clear(%__MODULE__{module: module, ref: ref}), do: module.clear(ref)
  def clear(_other), do: no_handle!()

  @doc "Runs `fun` in a transaction, with a handle of the transaction, and returns its result."
  @spec transaction(t(), String.t(), (t() -> result)) :: result when result: var
  def transaction(%__MODULE__{module: module, ref: ref} = store, key, fun) do
    module.transaction(ref, key, fn tx_ref -> fun.(%{store | ref: tx_ref}) end)
  end

  def transaction(_other, _key, _fun), do: no_handle!()

  @doc "Whether this is the handle of a transaction that is still running."
  @spec in_transaction?(t()) :: boolean()
  def in_transaction?(%__MODULE__{module: module, ref: ref}), do: module.in_transaction?(ref)
  def in_transaction?(_other), do: no_handle!()

  @doc """
  The handle of a store that runs already: from `{module, server}`, where `server` is a pid or a
  name, from the server alone of a store of this library, or from a handle. `nil` when nothing runs
  there.

  Raises `ArgumentError` for anything else, such as a store of another module.
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

  # The arguments of a FunctionClauseError, which may be keys, would be in its stack trace.
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
