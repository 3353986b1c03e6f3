defmodule BaileysEx.Auth.CLI.Commands.Delete do
  @moduledoc false

  @behaviour BaileysEx.Auth.CLI.Command

  alias BaileysEx.Auth.CLI.{Backends, Failure, Place, Terminal}
  alias BaileysEx.Auth.{DatabaseError, Inspection, Numbers, PostgresPersistence, State}

  @impl true
  def usage do
    """
    Deletes the credentials and keys of an account that has been logged out, which
    cannot be paired again with its old state. Everything is deleted, or nothing. A
    store that uses the directory can no longer write.

        mix baileys.auth.delete PATH [--yes] [--backend native|json] [--json]
        mix baileys.auth.delete postgres:ACCOUNT --repo MyApp.Repo [--schema NAME]
                                [--yes] [--json]

    This cannot be undone: if you are not sure, make a snapshot first. The directory
    itself stays, with files in it that are not part of the account.

    ## Options

      * `--yes` - do not ask; required without a terminal, and with `--json`
      * `--backend native|json` - the form, if the directory holds both kinds
    #{Place.usage()}
      * `--json` - one JSON document on standard output, for scripts
      * `--help` - this text

    ## Exit codes

      * 0 - the account is deleted, durably
      * 1 - it is not, because of an error or because the answer was not yes
      * 2 - wrong usage
    """
  end

  @impl true
  def switches, do: [yes: :boolean, backend: :string] ++ Place.switches()

  @impl true
  def run([path], options, terminal) do
    with {:ok, place} <- Place.of(path, options),
         {:ok, keys} <- place.backend.list_keys(place.context),
         :ok <- there(place, keys),
         :ok <- agreed(place, keys, options, terminal),
         :ok <- place.backend.delete_auth_state(place.context) do
      document = %{
        path: place.name,
        backend: Backends.name(place.backend),
        deleted_keys: count(keys)
      }

      {:ok, document, [Terminal.paint(terminal, [:green, "ok"]), "  ", done(place), "\n"]}
    end
  end

  def run(_arguments, _options, _terminal), do: {:usage, "expects one PATH"}

  defp count(keys), do: keys |> Map.values() |> Enum.map(&length/1) |> Enum.sum()

  # A misspelt name has nothing to delete, and would look as if the deletion had succeeded.
  defp there(%{backend: PostgresPersistence} = place, keys) when keys == %{} do
    with {:error, {:no_credentials, _account}} <-
           PostgresPersistence.load_credentials(place.context, must_exist: true) do
      {:error, {:not_an_auth_directory, place.name}}
    else
      # An account that cannot be read exists.
      {:error, %DatabaseError{}} = error -> error
      _there -> :ok
    end
  end

  defp there(_place, _keys), do: :ok

  defp done(%{backend: PostgresPersistence, name: name}),
    do: "#{Terminal.safe(name)} is deleted"

  defp done(place), do: "the account in #{Terminal.safe(place.name)} is deleted"

  defp agreed(place, keys, options, terminal) do
    cond do
      options[:yes] -> :ok
      options[:json] -> {:usage, "--json needs --yes"}
      not terminal.interactive? -> {:usage, "--yes is needed where nobody can be asked"}
      true -> ask(place, keys)
    end
  end

  defp ask(place, keys) do
    whose =
      case identity(place) do
        {:ok, id} when is_binary(id) -> "the account #{id}"
        {:ok, _none} -> "an account that is not known"
        {:error, reason} -> "what cannot be read (#{Failure.describe(reason, "inspect").message})"
      end

    question =
      "#{place.name} holds #{whose}, with #{Numbers.count(count(keys), "key")}.\nDelete all of it? Type yes: "

    case IO.gets(Terminal.safe(question)) do
      answer when is_binary(answer) ->
        if String.trim(answer) == "yes", do: :ok, else: {:error, {:not_agreed, place.name}}

      _nobody ->
        {:error, {:not_agreed, place.name}}
    end
  end

  defp identity(%{backend: PostgresPersistence, context: context}) do
    with {:ok, state} <- PostgresPersistence.load_credentials(context),
         do: {:ok, State.me_id(state)}
  end

  defp identity(place) do
    with {:ok, report} <- Inspection.inspect_directory(place.context, backend: place.backend),
         do: {:ok, report.account && report.account.id}
  end
end
