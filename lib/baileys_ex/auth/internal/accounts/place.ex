defmodule BaileysEx.Auth.Accounts.Place do
  @moduledoc false
  # The place where the accounts of one supervisor are, and the context of each account there.

  alias BaileysEx.Auth.{FilePersistence, NativeFilePersistence, PostgresPersistence}

  @helpers %{
    NativeFilePersistence => :use_native_file_auth_state,
    FilePersistence => :use_multi_file_auth_state,
    PostgresPersistence => :use_postgres_auth_state
  }
  @longest 200

  @derive {Inspect, only: [:backend, :root]}
  @enforce_keys [:backend, :root, :context]
  defstruct @enforce_keys

  @type t() :: %__MODULE__{backend: module(), root: Path.t() | nil, context: keyword() | nil}

  @spec new!(keyword()) :: t()
  def new!(opts) do
    backend = Keyword.get(opts, :backend, NativeFilePersistence)

    if not is_map_key(@helpers, backend) do
      choices = @helpers |> Map.keys() |> Enum.map_join(", ", &inspect/1)
      raise ArgumentError, "expected :backend to be one of #{choices}"
    end

    new!(backend, opts[:root], opts[:context])
  end

  defp new!(PostgresPersistence, nil, context) when is_list(context) do
    if Keyword.has_key?(context, :account) do
      raise ArgumentError, "expected :context without :account, which is the name to open"
    end

    %__MODULE__{backend: PostgresPersistence, root: nil, context: context}
  end

  defp new!(PostgresPersistence, _root, _context) do
    raise ArgumentError, "expected :context, a keyword list, and no :root for PostgreSQL"
  end

  # Resolved now, because the current directory may be another one later.
  defp new!(backend, root, nil) when is_binary(root) and root != "" do
    %__MODULE__{backend: backend, root: Path.expand(root), context: nil}
  end

  defp new!(_backend, _root, _context) do
    raise ArgumentError, "expected :root, a path, and no :context for accounts in files"
  end

  @doc "Returns the context of an account in the backend."
  @spec context(t(), String.t()) ::
          {:ok, Path.t() | keyword()} | {:error, {:invalid_account_name, String.t()}}
  def context(place, name) do
    case problem(name) do
      nil -> {:ok, under(place, name)}
      problem -> {:error, {:invalid_account_name, problem}}
    end
  end

  @doc "Returns the result of the backend's `use_*_auth_state`."
  @spec load(t(), Path.t() | keyword(), keyword()) :: {:ok, map()} | {:error, term()}
  def load(%__MODULE__{backend: backend}, context, opts) do
    apply(backend, Map.fetch!(@helpers, backend), [context, opts])
  end

  defp under(%__MODULE__{root: nil, context: context}, name) do
    Keyword.put(context, :account, name)
  end

  defp under(%__MODULE__{root: root}, name), do: Path.join(root, name)

  defp problem(name) when not is_binary(name), do: "is no text"
  defp problem(""), do: "is empty"
  defp problem("." <> _), do: "begins with a dot"

  defp problem(name) do
    cond do
      byte_size(name) > @longest -> "is longer than #{@longest} bytes"
      not String.valid?(name) -> "is not UTF-8 text"
      name =~ ~r/[\/\\]/ -> "holds a slash"
      name =~ ~r/[\x{00}-\x{1f}\x{7f}-\x{9f}]/u -> "holds a control character"
      true -> nil
    end
  end
end
