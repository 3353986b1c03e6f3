defmodule BaileysEx.Auth.Postgres.Survey do
  @moduledoc false
  # Reads every row of an account, in pages, and reports what it holds and which rows cannot be read.

  alias BaileysEx.Auth.{CorruptRowError, DamagedAccountError, Verification}
  alias BaileysEx.Auth.Postgres.{Account, Pages, Statements, Value}

  @page 500

  @typedoc """
  `:creds` are the bytes of the credentials. `:sizes` are the bytes by type, without the credentials.
  `:last_uses` are the last uses of those sessions that record it, in milliseconds since 1970.
  """
  @type t() :: %{
          creds: binary() | nil,
          families: %{optional(atom() | String.t()) => pos_integer()},
          sizes: %{optional(atom() | String.t()) => non_neg_integer()},
          pre_keys: [String.t()],
          last_uses: [integer()],
          damaged: [CorruptRowError.t()]
        }

  @doc "As `BaileysEx.Auth.PostgresPersistence.verify/2`."
  @spec verify(Account.t(), (map() -> term())) ::
          {:ok, Verification.report()} | {:error, Exception.t()}
  def verify(account, on_progress) do
    case take(account, on_progress) do
      {:ok, %{damaged: []} = survey} ->
        {:ok,
         %{
           credentials?: survey.creds != nil,
           families: survey.families,
           bytes_read: byte_size(survey.creds || "") + Enum.sum(Map.values(survey.sizes)),
           unknown: [],
           ignored: []
         }}

      {:ok, survey} ->
        {:error, %DamagedAccountError{place: Account.place(account), rows: survey.damaged}}

      error ->
        error
    end
  end

  @doc "Calls `on_progress` with `%{done: keys, total: keys}` after each page."
  @spec take(Account.t(), (map() -> term())) :: {:ok, t()} | {:error, Exception.t()}
  def take(account, on_progress) do
    with {:ok, creds} <- Account.query(account, Statements.creds(account.prefix), [account.name]),
         {:ok, [[total]]} <-
           Account.query(account, Statements.count(account.prefix), [account.name]),
         bytes = with([[bytes]] <- creds, do: bytes, else: (_none -> nil)),
         survey = begin(account, bytes),
         {:ok, survey} <- pages(account, Pages.start(), {0, survey}, {total, on_progress}) do
      {:ok, %{survey | damaged: survey.damaged |> Enum.reverse() |> Enum.concat()}}
    end
  end

  defp begin(account, creds) do
    damaged = if creds, do: Value.damaged(account, [{"creds", nil, creds}]), else: []
    %{creds: creds, families: %{}, sizes: %{}, pre_keys: [], last_uses: [], damaged: [damaged]}
  end

  defp pages(_account, :end, {_done, survey}, _progress), do: {:ok, survey}

  defp pages(account, from, {done, survey}, {total, on_progress} = progress) do
    with {:ok, rows, next} <- Pages.next(account, from, @page) do
      done = done + length(rows)
      if rows != [], do: on_progress.(%{done: done, total: max(done, total)})
      pages(account, next, {done, look(account, rows, survey)}, progress)
    end
  end

  defp look(account, rows, survey) do
    %{
      survey
      | families: Value.add_families(survey.families, rows),
        sizes: add(survey.sizes, Value.sizes(rows)),
        pre_keys: for({"pre-key", id, _bytes} <- rows, do: id) ++ survey.pre_keys,
        last_uses: Value.last_uses(rows) ++ survey.last_uses,
        damaged: [Value.damaged(account, rows) | survey.damaged]
    }
  end

  defp add(some, more), do: Map.merge(some, more, fn _type, a, b -> a + b end)
end
