defmodule BaileysEx.Auth.CLI.Commands.Snapshot do
  @moduledoc false

  @behaviour BaileysEx.Auth.CLI.Command

  alias BaileysEx.Auth.CLI.{All, Backends, Place, Terminal}
  alias BaileysEx.Auth.Inspection

  @impl true
  def usage do
    """
    Copies one consistent state of an auth directory to TARGET, which must be empty
    or not exist. The copy can be used at once. Native files are linked if the file
    system allows it: for a backup that survives the loss of the disk, copy the
    snapshot to another one.

        mix baileys.auth.snapshot PATH TARGET [--backend native|json] [--json]
        mix baileys.auth.snapshot postgres:ACCOUNT TARGET --repo MyApp.Repo
                                  [--schema NAME] [--json]
        mix baileys.auth.snapshot --all ROOT TARGET [--json]

    ## Options

      * `--all` - every auth directory directly under ROOT, each to the directory of
        the same name in TARGET. Failures are listed at the end. Run it again until
        all are done: it skips those that are already in TARGET, so use a new TARGET
        for each backup
      * `--backend native|json` - the form, if the directory holds both kinds
    #{Place.usage()}
      * `--json` - one JSON document on standard output, for scripts
      * `--help` - this text

    ## Exit codes

      * 0 - the snapshot is made, and on disk
      * 1 - it could not be made, and TARGET is as it was
      * 2 - wrong usage

    The state of a PostgreSQL account at one moment becomes a native directory. A
    directory may be in use: its lock keeps the owner from writing in the meantime.
    A running application can call `snapshot/2` of its backend instead.
    """
  end

  @impl true
  def switches, do: [all: :boolean, backend: :string] ++ Place.switches()

  @impl true
  def run([path, target], options, terminal) do
    All.or_one(options, fn -> all(path, target, terminal) end, fn ->
      one(path, target, options, terminal)
    end)
  end

  def run(_arguments, _options, _terminal), do: {:usage, "expects PATH and TARGET"}

  defp all(root, target, terminal) do
    All.into(root, target, {"snapshot", "copied"}, terminal, fn account, target ->
      case Inspection.detect(target) do
        {:ok, _backend} -> {:skipped, "is in TARGET already"}
        _not_yet -> one(account.path, target, [], Terminal.plain())
      end
    end)
  end

  defp one(path, target, options, terminal) do
    with {:ok, place} <- Place.of(path, options),
         :ok <- place.backend.snapshot(place.context, target) do
      target = Path.expand(target)
      document = %{path: place.name, target: target, backend: Backends.name(place.backend)}
      {:ok, document, text(place.name, target, terminal)}
    end
  end

  defp text(path, target, terminal) do
    [
      Terminal.paint(terminal, [:green, "ok"]),
      "  #{Terminal.safe(path)} is copied to #{Terminal.safe(target)}\n"
    ]
  end
end
