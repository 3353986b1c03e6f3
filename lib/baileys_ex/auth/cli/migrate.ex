defmodule BaileysEx.Auth.CLI.Migrate do
  @moduledoc false

  @behaviour BaileysEx.Auth.CLI

  alias BaileysEx.Auth.CLI.{Backends, Failure, Layout, Progress, Terminal}
  alias BaileysEx.Auth.PersistenceMigration

  @impl true
  def usage do
    """
    Moves a whole auth directory from one form to the other: SOURCE is only read, and TARGET is
    complete or as it was. Stop the program that uses SOURCE first (Node.js, too): messages that it
    receives meanwhile would advance sessions that the copy does not see.

        mix baileys.auth.migrate SOURCE TARGET [--to native|json] [--overwrite] [--skip-corrupt]
                                 [--verify] [--json]

    ## Options

      * `--to native|json` - the form of TARGET: `native` (the default) takes the JSON directory of
        Baileys or baileys_ex, `json` takes a native one
      * `--overwrite` - replace a TARGET that is not empty
      * `--skip-corrupt` - leave out keys that cannot be read; credentials must be readable
      * `--verify` - read every file of the new TARGET once more
      * `--json` - one JSON document on standard output, for scripts
      * `--help` - this text

    ## Exit codes

      * 0 - TARGET is complete (but for what `--skip-corrupt` left out and names)
      * 1 - the migration failed and TARGET is as it was, or `--verify` found damage in it
      * 2 - wrong usage

    Ctrl-C, or a kill, at any moment leaves TARGET as it was. What had been written by then lies in a
    hidden directory beside it, which the next migration to the same TARGET removes.
    """
  end

  @impl true
  def switches do
    [to: :string, overwrite: :boolean, skip_corrupt: :boolean, verify: :boolean]
  end

  @impl true
  def run([source, target], options, terminal) do
    case Keyword.get(options, :to, "native") do
      "native" -> migrate(:migrate_compat_json_to_native, source, target, options, terminal)
      "json" -> migrate(:migrate_native_to_compat_json, source, target, options, terminal)
      _other -> {:usage, "--to is native or json"}
    end
  end

  def run(_arguments, _options, _terminal), do: {:usage, "expects SOURCE and TARGET"}

  defp migrate(function, source, target, options, terminal) do
    started = System.monotonic_time(:millisecond)

    with {:ok, summary} <- carry(function, source, target, options, terminal),
         elapsed = System.monotonic_time(:millisecond) - started,
         :ok <- verify(summary, options, terminal) do
      verified? = Keyword.get(options, :verify, false)
      {:ok, document(summary, verified?, elapsed), text(summary, verified?, elapsed, terminal)}
    end
  end

  defp carry(function, source, target, options, terminal) do
    Progress.run(terminal, "migrating", fn on_progress ->
      apply(PersistenceMigration, function, [
        source,
        target,
        [
          overwrite?: Keyword.get(options, :overwrite, false),
          on_corrupt: if(options[:skip_corrupt], do: :skip, else: :error),
          on_progress: on_progress
        ]
      ])
    end)
  end

  defp verify(summary, options, terminal) do
    if options[:verify] do
      verify = &summary.target_backend.verify(summary.target_path, on_progress: &1)

      with {:ok, report} <- Progress.run(terminal, "verifying", verify) do
        complete(summary, report)
      end
    else
      :ok
    end
  end

  defp complete(summary, report) do
    if report.families == summary.families and report.credentials? == summary.credentials?,
      do: :ok,
      else: {:error, {:incomplete_migration, summary.target_path}}
  end

  defp document(summary, verified?, elapsed) do
    %{
      summary
      | source_backend: Backends.name(summary.source_backend),
        target_backend: Backends.name(summary.target_backend),
        skipped: Failure.files(summary.skipped)
    }
    |> Map.merge(%{verified?: verified?, milliseconds: elapsed})
  end

  defp text(summary, verified?, elapsed, terminal) do
    rows = for {family, count} <- summary.families, do: [to_string(family), Layout.number(count)]
    total = ["total", Layout.number(summary.migrated_keys)]

    [
      Terminal.paint(terminal, [:green, "ok"]),
      "  migrated in #{Float.round(elapsed / 1000, 1)} s",
      if(verified?, do: ", and verified\n", else: "\n"),
      Layout.facts([
        {"from", side(summary.source_backend, summary.source_path, summary.bytes_read)},
        {"to", side(summary.target_backend, summary.target_path, summary.bytes_written)},
        {"credentials", if(summary.credentials?, do: "migrated", else: "none in the source")}
      ]),
      "\n",
      Layout.table(terminal, ["family", "keys"], Enum.sort(rows) ++ [total]),
      Layout.list(
        terminal,
        "left out, cannot be read",
        Enum.map(summary.skipped, &Failure.file/1)
      ),
      Layout.list(
        terminal,
        "useless elements left out of",
        for(%{file: file, elements: n} <- summary.dropped, do: "#{file}: #{n} without a key")
      ),
      Layout.list(terminal, "no keys, not migrated", summary.ignored)
    ]
  end

  defp side(backend, path, bytes) do
    "#{Terminal.safe(path)} (#{Backends.name(backend)}, #{Layout.size(bytes)})"
  end
end
