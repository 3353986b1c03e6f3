defmodule BaileysEx.Auth.CLI.Commands.Migrate do
  @moduledoc false

  @behaviour BaileysEx.Auth.CLI.Command

  alias BaileysEx.Auth.CLI.{Backends, Failure, Layout, Progress, Terminal}
  alias BaileysEx.Auth.{NativeFilePersistence, PersistenceMigration}

  @impl true
  def usage do
    """
    Moves a whole auth directory from one form to the other: SOURCE is only read, and TARGET is
    complete or as it was. Stop the program that uses SOURCE first (Node.js, too): messages that it
    receives meanwhile would advance sessions that the copy does not see.

        mix baileys.auth.migrate SOURCE TARGET [--to native|json] [--overwrite] [--skip-corrupt]
                                 [--without-credentials] [--allow-changes] [--carry-unknown]
                                 [--sender-keys array|buffer] [--device-names current|old]
                                 [--verify] [--json]

    ## Options

      * `--to native|json` - the form of TARGET: `native` (the default) takes the JSON directory of
        Baileys or baileys_ex, `json` takes a native one
      * `--overwrite` - replace a TARGET that is not empty
      * `--skip-corrupt` - leave out keys that cannot be read; credentials must be readable
      * `--without-credentials` - migrate keys for which SOURCE holds no credentials
      * `--allow-changes` - publish what was read although SOURCE was written to meanwhile
      * `--carry-unknown` - carry files of no known family over too, such as another program's JSON
      * `--sender-keys array|buffer` - with `--to json`, the form of group keys: Baileys 6.17.16 and
        every version up to 6.7.18 can use `array` only, later ones `buffer`. By default the form
        that SOURCE was made from
      * `--device-names current|old` - with `--to json`: `old` for Baileys before 6.4, which asks for
        devices under other names
      * `--verify` - read every file of the new TARGET once more
      * `--json` - one JSON document on standard output, for scripts
      * `--help` - this text

    ## Exit codes

      * 0 - TARGET is complete (but for what `--skip-corrupt` left out and names)
      * 1 - the migration failed and TARGET is as it was, or `--verify` found damage in it
      * 2 - wrong usage
      * 130, 143 - ended by Ctrl-C or by SIGTERM

    Ctrl-C, a kill or a crash leaves TARGET as it was or, in the last moment, complete: whoever opens it
    next finishes what is left to do. What had been written by then lies in a
    hidden directory beside it, or in hidden files in it where it exists; the next migration to the same
    TARGET removes them. A TARGET that exists keeps owner, group and mode, and may be a mount point.
    """
  end

  @impl true
  def switches do
    [
      to: :string,
      overwrite: :boolean,
      skip_corrupt: :boolean,
      without_credentials: :boolean,
      allow_changes: :boolean,
      carry_unknown: :boolean,
      sender_keys: :string,
      device_names: :string,
      verify: :boolean
    ]
  end

  @impl true
  def run([source, target], options, terminal) do
    with {:ok, function} <- function(Keyword.get(options, :to, "native"), options),
         {:ok, sender_keys} <- choice(options, :sender_keys, [:array, :buffer]),
         {:ok, device_names} <- choice(options, :device_names, [:current, :old]) do
      migrate(function, source, target, sender_keys ++ device_names ++ options, terminal)
    end
  end

  def run(_arguments, _options, _terminal), do: {:usage, "expects SOURCE and TARGET"}

  defp function("native", options) do
    if options[:sender_keys] || options[:device_names],
      do: {:usage, "--sender-keys and --device-names go with --to json"},
      else: {:ok, :migrate_compat_json_to_native}
  end

  defp function("json", _options), do: {:ok, :migrate_native_to_compat_json}
  defp function(_other, _options), do: {:usage, "--to is native or json"}

  # The option as the migration takes it, before the text of the command line.
  defp choice(options, name, choices) do
    case {options[name], Enum.find(choices, &(to_string(&1) == options[name]))} do
      {nil, nil} ->
        {:ok, []}

      {_text, nil} ->
        flag = name |> to_string() |> String.replace("_", "-")
        {:usage, "--#{flag} is #{Enum.join(choices, " or ")}"}

      {_text, value} ->
        {:ok, [{name, value}]}
    end
  end

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
          credentials: if(options[:without_credentials], do: :optional, else: :required),
          on_change: if(options[:allow_changes], do: :ignore, else: :error),
          unknown: if(options[:carry_unknown], do: :carry, else: :leave),
          on_progress: on_progress
        ] ++ for(name <- [:sender_keys, :device_names], options[name], do: {name, options[name]})
      ])
    end)
  end

  defp verify(summary, options, terminal) do
    if options[:verify] do
      verify = fn on_progress ->
        options = [credentials: :optional, on_progress: on_progress]
        summary.target_backend.verify(summary.target_path, options)
      end

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
        {"credentials", if(summary.credentials?, do: "migrated", else: "none in the source")},
        {"group keys", sender_keys(summary)}
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
        "devices named as other versions of Baileys ask for them",
        for(%{from: from, to: to} <- summary.renamed, do: "#{from} is #{to}")
      ),
      Layout.list(
        terminal,
        "left out, there under the current name as well",
        summary.superseded
      ),
      Layout.list(
        terminal,
        "useless elements left out of",
        for(%{file: file, elements: n} <- summary.dropped, do: "#{file}: #{n} without a key")
      ),
      Layout.list(terminal, "changed meanwhile, and may be older in the target", summary.changed),
      Layout.list(terminal, "of no known family, not migrated", summary.unknown),
      Layout.list(terminal, "no keys, not migrated", summary.ignored)
    ]
  end

  defp sender_keys(%{sender_keys: nil}), do: "none"

  defp sender_keys(%{sender_keys: :array, target_backend: NativeFilePersistence}),
    do: "an array in the source (Baileys up to 6.7.18, and 6.17.16), as the way back writes them"

  defp sender_keys(%{sender_keys: :buffer, target_backend: NativeFilePersistence}),
    do: "a Buffer in the source (Baileys 6.7.19 and later)"

  defp sender_keys(%{sender_keys: :array}),
    do: "an array, for Baileys up to 6.7.18 and 6.17.16"

  defp sender_keys(%{sender_keys: :buffer}), do: "a Buffer, for Baileys 6.7.19 and later"

  defp side(backend, path, bytes) do
    "#{Terminal.safe(path)} (#{Backends.name(backend)}, #{Layout.size(bytes)})"
  end
end
