defmodule BaileysEx.Auth.CLI.Commands.Restore do
  @moduledoc false

  @behaviour BaileysEx.Auth.CLI.Command

  alias BaileysEx.Auth.CLI.{All, Backends, Layout, Place, Terminal}
  alias BaileysEx.Auth.Restore

  @impl true
  def usage do
    """
    Restores SNAPSHOT to the auth directory PATH. Everything that PATH holds,
    damaged or not, is copied aside first. First stop the program that uses PATH: a
    store of it can no longer write.

        mix baileys.auth.restore SNAPSHOT PATH [--aside DIR]
                                 [--backend native|json] [--json]
        mix baileys.auth.restore --all SNAPSHOTS ROOT [--json]

    The account goes back in time: messages that arrived since the snapshot cannot
    be read again. Restore if the directory is lost or damaged beyond
    `mix baileys.auth.repair`.

    ## Options

      * `--all` - restores every snapshot directly under SNAPSHOTS to the directory
        of the same name in ROOT. Failures are listed at the end, and accounts that
        equal their snapshot are skipped: run it again until all are restored,
        before anything uses them. Accounts without a snapshot stay as they are
      * `--aside DIR` - where to keep the old content of PATH, a path that does not
        exist yet; by default `.NAME.set-aside-TIME` beside PATH. It takes as much
        room as PATH. A place beside the mount point of a volume is not in the
        volume
      * `--backend native|json` - the form of SNAPSHOT, if it holds both kinds
      * `--json` - one JSON document on standard output, for scripts
      * `--help` - this text

    ## Exit codes

      * 0 - PATH holds the content of SNAPSHOT, durably
      * 1 - it could not be restored, and PATH is as it was; with `--all`, this
        holds for at least one account
      * 2 - wrong usage
      * 130, 143 - ended by Ctrl-C or by SIGTERM

    SNAPSHOT is verified first, and stays. A kill or a crash leaves PATH as it was,
    or complete when the next program opens it. PATH keeps owner, group and mode; it
    may be a mount point, and need not exist.
    """
  end

  @impl true
  def switches, do: [all: :boolean, aside: :string, backend: :string]

  @impl true
  def run([snapshot, path], options, terminal) do
    if Enum.any?([snapshot, path], &Place.account?/1) do
      {:usage,
       "is for directories; mix baileys.auth.migrate SNAPSHOT postgres:ACCOUNT --overwrite " <>
         "restores an account in PostgreSQL"}
    else
      All.or_one(options, fn -> all(snapshot, path, options, terminal) end, fn ->
        one(snapshot, path, options, terminal)
      end)
    end
  end

  def run(_arguments, _options, _terminal), do: {:usage, "expects SNAPSHOT and PATH"}

  defp all(snapshots, root, options, terminal) do
    if options[:aside] do
      {:usage, "--aside is for one directory, not for --all"}
    else
      All.into(snapshots, root, {"restore", "restored"}, terminal, fn account, path ->
        if Restore.restored?(account.path, path),
          do: {:skipped, "holds what its snapshot does already"},
          else: one(account.path, path, [], Terminal.plain())
      end)
    end
  end

  defp one(snapshot, path, options, terminal) do
    with {:ok, backend} <- Backends.given(options),
         {:ok, restored} <-
           Restore.run(snapshot, path, backend ++ Keyword.take(options, [:aside])) do
      {:ok, %{restored | backend: Backends.name(restored.backend)}, text(restored, terminal)}
    end
  end

  defp text(restored, terminal) do
    [
      Terminal.paint(terminal, [:green, "ok"]),
      "  #{Terminal.safe(restored.path)} is restored\n",
      Layout.facts([
        {"from", Terminal.safe(restored.snapshot)},
        {"set aside", restored.set_aside && Terminal.safe(restored.set_aside)}
      ])
    ]
  end
end
