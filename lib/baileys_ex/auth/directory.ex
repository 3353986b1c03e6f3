defmodule BaileysEx.Auth.Directory do
  @moduledoc false
  # What the two file backends share: paths, locks, opening, changes and errors.
  #
  # A backend is `{module, format}`; the NIF knows directories by absolute path and format.

  alias BaileysEx.Auth.{Lock, Native, NativeError, Persistence, State}

  @type backend() :: {module(), :json | :etf}
  @type key() :: {family :: String.t(), id :: String.t() | nil}

  @creds {"creds", nil}

  # The families that Baileys and baileys_ex have: their atoms exist wherever this is loaded.
  @families ~w(session pre-key sender-key sender-key-memory app-state-sync-key
               app-state-sync-version lid-mapping device-list tctoken identity-key)a
  @family_atoms Map.new(@families, &{Atom.to_string(&1), &1})

  @doc "The families of keys that have a schema."
  @spec families() :: [atom()]
  def families, do: @families

  @spec creds() :: key()
  def creds, do: @creds

  @spec key(atom() | String.t(), term()) :: key()
  def key(type, id), do: {to_string(type), to_string(id)}

  @doc "Where a key's file is, for messages."
  @spec file(Path.t(), key(), String.t()) :: Path.t()
  def file(path, {family, id}, extension) do
    stem = if id, do: "#{family}-#{id}", else: family
    name = stem |> String.replace("/", "__") |> String.replace(":", "-")
    Path.join(Path.expand(path), name <> extension)
  end

  @doc """
  Runs a NIF that reads, without a lock. The first touch of a directory by this VM recovers what
  an interrupted commit left, under the lock.
  """
  @spec read(backend(), Path.t(), (Path.t() -> term())) :: {:ok, term()} | {:error, term()}
  def read({module, format}, path, nif) do
    path = Path.expand(path)

    case nif.(path) do
      :closed ->
        with :ok <- locked({module, format}, path, &Native.store_open(&1, format)) do
          result(nif.(path), module)
        end

      result ->
        result(result, module)
    end
  end

  @doc "Runs a NIF that needs the directory for itself."
  @spec locked(backend(), Path.t(), (Path.t() -> term())) ::
          :ok | {:ok, term()} | {:error, term()}
  def locked({module, _format}, path, nif) do
    path = Path.expand(path)
    {module, path} |> Lock.run(fn -> nif.(path) end) |> result(module)
  end

  @spec list_keys(backend(), Path.t()) :: {:ok, Persistence.key_list()} | {:error, term()}
  def list_keys({_module, format} = backend, path) do
    with {:ok, keys} <- read(backend, path, &Native.store_list(&1, format)) do
      {:ok, Map.new(keys, fn {family, ids} -> {type(family), ids} end)}
    end
  end

  @doc "The type of a family read from disk: never a new atom."
  @spec type(String.t()) :: atom() | String.t()
  def type(family) do
    case @family_atoms do
      %{^family => type} -> type
      _ -> String.to_existing_atom(family)
    end
  rescue
    ArgumentError -> family
  end

  @doc "A flat list of `{family, id, value}`; `nil` stands for deletion."
  @spec flatten(Persistence.changes()) :: [{String.t(), String.t(), term() | nil}]
  def flatten(changes) do
    for {type, entries} <- changes, {id, value} <- entries do
      {family, id} = key(type, id)
      {family, id, value}
    end
  end

  @doc "The `save_creds` of the auth-state helpers."
  @spec save_creds_with((State.t() -> :ok | {:error, term()})) ::
          (State.t() | map() -> :ok | {:error, term()})
  def save_creds_with(save) do
    fn
      %State{} = state -> save.(state)
      %{creds: %State{} = state} -> save.(state)
      %{creds: %{} = fields} -> save.(struct(State, fields))
      %{} = fields -> save.(struct(State, fields))
    end
  end

  @doc "What a connection needs to keep its Signal keys in this directory."
  @spec connect_opts(module(), Path.t()) :: keyword()
  def connect_opts(module, path) do
    [
      signal_store_module: BaileysEx.Auth.KeyStore,
      signal_store_opts: [persistence_module: module, persistence_context: path]
    ]
  end

  defp result({:error, reason}, module), do: {:error, NativeError.to_public(reason, module)}
  defp result(result, _module), do: result
end
