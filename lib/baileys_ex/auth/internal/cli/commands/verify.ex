defmodule BaileysEx.Auth.CLI.Commands.Verify do
  @moduledoc false

  @behaviour BaileysEx.Auth.CLI.Command

  alias BaileysEx.Auth.CLI.{All, Backends, Layout, Place, Progress, Terminal}
  alias BaileysEx.Auth.{Numbers, PostgresPersistence}

  @impl true
  def usage do
    """
    Reads every file of an auth directory, or every row of an account in PostgreSQL,
    and reports everything that cannot be read.

        mix baileys.auth.verify PATH [--backend native|json] [--without-credentials]
                                [--json]
        mix baileys.auth.verify postgres:ACCOUNT --repo MyApp.Repo [--schema NAME]
                                [--without-credentials] [--json]
        mix baileys.auth.verify --all ROOT [--without-credentials] [--json]

    ## Options

      * `--all` - every auth directory directly under ROOT, several at a time
      * `--backend native|json` - which files to read, if the directory holds both
        kinds
    #{Place.usage()}
      * `--without-credentials` - do not report keys without credentials as a
        problem
      * `--json` - one JSON document on standard output, for scripts
      * `--help` - this text

    ## Exit codes

      * 0 - every file can be read
      * 1 - some files cannot be read, there are keys but no credentials, the
        directory cannot be opened, or the account holds nothing
      * 2 - wrong usage

    The directory is only read, and may be in use.
    """
  end

  @impl true
  def switches,
    do: [all: :boolean, backend: :string, without_credentials: :boolean] ++ Place.switches()

  @impl true
  def run([path], options, terminal) do
    All.or_one(options, fn -> all(path, options, terminal) end, fn ->
      one(path, options, terminal)
    end)
  end

  def run(_arguments, _options, _terminal), do: {:usage, "expects one PATH"}

  defp all(root, options, terminal) do
    All.run(root, {"verify", "verified"}, terminal, &one(&1.path, options, Terminal.plain()))
  end

  defp one(path, options, terminal) do
    with {:ok, place} <- Place.of(path, options),
         {:ok, report} <- verify(place, options, terminal),
         :ok <- anything(report, place) do
      {:ok, document(report, place), text(report, place.name, terminal)}
    end
  end

  defp verify(place, options, terminal) do
    credentials = if options[:without_credentials], do: :optional, else: :required

    Progress.run(terminal, "verifying", fn on_progress ->
      place.backend.verify(place.context, credentials: credentials, on_progress: on_progress)
    end)
  end

  # A misspelt account name.
  defp anything(
         %{credentials?: false, families: families},
         %{backend: PostgresPersistence} = place
       )
       when families == %{},
       do: {:error, {:not_an_auth_directory, place.name}}

  defp anything(_report, _place), do: :ok

  defp document(report, place) do
    Map.merge(report, %{path: place.name, backend: Backends.name(place.backend)})
  end

  defp text(report, path, terminal) do
    keys = report.families |> Map.values() |> Enum.sum()
    credentials = if report.credentials?, do: "credentials and ", else: ""

    [
      Terminal.paint(terminal, [:green, "ok"]),
      "  #{Terminal.safe(path)}: #{credentials}#{Numbers.count(keys, "key")} can be read, ",
      "#{Layout.size(report.bytes_read)}\n",
      Layout.list(terminal, "of no known family, not read", report.unknown),
      Layout.list(terminal, "no keys, not read", report.ignored)
    ]
  end
end
