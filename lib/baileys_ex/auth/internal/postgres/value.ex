defmodule BaileysEx.Auth.Postgres.Value do
  @moduledoc false
  # Converts between terms and the bytes of rows, with the native check in both directions.

  alias BaileysEx.Auth.{
    CorruptRowError,
    Keys,
    Native,
    NativeError,
    State,
    TermCheck
  }

  alias BaileysEx.Auth.Postgres.Account

  @doc "Returns the bytes of a state, checked to be loadable again."
  @spec encode_credentials(State.t()) :: {:ok, binary()} | {:error, term()}
  def encode_credentials(state) do
    bytes = :erlang.term_to_binary(state)

    with {:error, reason} <- Native.etf_check("creds", bytes) do
      {:error,
       TermCheck.refused_field(state, __MODULE__) ||
         NativeError.to_public(reason, __MODULE__)}
    else
      :ok -> {:ok, bytes}
    end
  end

  @doc "Returns changes with the bytes of their values, all checked to be loadable again."
  @spec encode([{Keys.key(), term() | nil}]) ::
          {:ok, [{String.t(), String.t(), binary() | nil}]} | {:error, term()}
  def encode(changes) do
    encoded =
      for {{type, id}, value} <- changes do
        {type, id, if(value != nil, do: :erlang.term_to_binary(value))}
      end

    case Native.etf_check_all(for {type, _id, bytes} <- encoded, bytes, do: {type, bytes}) do
      :ok -> {:ok, encoded}
      {:error, reason} -> {:error, NativeError.to_public(reason, __MODULE__)}
    end
  end

  @spec credentials(Account.t(), binary()) :: {:ok, State.t()} | {:error, CorruptRowError.t()}
  def credentials(account, bytes) do
    with {:ok, [term]} <- terms(account, [{"creds", nil, bytes}]),
         {:error, {member, problem}} <- State.complete(term) do
      {:error, corrupt(account, {"creds", nil, member, problem})}
    end
  end

  @doc "Returns values by id, from rows of an id and its bytes."
  @spec all(Account.t(), String.t(), [[binary()]]) :: {:ok, map()} | {:error, CorruptRowError.t()}
  def all(account, type, rows) do
    with {:ok, terms} <- terms(account, for([id, bytes] <- rows, do: {type, id, bytes})) do
      {:ok, rows |> Enum.map(&hd/1) |> Enum.zip(terms) |> Map.new()}
    end
  end

  # Returns the terms of rows `{type, id, bytes}`, or the error of the first unreadable one.
  defp terms(account, rows) do
    case Native.etf_scan_all(Enum.map(rows, &elem(&1, 2))) do
      [] ->
        decode(account, rows, [])

      [{index, member, problem} | _more] ->
        {type, id, _bytes} = Enum.at(rows, index)
        {:error, corrupt(account, {type, id, member, problem})}
    end
  end

  defp decode(_account, [], terms), do: {:ok, Enum.reverse(terms)}

  defp decode(account, [{type, id, bytes} | rows], terms) do
    case scanned(bytes) do
      {:ok, term} -> decode(account, rows, [term | terms])
      {:error, problem} -> {:error, corrupt(account, {type, id, nil, problem})}
    end
  end

  @doc "Returns the term of bytes that another store has kept."
  @spec term(binary()) :: {:ok, term()} | {:error, problem :: String.t()}
  def term(bytes) do
    case Native.etf_scan_all([bytes]) do
      [] -> scanned(bytes)
      [{0, _member, problem}] -> {:error, problem}
    end
  end

  # The scan has checked that this is one plain term with few new atoms. Only the VM can detect a duplicate
  # key in a map or an integer beyond its limit. The VM's own error would show the content.
  defp scanned(bytes) do
    {:ok, :erlang.binary_to_term(bytes)}
  rescue
    _ in [ArgumentError, SystemLimitError] -> {:error, "is not a term that this VM can hold"}
  end

  @doc "Returns the errors of those rows `{type, id, bytes}` that cannot be read, in order."
  @spec damaged(Account.t(), [tuple()]) :: [CorruptRowError.t()]
  def damaged(account, rows) do
    [&unsafe/1, &Native.rows_check/1, &unreadable/1]
    |> Enum.reduce({rows, %{}}, fn check, {rows, found} ->
      problems =
        for {type, id, member, problem} <- check.(rows),
            into: %{},
            do: {{type, id}, {member, problem}}

      {Enum.reject(rows, &is_map_key(problems, key(&1))), Map.merge(found, problems)}
    end)
    |> then(fn {_sound, found} ->
      for row <- rows, {member, problem} <- List.wrap(found[key(row)]) do
        {type, id} = key(row)
        corrupt(account, {type, id, member, problem})
      end
    end)
  end

  defp key({type, id, _bytes}), do: {type, id}

  defp unsafe(rows) do
    for {index, member, problem} <- Native.etf_scan_all(Enum.map(rows, &elem(&1, 2))) do
      {type, id} = rows |> Enum.at(index) |> key()
      {type, id, member, problem}
    end
  end

  defp unreadable(rows) do
    for {type, id, bytes} <- rows, {member, problem} <- unreadable_term(id, scanned(bytes)) do
      {type, id, member, problem}
    end
  end

  defp unreadable_term(_id, {:error, problem}), do: [{nil, problem}]

  defp unreadable_term(nil, {:ok, state}) do
    case State.complete(state) do
      {:ok, _state} -> []
      {:error, problem} -> [problem]
    end
  end

  defp unreadable_term(_id, {:ok, _term}), do: []

  @doc "Counts the rows of each type, without the credentials."
  @spec families([tuple()]) :: %{optional(atom() | String.t()) => pos_integer()}
  def families(rows) do
    for({type, id, _bytes} <- rows, id != nil, do: type)
    |> Enum.frequencies()
    |> Map.new(fn {type, count} -> {family(type), count} end)
  end

  @doc "Adds the counts of more rows."
  @spec add_families(%{optional(atom() | String.t()) => pos_integer()}, [tuple()]) ::
          %{optional(atom() | String.t()) => pos_integer()}
  def add_families(before, rows),
    do: Map.merge(before, families(rows), fn _type, count, more -> count + more end)

  @doc "Returns the bytes of each type, without the credentials."
  @spec sizes([tuple()]) :: %{optional(atom() | String.t()) => non_neg_integer()}
  def sizes(rows) do
    rows
    |> Enum.filter(fn {_type, id, _bytes} -> id != nil end)
    |> Enum.group_by(&elem(&1, 0))
    |> Map.new(fn {type, of_type} -> {family(type), bytes(of_type)} end)
  end

  @doc "Returns the last uses of those sessions among the rows that record it, in milliseconds since 1970."
  @spec last_uses([tuple()]) :: [integer()]
  def last_uses(rows) do
    sessions = for {"session", _id, bytes} <- rows, do: bytes
    for time <- Native.rows_last_use(sessions), time != nil, do: time
  end

  defp family(""), do: :unknown
  defp family(type), do: Keys.type(type)

  @spec bytes([tuple()]) :: non_neg_integer()
  def bytes(rows), do: Enum.reduce(rows, 0, fn {_, _, bytes}, sum -> sum + byte_size(bytes) end)

  @doc "Returns an error for a row; the row of the credentials has no id."
  @spec corrupt(Account.t(), {String.t(), String.t() | nil, String.t() | nil, String.t()}) ::
          CorruptRowError.t()
  def corrupt(account, {type, id, member, problem}) do
    %CorruptRowError{
      place: Account.place(account),
      type: if(id != nil, do: type),
      id: id,
      member: if(member not in [nil, ""], do: member),
      problem: problem
    }
  end
end
