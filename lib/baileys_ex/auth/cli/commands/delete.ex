defmodule BaileysEx.Auth.CLI.Commands.Delete do
  @moduledoc false

  @behaviour BaileysEx.Auth.CLI.Command

  alias BaileysEx.Auth.CLI.{Backends, Failure, Terminal}
  alias BaileysEx.Auth.Inspection

  @impl true
  def usage do
    """
    Deletes the credentials and keys of an account that has been logged out, which
    cannot be paired again with what it has. All of it goes, or nothing. Whoever is
    using the directory loses it.

        mix baileys.auth.delete PATH [--yes] [--backend native|json] [--json]

    It cannot be undone: make a snapshot first where you are not sure. The
    directory itself stays, with files in it that are not of the account.

    ## Options

      * `--yes` - do not ask; needed where nobody can answer, and with `--json`
      * `--backend native|json` - which form, where the directory holds both kinds
      * `--json` - one JSON document on standard output, for scripts
      * `--help` - this text

    ## Exit codes

      * 0 - the account is deleted, durably
      * 1 - it is not, because of an error or because the answer was not yes
      * 2 - wrong usage
    """
  end

  @impl true
  def switches, do: [yes: :boolean, backend: :string]

  @impl true
  def run([path], options, terminal) do
    with {:ok, backend} <- Backends.of(path, options),
         path = Path.expand(path),
         {:ok, keys} <- backend.list_keys(path),
         :ok <- agreed(path, backend, keys, options, terminal),
         :ok <- backend.delete_auth_state(path) do
      document = %{path: path, backend: Backends.name(backend), deleted_keys: count(keys)}
      {:ok, document, [Terminal.paint(terminal, [:green, "ok"]), "  ", done(path), "\n"]}
    end
  end

  def run(_arguments, _options, _terminal), do: {:usage, "expects one PATH"}

  defp count(keys), do: keys |> Map.values() |> Enum.map(&length/1) |> Enum.sum()

  defp done(path), do: "the account in #{Terminal.safe(path)} is deleted"

  defp agreed(path, backend, keys, options, terminal) do
    cond do
      options[:yes] -> :ok
      options[:json] -> {:usage, "--json needs --yes"}
      not terminal.interactive? -> {:usage, "--yes is needed where nobody can be asked"}
      true -> ask(path, backend, keys)
    end
  end

  defp ask(path, backend, keys) do
    whose =
      case Inspection.inspect_directory(path, backend: backend) do
        {:ok, %{account: %{id: id}}} when is_binary(id) -> "the account #{id}"
        {:ok, _report} -> "an account that is not known"
        {:error, reason} -> "what cannot be read (#{Failure.describe(reason, "inspect").message})"
      end

    question = "#{path} holds #{whose}, with #{count(keys)} keys.\nDelete all of it? Type yes: "

    case IO.gets(Terminal.safe(question)) do
      answer when is_binary(answer) ->
        if String.trim(answer) == "yes", do: :ok, else: {:error, {:not_agreed, path}}

      _nobody ->
        {:error, {:not_agreed, path}}
    end
  end
end
