defmodule BaileysEx.Auth.CLI.Commands.Import do
  @moduledoc false

  @behaviour BaileysEx.Auth.CLI.Command

  alias BaileysEx.Auth.CLI.{Bytes, Choice, Migrated, Progress}
  alias BaileysEx.Auth.{FilePersistence, NativeFilePersistence, PersistenceMigration}
  alias BaileysEx.Auth.PersistenceMigration.JsonRows

  @impl true
  def usage do
    """
    Imports an account whose Baileys JSON is kept outside a directory, such as in
    the rows of a table. Afterwards TARGET is complete, or as it was before. First
    stop Node.js, then dump the account.

        mix baileys.auth.import FILE TARGET [--to native|json] [--prefix P]
                                [--overwrite] [--skip-corrupt]
                                [--without-credentials] [--carry-unknown]
                                [--sender-keys array|buffer] [--verify] [--json]

    FILE, or `-` for standard input, holds one row per line: `{"name": NAME,
    "value": VALUE}` or `[NAME, VALUE]`. NAME is `creds` or `auth_creds`, or
    `<type>-<id>` such as `pre-key-1`, and all may have the same prefix; VALUE is
    JSON, or text that holds JSON. Or FILE is one document: `{"creds": ..., "keys":
    {TYPE: {ID: VALUE}}}`.

    ## Options

      * `--to native|json` - the form of TARGET: `native` (the default) or the JSON
        directory of Baileys
      * `--prefix P` - the prefix of the names of this account; other rows are left
        out. By default it is the prefix that all names have
      * `--overwrite` - replace a TARGET that is not empty
      * `--skip-corrupt` - leave out keys that cannot be read; credentials must be
        readable
      * `--without-credentials` - import keys without the credentials to which they
        belong
      * `--carry-unknown` - also import values of unknown types
      * `--sender-keys array|buffer` - with `--to json`, the form of group keys:
        Baileys 6.17.16 and every version up to 6.7.18 can use only `array`, later
        ones `buffer`. By default the form in FILE
      * `--verify` - read every file of the new TARGET once more
      * `--json` - one JSON document on standard output, for scripts
      * `--help` - this text

    ## Exit codes

      * 0 - TARGET is complete (except for what `--skip-corrupt` left out and names)
      * 1 - the import failed and TARGET is as it was, or `--verify` found damage in
        it
      * 2 - wrong usage
      * 130, 143 - ended by Ctrl-C or by SIGTERM

    Rows may come in any order. Until all of them are read, they are kept beside
    TARGET, in a file without a name, which is gone when the import ends, however it
    ends.
    """
  end

  @impl true
  def switches do
    [
      to: :string,
      prefix: :string,
      overwrite: :boolean,
      skip_corrupt: :boolean,
      without_credentials: :boolean,
      carry_unknown: :boolean,
      sender_keys: :string,
      verify: :boolean
    ]
  end

  @impl true
  def run([file, target], options, terminal) do
    with {:ok, to} <- Choice.of(options, :to, [:native, :json]),
         {:ok, sender_keys} <- Choice.of(options, :sender_keys, [:array, :buffer]),
         {:ok, backend} <- backend(to[:to] || :native, sender_keys),
         {:ok, lines} <- Bytes.lines(file) do
      rows = JsonRows.of_lines(lines, name(file))

      Migrated.report("imported", options, terminal, fn ->
        carry(rows, {backend, target}, given(file, options) ++ sender_keys, terminal)
      end)
    end
  end

  def run(_arguments, _options, _terminal), do: {:usage, "expects FILE and TARGET"}

  defp backend(:native, []), do: {:ok, NativeFilePersistence}
  defp backend(:native, _form), do: {:usage, "--sender-keys goes with --to json"}
  defp backend(:json, _form), do: {:ok, FilePersistence}

  defp given(file, options) do
    [source_name: name(file)] ++ Migrated.options(options) ++ Keyword.take(options, [:prefix])
  end

  defp name("-"), do: "standard input"
  defp name(file), do: file

  defp carry(rows, target, options, terminal) do
    Progress.run(terminal, "importing", fn on_progress ->
      PersistenceMigration.migrate(rows, target, [on_progress: on_progress] ++ options)
    end)
  end
end
