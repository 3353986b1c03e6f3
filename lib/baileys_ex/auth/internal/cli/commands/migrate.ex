defmodule BaileysEx.Auth.CLI.Commands.Migrate do
  @moduledoc false

  @behaviour BaileysEx.Auth.CLI.Command

  alias BaileysEx.Auth.CLI.{All, Choice, Migrated, Place, Progress, Terminal}

  alias BaileysEx.Auth.{
    FilePersistence,
    Inspection,
    NativeFilePersistence,
    PersistenceMigration
  }

  @impl true
  def usage do
    """
    Moves a whole auth directory from one form to the other, into an account in
    PostgreSQL (postgres:ACCOUNT) or out of one. SOURCE is only read; afterwards
    TARGET is complete, or as it was before. First stop the program that uses
    SOURCE, including Node.js: messages that it receives in the meantime would
    advance its sessions, but not those of the copy.

        mix baileys.auth.migrate SOURCE TARGET [--to native|json] [--overwrite]
                                 [--skip-corrupt] [--without-credentials]
                                 [--allow-changes] [--carry-unknown]
                                 [--sender-keys array|buffer]
                                 [--device-names current|old] [--verify] [--json]
        mix baileys.auth.migrate SOURCE postgres:ACCOUNT --repo MyApp.Repo
                                 [--schema NAME] [options as above]
        mix baileys.auth.migrate postgres:ACCOUNT TARGET --repo MyApp.Repo
                                 [--schema NAME] [options as above]
        mix baileys.auth.migrate --all ROOT TARGET [options as above]

    ## Options

      * `--all` - every auth directory directly under ROOT, each to the directory of
        the same name in TARGET. Failures are listed at the end. Run it again until
        all are done: it skips those that are
      * `--to native|json` - the form of TARGET: `native` (the default) takes the
        JSON directory of Baileys or baileys_ex, `json` takes a native one
    #{Place.usage()}
      * `--overwrite` - replace a TARGET that is not empty
      * `--skip-corrupt` - leave out keys that cannot be read; credentials must be
        readable
      * `--without-credentials` - migrate keys for which SOURCE holds no credentials
      * `--allow-changes` - publish what was read although SOURCE was written to in
        the meantime
      * `--carry-unknown` - also copy files of no known family, such as another
        program's JSON
      * `--sender-keys array|buffer` - with `--to json`, the form of group keys:
        Baileys 6.17.16 and every version up to 6.7.18 can use only `array`, later
        ones `buffer`. By default the form that SOURCE was made from
      * `--device-names current|old` - with `--to json`: `old` for Baileys before
        6.4, which has other names for the files of devices
      * `--verify` - read every file of the new TARGET once more
      * `--json` - one JSON document on standard output, for scripts
      * `--help` - this text

    ## Exit codes

      * 0 - TARGET is complete (except for what `--skip-corrupt` left out and names)
      * 1 - the migration failed and TARGET is as it was, or `--verify` found damage
        in it
      * 2 - wrong usage
      * 130, 143 - ended by Ctrl-C or by SIGTERM

    Ctrl-C, a kill or a crash leaves TARGET as it was, or at the last moment
    complete: the next program that opens it completes it. Unfinished files are in a
    hidden directory beside TARGET, or in hidden files in it if it exists; the next
    migration to the same TARGET removes them. An existing TARGET keeps owner, group
    and mode, and may be a mount point.
    """
  end

  @impl true
  def switches do
    [
      all: :boolean,
      to: :string,
      overwrite: :boolean,
      skip_corrupt: :boolean,
      without_credentials: :boolean,
      allow_changes: :boolean,
      carry_unknown: :boolean,
      sender_keys: :string,
      device_names: :string,
      verify: :boolean
    ] ++ Place.switches()
  end

  @impl true
  def run([source, target], options, terminal) do
    with {:ok, function} <- function(Keyword.get(options, :to, "native"), options),
         {:ok, sender_keys} <- Choice.of(options, :sender_keys, [:array, :buffer]),
         {:ok, device_names} <- Choice.of(options, :device_names, [:current, :old]) do
      options = sender_keys ++ device_names ++ options
      accounts? = Place.account?(source) or Place.account?(target)

      cond do
        options[:all] && accounts? ->
          {:usage, "--all is for directories"}

        accounts? ->
          between(source, target, options, terminal)

        true ->
          with :ok <- Place.directory_only(options) do
            if options[:all],
              do: all(function, source, target, options, terminal),
              else: migrate(function, source, target, options, terminal)
          end
      end
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

  defp all(function, root, target, options, terminal) do
    to =
      if function == :migrate_native_to_compat_json,
        do: FilePersistence,
        else: NativeFilePersistence

    All.into(root, target, {"migrate", "migrated"}, terminal, fn account, target ->
      cond do
        Inspection.detect(account.path) == {:ok, to} ->
          {:skipped, "has the form of TARGET already"}

        Inspection.detect(target) == {:ok, to} and not Keyword.get(options, :overwrite, false) ->
          {:skipped, "is in TARGET already"}

        true ->
          migrate(function, account.path, target, options, Terminal.plain())
      end
    end)
  end

  # At least one side is an account in PostgreSQL.
  defp between(source, target, options, terminal) do
    with {:ok, to} <- target(target, options),
         {:ok, from} <- source(source, options) do
      migrate = fn ->
        carry(
          [{from.backend, from.context}, {to.backend, to.context}],
          :migrate,
          options,
          terminal
        )
      end

      Migrated.report("migrated", options, terminal, migrate, to.context)
    end
  end

  defp source(source, options) do
    if Place.account?(source), do: Place.of(source, options), else: Place.of(source, [])
  end

  defp target(target, options) do
    cond do
      not Place.account?(target) and options[:to] == "json" ->
        {:ok, Place.directory(FilePersistence, target)}

      not Place.account?(target) ->
        {:ok, Place.directory(NativeFilePersistence, target)}

      options[:to] ->
        {:usage, "--to is for a TARGET that is a directory"}

      true ->
        Place.of(target, options)
    end
  end

  defp migrate(function, source, target, options, terminal) do
    Migrated.report("migrated", options, terminal, fn ->
      carry([source, target], function, options, terminal)
    end)
  end

  defp carry(places, function, options, terminal) do
    Progress.run(terminal, "migrating", fn on_progress ->
      opts =
        [
          on_change: if(options[:allow_changes], do: :ignore, else: :error),
          on_progress: on_progress
        ] ++
          Migrated.options(options) ++
          for(name <- [:sender_keys, :device_names], options[name], do: {name, options[name]})

      apply(PersistenceMigration, function, places ++ [opts])
    end)
  end
end
