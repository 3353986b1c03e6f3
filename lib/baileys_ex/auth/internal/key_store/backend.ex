defmodule BaileysEx.Auth.KeyStore.Backend do
  @moduledoc false
  # Calls a persistence module by the widest arity that it exports. Turns any failure inside it into
  # `{:error, reason}` with a reason that contains no value.

  alias BaileysEx.Auth.{
    CorruptFileError,
    CorruptRowError,
    DatabaseError,
    InvalidKeyError,
    InvalidTermError,
    LockedError,
    NotOwnerError,
    Owner
  }

  alias BaileysEx.Signal.Store.Changes

  # The leading arguments of each callback, `[context]` or `[]`, or `nil` if the callback is missing.
  # `:place_name` is its answer: the name of the place for people, or `nil` if the backend does not say.
  @derive {Inspect, only: [:module]}
  @enforce_keys [
    :module,
    :load_keys,
    :load_many,
    :save_keys,
    :delete_keys,
    :list_keys,
    :commit_keys,
    :commit_keys_unless_changed,
    :changes_seen,
    :claim,
    :release,
    :place,
    :place_name,
    :in_transaction?,
    :recover
  ]
  defstruct @enforce_keys

  @type t() :: %__MODULE__{
          module: module(),
          load_keys: [term()],
          load_many: [term()] | nil,
          save_keys: [term()],
          delete_keys: [term()],
          list_keys: [term()] | nil,
          commit_keys: [term()] | nil,
          commit_keys_unless_changed: [term()] | nil,
          changes_seen: [term()] | nil,
          claim: [term()] | nil,
          release: [term()] | nil,
          place: [term()] | nil,
          place_name: String.t() | nil,
          in_transaction?: [term()] | nil,
          recover: [term()] | nil
        }

  @spec new!(module(), {:ok, context :: term()} | :error) :: t()
  def new!(module, context) when is_atom(module) do
    if not Code.ensure_loaded?(module) do
      raise ArgumentError, "the persistence module #{inspect(module)} is not available"
    end

    save = required!(module, :save_keys, 3, context)

    backend = %__MODULE__{
      module: module,
      load_keys: required!(module, :load_keys, 2, context),
      load_many: if_exported(module, :load_many, save, 2),
      save_keys: save,
      delete_keys: required!(module, :delete_keys, 2, context),
      # Without a context, these would concern another place than the keys that are saved with one.
      list_keys: if_exported(module, :list_keys, save, 0),
      commit_keys: if_exported(module, :commit_keys, save, 1),
      commit_keys_unless_changed: if_exported(module, :commit_keys_unless_changed, save, 2),
      changes_seen: if_exported(module, :changes_seen, save, 0),
      claim: if_exported(module, :claim, save, 1),
      release: if_exported(module, :release, save, 1),
      place: if_exported(module, :place, save, 0),
      place_name: if_exported(module, :place_name, save, 0),
      in_transaction?: if_exported(module, :in_transaction?, save, 0),
      recover: if_exported(module, :recover, save, 0)
    }

    %{backend | place_name: place_name(backend)}
  end

  def new!(other, _context) do
    raise ArgumentError, "expected :persistence_module to be a module, got: #{inspect(other)}"
  end

  @spec load(t(), Changes.key()) :: {:ok, term()} | :absent | {:error, term()}
  def load(backend, {type, id}) do
    case call(backend, :load_keys, [type, id]) do
      {:ok, value} when not is_nil(value) -> {:ok, value}
      {:error, :not_found} -> :absent
      other -> failure(:load_keys, other)
    end
  end

  @doc "Whether `load_many/3` can be called."
  @spec loads_many?(t()) :: boolean()
  def loads_many?(%__MODULE__{load_many: load_many}), do: not is_nil(load_many)

  @doc "Returns those of a type's ids that exist."
  @spec load_many(t(), atom(), [String.t()]) :: {:ok, Changes.entries()} | {:error, term()}
  def load_many(backend, type, ids) do
    case call(backend, :load_many, [type, ids]) do
      {:ok, found} when is_map(found) and not is_struct(found) ->
        {:ok, for({id, value} <- found, value != nil, into: %{}, do: {{type, id}, value})}

      other ->
        failure(:load_many, other)
    end
  end

  @doc "Saves a key, or deletes it if the value is `nil`."
  @spec save(t(), Changes.key(), term() | nil) :: :ok | {:error, term()}
  def save(backend, {type, id}, nil) do
    with other when other != :ok <- call(backend, :delete_keys, [type, id]) do
      failure(:delete_keys, other)
    end
  end

  def save(backend, {type, id}, value) do
    with other when other != :ok <- call(backend, :save_keys, [type, id, value]) do
      failure(:save_keys, other)
    end
  end

  @doc "Whether `commit/2` can be called."
  @spec batch?(t()) :: boolean()
  def batch?(%__MODULE__{commit_keys: commit_keys}), do: not is_nil(commit_keys)

  @doc "Commits. Given the number of `changes_seen/1`, only if nobody else has changed anything since."
  @spec commit(t(), Changes.entries(), non_neg_integer() | nil) :: :ok | {:error, term()}
  def commit(backend, entries, seen \\ nil)

  def commit(%__MODULE__{commit_keys_unless_changed: nil} = backend, entries, _seen) do
    with other when other != :ok <- call(backend, :commit_keys, [Changes.to_data_set(entries)]) do
      failure(:commit_keys, other)
    end
  end

  def commit(backend, entries, seen) do
    args = [Changes.to_data_set(entries), seen]

    with other when other != :ok <- call(backend, :commit_keys_unless_changed, args) do
      failure(:commit_keys_unless_changed, other)
    end
  end

  @doc "Returns `{:ok, nil}` if the backend cannot tell."
  @spec changes_seen(t()) :: {:ok, non_neg_integer() | nil} | {:error, term()}
  def changes_seen(%__MODULE__{changes_seen: nil}), do: {:ok, nil}

  def changes_seen(backend) do
    case call(backend, :changes_seen, []) do
      {:ok, number} when is_integer(number) -> {:ok, number}
      other -> failure(:changes_seen, other)
    end
  end

  @spec claim(t(), Owner.t()) :: :ok | {:error, term()}
  def claim(%__MODULE__{claim: nil}, _owner), do: :ok

  def claim(backend, owner) do
    with other when other != :ok <- call(backend, :claim, [owner]), do: failure(:claim, other)
  end

  @spec release(t(), Owner.t()) :: :ok | {:error, term()}
  def release(%__MODULE__{release: nil}, _owner), do: :ok

  def release(backend, owner) do
    with other when other != :ok <- call(backend, :release, [owner]), do: failure(:release, other)
  end

  @doc "What two stores of one VM cannot share; `nil` if the backend cannot tell, or holds nothing yet."
  @spec place_of(t()) :: term() | nil
  def place_of(%__MODULE__{place: nil}), do: nil

  def place_of(backend) do
    with {:error, _reason} <- call_here(backend, :place, []), do: nil
  end

  # Never shows the context, which may contain a password.
  defp place_name(%__MODULE__{place_name: nil}), do: nil

  defp place_name(backend) do
    name = call_here(backend, :place_name, [])
    if is_binary(name) and String.valid?(name), do: name
  end

  @spec list(t()) :: {:ok, [Changes.key()]} | {:error, term()}
  def list(%__MODULE__{list_keys: nil}), do: {:error, {:not_supported, :list_keys}}

  def list(backend) do
    case call(backend, :list_keys, []) do
      {:ok, listed} when is_map(listed) and not is_struct(listed) -> keys(Map.to_list(listed), [])
      # The directory has never been written.
      {:error, :enoent} -> {:ok, []}
      other -> failure(:list_keys, other)
    end
  end

  # `length/1` fails on an improper list.
  defp keys([{type, ids} | rest], keys)
       when (is_atom(type) or is_binary(type)) and length(ids) >= 0 do
    if Enum.all?(ids, &id?/1),
      do: keys(rest, Enum.map(ids, &{type, to_string(&1)}) ++ keys),
      else: failure(:list_keys, nil)
  end

  defp keys([], keys), do: {:ok, keys}
  defp keys(_malformed, _keys), do: failure(:list_keys, nil)

  defp id?(id), do: is_binary(id) or is_integer(id) or (is_atom(id) and id != nil)

  @doc "Settles an interrupted commit, if the backend can."
  @spec recover(t()) :: :ok | {:error, term()}
  def recover(%__MODULE__{recover: nil}), do: :ok

  def recover(backend) do
    with other when other != :ok <- call(backend, :recover, []), do: failure(:recover, other)
  end

  # This backend cannot use the directory as it is.
  @directory_problems [
    :recovery_required,
    :changed_meanwhile,
    :unsupported_persistence_version,
    :unexpected_persistence_backend,
    :invalid_persistence_metadata,
    :unsupported_journal_version
  ]

  # `LockedError` is here because the lock has already been waited for.
  @lasting [CorruptFileError, InvalidKeyError, InvalidTermError, LockedError, NotOwnerError]

  @doc "Whether the same call could succeed later. A value that cannot be stored or read never can."
  @spec transient?(reason :: term()) :: boolean()
  def transient?(%DatabaseError{} = error), do: DatabaseError.transient?(error)
  def transient?(%CorruptRowError{}), do: false

  def transient?(%module{}) when module in @lasting, do: false

  def transient?({reason, _module, _detail}) when reason in @directory_problems, do: false
  # Waiting does not bring the rights of another user.
  def transient?(posix) when posix in [:eacces, :eperm, :erofs], do: false
  def transient?({:not_supported, _callback}), do: false
  def transient?({:rollback_failed, _reason, _keys}), do: false
  def transient?(_reason), do: true

  defp required!(module, callback, arity, context) do
    with_context = context != :error and function_exported?(module, callback, arity + 1)

    cond do
      with_context -> [elem(context, 1)]
      function_exported?(module, callback, arity) -> []
      true -> raise ArgumentError, missing(module, callback, arity, context)
    end
  end

  defp missing(module, callback, arity, :error) do
    "#{inspect(module)} has no #{callback}/#{arity}, and no :persistence_context was given " <>
      "to call #{callback}/#{arity + 1} with"
  end

  defp missing(module, callback, arity, {:ok, _context}) do
    "#{inspect(module)} has neither #{callback}/#{arity + 1} nor #{callback}/#{arity}"
  end

  defp if_exported(module, callback, prefix, arity) do
    if function_exported?(module, callback, arity + length(prefix)), do: prefix
  end

  # A transaction of the caller may never be committed, so the store must neither read nor cache what it has
  # written, and a claim must outlive it. This therefore calls from a process that has no transaction.
  defp call(backend, callback, args) do
    if in_transaction?(backend) do
      fn -> call_here(backend, callback, args) end |> Task.async() |> Task.await(:infinity)
    else
      call_here(backend, callback, args)
    end
  end

  defp in_transaction?(%__MODULE__{in_transaction?: nil}), do: false
  defp in_transaction?(backend), do: call_here(backend, :in_transaction?, []) == true

  defp call_here(%__MODULE__{module: module} = backend, callback, args) do
    apply(module, callback, Map.fetch!(backend, callback) ++ args)
  catch
    kind, reason -> {:error, {:backend_crashed, crash(module, kind, reason, __STACKTRACE__)}}
  end

  defp failure(_callback, {:error, reason}), do: {:error, reason}
  defp failure(callback, _other), do: {:error, {:bad_return, callback}}

  # The messages of most exceptions print the term that they concern, which may be a key. So do the arguments
  # in a stack trace.
  defp crash(module, :error, reason, stacktrace) do
    %exception{} = Exception.normalize(:error, reason, stacktrace)
    inspect(exception) <> place(module, stacktrace)
  end

  defp crash(module, kind, _reason, stacktrace) do
    Atom.to_string(kind) <> place(module, stacktrace)
  end

  defp place(module, stacktrace) do
    case Enum.find(stacktrace, List.first(stacktrace), &(elem(&1, 0) == module)) do
      nil -> ""
      entry -> " in " <> Exception.format_stacktrace_entry(without_args(entry))
    end
  end

  defp without_args({module, function, args, location}) when is_list(args) do
    {module, function, length(args), location}
  end

  defp without_args(entry), do: entry
end
