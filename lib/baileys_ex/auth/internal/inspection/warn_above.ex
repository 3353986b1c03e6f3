defmodule BaileysEx.Auth.Inspection.WarnAbove do
  @moduledoc false
  # The number of keys of a type above which a report warns: `:warn_above`, and `--warn-above` of the task.

  alias BaileysEx.Auth.Keys

  @typedoc "One number for all types, or numbers by type, with the default for the others."
  @type t() :: non_neg_integer() | %{optional(atom() | String.t()) => non_neg_integer()}

  # More pre-keys than Baileys ever has waiting, and more contacts than most accounts have.
  @default 5_000

  @doc "Returns the option, or the default. Raises an `ArgumentError` for an invalid value."
  @spec from!(keyword()) :: t()
  def from!(opts) do
    case opts |> Keyword.get(:warn_above, @default) |> check() do
      {:ok, expected} -> expected
      {:error, problem} -> raise ArgumentError, ":warn_above #{problem}"
    end
  end

  @doc """
  Parses the form that the task takes.

      iex> alias BaileysEx.Auth.Inspection.WarnAbove
      iex> {WarnAbove.parse("100"), WarnAbove.parse("session=200,pre-key=9")}
      {{:ok, 100}, {:ok, %{session: 200, "pre-key": 9}}}
      iex> {:error, problem} = WarnAbove.parse("sessions=200")
      iex> problem =~ ~s(names "sessions")
      true
  """
  @spec parse(String.t()) :: {:ok, t()} | {:error, problem :: String.t()}
  def parse(text) do
    if text =~ "=", do: text |> String.split(",") |> by_type(), else: text |> number() |> check()
  end

  @doc "Returns how many keys of a type are expected at most."
  @spec of(t(), atom() | String.t()) :: non_neg_integer()
  def of(by_type, type) when is_map(by_type), do: Map.get(by_type, type, @default)
  def of(number, _type), do: number

  @doc "Returns the numbers with their types as in reports, or what is wrong with them."
  @spec check(term()) :: {:ok, t()} | {:error, problem :: String.t()}
  def check(number) when is_integer(number) and number >= 0, do: {:ok, number}

  def check(by_type) when is_map(by_type) and not is_struct(by_type) do
    Enum.reduce_while(by_type, {:ok, %{}}, fn {type, number}, {:ok, checked} ->
      with {:ok, type} <- type(type),
           :ok <- number_of(type, number) do
        {:cont, {:ok, Map.put(checked, type, number)}}
      else
        error -> {:halt, error}
      end
    end)
  end

  def check(_other), do: {:error, "is a number of keys, 0 or more, or such numbers by type"}

  defp type(type) do
    name = if is_atom(type), do: Atom.to_string(type), else: type

    if name in Keys.families(),
      do: {:ok, Keys.type(name)},
      else: {:error, "names #{inspect(type)}, which is no type of keys: there are #{types()}"}
  end

  defp number_of(_type, number) when is_integer(number) and number >= 0, do: :ok
  defp number_of(type, _other), do: {:error, "has no number of keys, 0 or more, for #{type}"}

  defp types, do: Keys.families() |> Enum.sort() |> Enum.join(", ")

  defp by_type(pairs) do
    named = for pair <- pairs, do: pair |> String.split("=", parts: 2) |> named()

    case named -- Enum.uniq_by(named, &elem(&1, 0)) do
      [] -> named |> Map.new() |> check()
      [{type, _number} | _more] -> {:error, "names #{inspect(type)} twice"}
    end
  end

  defp named([type, number]), do: {String.trim(type), number(number)}
  defp named([type]), do: {String.trim(type), nil}

  defp number(text) do
    case Integer.parse(String.trim(text)) do
      {number, ""} -> number
      _none -> nil
    end
  end
end
