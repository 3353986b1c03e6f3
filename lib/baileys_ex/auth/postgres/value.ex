defmodule BaileysEx.Auth.Postgres.Value do
  @moduledoc false
  # From rows to terms, after the native check of their bytes.

  alias BaileysEx.Auth.{CorruptRowError, Native, NativeError, State}
  alias BaileysEx.Auth.Postgres.{Account, Statements}

  @page 500

  @spec credentials(Account.t(), binary()) :: {:ok, State.t()} | {:error, CorruptRowError.t()}
  def credentials(account, bytes) do
    with {:ok, term} <- term(account, {nil, nil}, bytes),
         {:error, {member, problem}} <- State.complete(term) do
      corrupt(account, {nil, nil}, member, problem)
    end
  end

  @doc "By id, from rows of an id and its bytes."
  @spec all(Account.t(), String.t(), [[binary()]]) :: {:ok, map()} | {:error, CorruptRowError.t()}
  def all(account, type, rows) do
    Enum.reduce_while(rows, {:ok, %{}}, fn [id, bytes], {:ok, values} ->
      case term(account, {type, id}, bytes) do
        {:ok, value} -> {:cont, {:ok, Map.put(values, id, value)}}
        error -> {:halt, error}
      end
    end)
  end

  @doc "As `BaileysEx.Auth.PostgresPersistence.verify/2`."
  @spec verify(Account.t(), (map() -> term())) :: {:ok, map()} | {:error, term()}
  def verify(account, on_progress) do
    with {:ok, creds} <- Account.query(account, Statements.creds(account.prefix), [account.name]),
         {:ok, [[total]]} <-
           Account.query(account, Statements.count(account.prefix), [account.name]),
         {:ok, keys, damaged} <- pages(account, {"", ""}, {0, []}, {total, on_progress}) do
      case damaged_creds(account, creds) ++ Enum.reverse(damaged) do
        [] -> {:ok, %{credentials?: match?([[<<_::binary>>]], creds), keys: keys}}
        damaged -> {:error, damaged}
      end
    end
  end

  defp pages(account, {type, id}, {done, damaged}, {total, on_progress} = progress) do
    params = [account.name, type, id, @page]

    case Account.query(account, Statements.page(account.prefix), params) do
      {:ok, []} ->
        {:ok, done, damaged}

      {:ok, rows} ->
        done = done + length(rows)
        on_progress.(%{done: done, total: max(done, total)})
        [type, id, _bytes] = List.last(rows)
        pages(account, {type, id}, {done, damaged_rows(account, rows) ++ damaged}, progress)

      error ->
        error
    end
  end

  # The last first.
  defp damaged_rows(account, rows) do
    Enum.reduce(rows, [], fn [type, id, bytes], damaged ->
      case term(account, {type, id}, bytes) do
        {:ok, _term} -> damaged
        {:error, error} -> [error | damaged]
      end
    end)
  end

  defp damaged_creds(account, [[bytes]]) when is_binary(bytes) do
    case credentials(account, bytes) do
      {:ok, _state} -> []
      {:error, error} -> [error]
    end
  end

  defp damaged_creds(_account, _none), do: []

  # The scan lets one plain term pass, with few new atoms. What only the VM can tell is left: a key
  # twice in a map, an integer beyond its limit. Its own error would show the content.
  defp term(account, key, bytes) do
    case Native.etf_scan("", bytes) do
      :ok ->
        {:ok, :erlang.binary_to_term(bytes)}

      {:error, reason} ->
        %{member: member, problem: problem} = NativeError.to_public(reason, __MODULE__)
        corrupt(account, key, member, problem)
    end
  rescue
    _ in [ArgumentError, SystemLimitError] ->
      corrupt(account, key, nil, "is not a term that this VM can hold")
  end

  defp corrupt(account, {type, id}, member, problem) do
    {:error,
     %CorruptRowError{
       place: Account.place(account),
       type: type,
       id: id,
       member: member,
       problem: problem
     }}
  end
end
