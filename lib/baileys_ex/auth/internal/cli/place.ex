defmodule BaileysEx.Auth.CLI.Place do
  @moduledoc false
  # The place that an argument of a command names: an auth directory, by its path, or `postgres:ACCOUNT`, an
  # account in the database of the Ecto repository that `--repo` names.

  alias BaileysEx.Auth.CLI.{Backends, Repository}
  alias BaileysEx.Auth.PostgresPersistence

  @type t() :: %{backend: module(), context: Path.t() | keyword(), name: String.t()}
  @type refusal() :: {:error, term()} | {:usage, String.t()}

  @doc "The options for an account in PostgreSQL."
  @spec switches() :: keyword()
  def switches, do: [repo: :string, schema: :string]

  @doc "These options in usage texts."
  @spec usage() :: String.t()
  def usage do
    String.trim_trailing("""
      * `--repo MODULE` - for postgres:ACCOUNT, the Ecto repository; only it is
        started, with two connections
      * `--schema NAME` - for postgres:ACCOUNT, the schema that holds the tables
    """)
  end

  @spec account?(String.t()) :: boolean()
  def account?(argument), do: String.starts_with?(argument, "postgres:")

  @doc "Returns the place. The form of a directory is that of `--backend`, or else the one that its files show."
  @spec of(String.t(), keyword()) :: {:ok, t()} | refusal()
  def of("postgres:" <> account, options) do
    if options[:backend],
      do: {:usage, "--backend is for a directory"},
      else: account(account, options)
  end

  def of(path, options) do
    with :ok <- directory_only(options),
         {:ok, backend} <- Backends.of(path, options) do
      {:ok, directory(backend, path)}
    end
  end

  @doc "Returns a directory that need not exist yet."
  @spec directory(module(), Path.t()) :: t()
  def directory(backend, path) do
    path = Path.expand(path)
    %{backend: backend, context: path, name: path}
  end

  @spec directory_only(keyword()) :: :ok | {:usage, String.t()}
  def directory_only(options) do
    if options[:repo] || options[:schema],
      do: {:usage, "--repo and --schema go with postgres:ACCOUNT"},
      else: :ok
  end

  defp account("", _options), do: {:usage, "postgres: needs the name of the account behind it"}

  defp account(account, options) do
    with {:ok, repo} <- repo(options[:repo]),
         :ok <- Repository.start(repo) do
      context = [repo: repo, account: account] ++ schema(options[:schema])

      {:ok,
       %{
         backend: PostgresPersistence,
         context: context,
         name: PostgresPersistence.place_name(context)
       }}
    end
  rescue
    # The error shows no value.
    error in ArgumentError -> {:usage, Exception.message(error)}
  end

  defp schema(nil), do: []
  defp schema(name), do: [prefix: name]

  defp repo(nil), do: {:usage, "postgres:ACCOUNT needs --repo, such as --repo MyApp.Repo"}

  defp repo(name) do
    if name =~ ~r/\A[A-Z]\w*(\.[A-Z]\w*)*\z/,
      do: {:ok, Module.concat([name])},
      else: {:usage, "--repo is the name of a module, such as MyApp.Repo"}
  end
end
