defmodule BaileysEx.Auth.Inspection.InDatabase do
  @moduledoc false
  # Reports on an account in PostgreSQL.

  alias BaileysEx.Auth.Inspection.{Growth, Identity, PreKeys, WarnAbove}
  alias BaileysEx.Auth.Postgres.{Account, Claim, Survey, Value}

  @doc "As `BaileysEx.Auth.Inspection.inspect_account/2`."
  @spec report(Account.t(), WarnAbove.t(), (map() -> term())) :: {:ok, map()} | {:error, term()}
  def report(account, warn_above, on_progress) do
    place = Account.place(account)

    with {:ok, survey} <- Survey.take(account, on_progress),
         :ok <- anything(survey, place),
         {:ok, owner} <- Claim.owner(account) do
      {credentials, state} = credentials(account, survey.creds)

      report = %{
        place: place,
        credentials: credentials,
        families:
          Map.new(survey.families, fn {family, keys} ->
            {family, %{keys: keys, bytes: survey.sizes[family]}}
          end),
        pre_keys: state && PreKeys.count(state, for(id <- survey.pre_keys, do: {id, nil}), nil),
        sessions:
          Growth.last_uses(
            survey.last_uses,
            Map.get(survey.families, :session, 0),
            System.os_time(:second)
          ),
        growing: survey.families |> Map.delete(:unknown) |> Growth.warnings(warn_above),
        damaged: survey.damaged,
        owner: owner
      }

      {:ok, Map.merge(report, Identity.of(state))}
    end
  end

  defp anything(%{creds: nil, families: none}, place) when none == %{},
    do: {:error, {:not_an_auth_directory, place}}

  defp anything(_survey, _place), do: :ok

  defp credentials(_account, nil), do: {:absent, nil}

  defp credentials(account, bytes) do
    case Value.credentials(account, bytes) do
      {:ok, state} -> {:present, state}
      {:error, _damaged} -> {:damaged, nil}
    end
  end
end
