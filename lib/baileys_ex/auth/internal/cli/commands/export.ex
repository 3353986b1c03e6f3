defmodule BaileysEx.Auth.CLI.Commands.Export do
  @moduledoc false

  @behaviour BaileysEx.Auth.CLI.Command

  alias BaileysEx.Auth.CLI.{Backends, Bytes, Choice, Progress, Terminal}
  alias BaileysEx.Auth.{JSON, Numbers, PersistenceMigration}

  @impl true
  def usage do
    """
    Writes an account as lines of JSON, `{"name": NAME, "value": VALUE}`, the
    credentials first, for a store of Node.js. First stop the program that uses
    PATH: messages that it receives afterwards would advance its sessions, but not
    those of the copy.

        mix baileys.auth.export PATH FILE [--prefix P] [--creds-name NAME]
                                [--sender-keys array|buffer] [--bytes base64|array]
                                [--text] [--skip-corrupt] [--overwrite]
                                [--backend native|json] [--json]

    FILE must not exist, and will be readable only by its owner; `-` is standard
    output.

    ## Options

      * `--prefix P` - put this in front of every name, such as `ada:`
      * `--creds-name NAME` - the name of the credentials: `creds`, or `auth_creds`
        for postgres-baileys
      * `--sender-keys array|buffer` - the form of group keys: Baileys 6.17.16 and
        every version up to 6.7.18 can use only `array`, later ones `buffer`. By
        default the form that PATH was made from
      * `--bytes base64|array` - how bytes are written: `base64` (the default) as by
        Baileys, `array` as a list of numbers, which postgres-baileys needs
      * `--text` - make VALUE a text that contains the JSON
      * `--skip-corrupt` - leave out keys that cannot be read; credentials must be
        readable
      * `--overwrite` - replace FILE
      * `--backend native|json` - the form, if PATH holds both kinds
      * `--json` - one JSON document on standard output, for scripts
      * `--help` - this text

    ## Exit codes

      * 0 - FILE is complete, and on disk
      * 1 - the export failed, and FILE is as it was
      * 2 - wrong usage
      * 130, 143 - ended by Ctrl-C or by SIGTERM
    """
  end

  @impl true
  def switches do
    [
      prefix: :string,
      creds_name: :string,
      sender_keys: :string,
      bytes: :string,
      text: :boolean,
      skip_corrupt: :boolean,
      overwrite: :boolean,
      backend: :string
    ]
  end

  @impl true
  def run([path, file], options, terminal) do
    with :ok <- one_output(file, options),
         {:ok, sender_keys} <- Choice.of(options, :sender_keys, [:array, :buffer]),
         {:ok, bytes} <- Choice.of(options, :bytes, [:base64, :array]),
         {:ok, backend} <- Backends.of(path, options),
         given = given(options) ++ sender_keys ++ bytes,
         {:ok, count} <- write({backend, path}, file, {given, options}, terminal) do
      document = %{
        path: Path.expand(path),
        file: file,
        backend: Backends.name(backend),
        rows: count
      }

      {:ok, document, text(file, count, terminal)}
    end
  end

  def run(_arguments, _options, _terminal), do: {:usage, "expects PATH and FILE"}

  defp one_output("-", options) do
    if options[:json],
      do: {:usage, "--json goes with a FILE, - is standard output too"},
      else: :ok
  end

  defp one_output(_file, _options), do: :ok

  defp given(options) do
    [on_corrupt: if(options[:skip_corrupt], do: :skip, else: :error)] ++
      Keyword.take(options, [:prefix, :creds_name])
  end

  defp write(place, file, {given, options}, terminal) do
    Progress.run(terminal, "exporting", fn on_progress ->
      with {:ok, rows} <- PersistenceMigration.export(place, [on_progress: on_progress] ++ given) do
        rows |> Stream.map(&line(&1, options[:text])) |> Bytes.write(file, options[:overwrite])
      end
    end)
  end

  defp line({name, json}, true), do: line({name, IO.iodata_to_binary(JSON.encode(json))}, nil)

  defp line({name, json}, _parsed),
    do: [~s({"name":), JSON.encode(name), ~s(,"value":), json, "}\n"]

  defp text("-", _count, _terminal), do: []

  defp text(file, count, terminal) do
    [
      Terminal.paint(terminal, [:green, "ok"]),
      "  #{Numbers.count(count, "row")} written to #{Terminal.safe(file)}\n"
    ]
  end
end
