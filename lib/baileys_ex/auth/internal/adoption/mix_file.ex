defmodule BaileysEx.Auth.Adoption.MixFile do
  @moduledoc false
  # Adds a dependency to the text of a `mix.exs`: to the list that `deps` returns, or to the list after
  # `deps:`. It finds the list in the syntax tree, so that the rest of the text is unchanged.

  @app :baileys_ex_auth

  @doc "Returns `:unchanged` if the dependency is already there."
  @spec add(String.t(), dependency :: String.t()) ::
          {:ok, String.t()} | :unchanged | {:error, String.t()}
  def add(text, dependency) do
    with {:ok, quoted} <- parse(text) do
      cond do
        depends?(quoted) -> :unchanged
        list = list(quoted) -> {:ok, insert(text, list, dependency)}
        true -> {:error, "has no list of dependencies that could be found"}
      end
    end
  end

  @doc "Whether this is a dependency on this library, as `mix.exs` would contain it."
  @spec dependency?(String.t()) :: boolean()
  def dependency?(text) do
    match?({:ok, {@app, _}}, Code.string_to_quoted(text)) or
      match?({:ok, {:{}, _, [@app | _]}}, Code.string_to_quoted(text))
  end

  defp parse(text) do
    options = [
      token_metadata: true,
      columns: true,
      emit_warnings: false,
      literal_encoder: fn literal, meta -> {:ok, {:literal, meta, literal}} end
    ]

    case Code.string_to_quoted(text, options) do
      {:ok, quoted} -> {:ok, quoted}
      {:error, {meta, _message, _token}} -> {:error, "line #{meta[:line]}: cannot be read"}
    end
  end

  defp depends?(quoted) do
    find(quoted, fn
      {:{}, _meta, [{:literal, _, @app} | _]} -> true
      {:literal, _meta, {{:literal, _, @app}, _}} -> true
      _other -> nil
    end) == true
  end

  defp list(quoted), do: find(quoted, &of_function/1) || find(quoted, &of_key/1)

  defp of_function({kind, _meta, [{:deps, _, arguments}, body]})
       when kind in [:def, :defp] and (arguments == [] or is_atom(arguments)),
       do: find(body, &literal_list/1)

  defp of_function(_other), do: nil

  defp of_key({{:literal, _meta, :deps}, {:literal, _, list} = literal}) when is_list(list),
    do: literal

  defp of_key(_other), do: nil

  # A keyword list, such as `[do: …]`, is not a list of dependencies.
  defp literal_list({:literal, meta, list} = literal) when is_list(list) do
    if Keyword.has_key?(meta, :closing), do: literal
  end

  defp literal_list(_other), do: nil

  # Returns the first result of `wanted`, searching from the outside in and in order.
  defp find(quoted, wanted) do
    cond do
      found = wanted.(quoted) -> found
      children = children(quoted) -> Enum.find_value(children, &find(&1, wanted))
    end
  end

  defp children({:literal, _meta, literal}), do: children(literal)
  defp children({form, _meta, arguments}), do: [form | List.wrap(arguments)]
  defp children({one, other}), do: [one, other]
  defp children(list) when is_list(list), do: list
  defp children(_leaf), do: []

  defp insert(text, {:literal, meta, items}, dependency) do
    lines = String.split(text, "\n")
    {before, [line | rest]} = Enum.split(lines, meta[:line] - 1)
    # The column after the bracket.
    {head, tail} = String.split_at(line, meta[:column])
    Enum.join(before ++ [head <> inserted(tail, rest, items, dependency)] ++ rest, "\n")
  end

  defp inserted(tail, _rest, [], dependency), do: dependency <> tail

  defp inserted(tail, rest, _items, dependency) do
    if String.trim(tail) == "" do
      "#{tail}\n#{indentation(rest)}#{dependency},"
    else
      "#{dependency}, #{tail}"
    end
  end

  defp indentation(lines) do
    line = Enum.find(lines, "", &(String.trim(&1) != ""))
    String.duplicate(" ", byte_size(line) - byte_size(String.trim_leading(line)))
  end
end
