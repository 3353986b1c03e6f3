defmodule BaileysEx.Auth.Adoption.Source do
  @moduledoc false
  # The modules that a source file defines: their positions and exports. It reads the syntax tree, and runs
  # nothing from the file.

  @enforce_keys [:module, :first_line, :last_line, :exports, :inner]
  defstruct @enforce_keys

  @typedoc "`:field` is a member of the struct, of arity 0."
  @type export() :: {:function | :macro | :callback | :field, atom(), arity()}

  @typedoc "`inner` are the nested modules. `last_line` is `nil` if the end cannot be determined."
  @type t() :: %__MODULE__{
          module: module(),
          first_line: pos_integer(),
          last_line: pos_integer() | nil,
          exports: [export()],
          inner: [t()]
        }

  @doc """
  Returns the outermost modules of a file, and whether there is anything else at its top level.
  """
  @spec read(String.t()) :: {:ok, [t()], other? :: boolean()} | {:error, String.t()}
  def read(text) do
    case Code.string_to_quoted(text, token_metadata: true, emit_warnings: false) do
      {:ok, quoted} ->
        expressions = expressions(quoted)
        {:ok, definitions(expressions, nil), not Enum.all?(expressions, &definition?/1)}

      {:error, {meta, _message, _token}} ->
        {:error, "line #{meta[:line]}: is not Elixir that can be read"}
    end
  end

  @doc "Returns the text without these lines, and without the blank line that would then appear twice."
  @spec cut(String.t(), [t()]) :: {:ok, String.t()} | {:error, String.t()}
  def cut(text, sources) do
    lines = String.split(text, "\n")

    with nil <- Enum.find(sources, &(not whole_lines?(lines, &1))) do
      cut =
        sources
        |> Enum.sort_by(& &1.first_line, :desc)
        |> Enum.reduce(lines, &cut_lines(&2, &1.first_line, &1.last_line))
        |> Enum.join("\n")
        |> String.replace(~r/\A\n+/, "")

      with {:ok, _quoted} <- Code.string_to_quoted(cut, emit_warnings: false) do
        {:ok, cut}
      else
        {:error, _problem} -> {:error, "cannot be cut out"}
      end
    else
      source -> {:error, "line #{source.first_line}: shares its lines with other code"}
    end
  end

  defp whole_lines?(_lines, %{last_line: nil}), do: false

  defp whole_lines?(lines, %{first_line: first, last_line: last}) do
    String.starts_with?(String.trim_leading(Enum.at(lines, first - 1)), ["defmodule", "defimpl"]) and
      String.trim(Enum.at(lines, last - 1)) == "end"
  end

  # Comments right before a module belong to it.
  defp cut_lines(lines, first, last) do
    {before, rest} = Enum.split(lines, first - 1)
    {_module, rest} = Enum.split(rest, last - first + 1)
    before = before |> Enum.reverse() |> Enum.drop_while(&comment?/1)

    if match?(["" | _], before),
      do: Enum.reverse(tl(before), rest),
      else: Enum.reverse(before, rest)
  end

  defp comment?(line), do: String.starts_with?(String.trim_leading(line), "#")

  defp expressions({:__block__, _meta, expressions}), do: expressions
  defp expressions(expression), do: [expression]

  defp definition?({name, _meta, [_ | _]}) when name in [:defmodule, :defimpl, :defprotocol],
    do: true

  defp definition?(_other), do: false

  defp definitions(expressions, parent) do
    {_quoted, found} =
      Macro.traverse(expressions, [], &enter(&1, &2, parent), fn quoted, found ->
        {quoted, found}
      end)

    Enum.reverse(found)
  end

  # Does not descend into a module that was found.
  defp enter({kind, meta, [name | arguments]} = quoted, found, parent)
       when kind in [:defmodule, :defimpl, :defprotocol] do
    case module(kind, name, arguments, parent) do
      nil -> {quoted, found}
      module -> {nil, [definition(module, meta, arguments) | found]}
    end
  end

  defp enter({:quote, _meta, _arguments}, found, _parent), do: {nil, found}
  defp enter(quoted, found, _parent), do: {quoted, found}

  defp definition(module, meta, arguments) do
    body = arguments |> List.last() |> body()

    %__MODULE__{
      module: module,
      first_line: meta[:line],
      last_line: get_in(meta, [:end, :line]),
      exports: exports(body),
      inner: definitions(expressions(body), module)
    }
  end

  defp body(keywords) when is_list(keywords) do
    Enum.find_value(keywords, fn
      {:do, body} -> body
      _other -> nil
    end)
  end

  defp body(_none), do: nil

  defp module(:defimpl, protocol, [options | _], parent) do
    with protocol when protocol != nil <- name(protocol, nil),
         type when type != nil <- implemented(options, parent),
         do: Module.concat(protocol, type)
  end

  defp module(_kind, name, _arguments, parent), do: name(name, parent)

  defp implemented(options, parent) when is_list(options) do
    case List.keyfind(options, :for, 0) do
      {:for, type} -> name(type, nil, parent)
      nil -> parent
    end
  end

  defp name(name, parent, itself \\ nil)

  defp name({:__aliases__, _meta, [{:__MODULE__, _, _} | rest]}, parent, itself) do
    if all_atoms?(rest), do: Module.concat([itself || parent | rest])
  end

  defp name({:__aliases__, _meta, [:"Elixir" | rest]}, _parent, _itself), do: Module.concat(rest)

  defp name({:__aliases__, _meta, parts}, parent, _itself) do
    if all_atoms?(parts), do: Module.concat(List.wrap(parent) ++ parts)
  end

  defp name({:__MODULE__, _meta, _context}, parent, itself), do: itself || parent
  defp name(_computed, _parent, _itself), do: nil

  defp all_atoms?(parts), do: Enum.all?(parts, &is_atom/1)

  defp exports(body) do
    {_quoted, exports} =
      Macro.traverse(body, [], &collect/2, fn quoted, exports -> {quoted, exports} end)

    exports |> Enum.uniq() |> Enum.sort()
  end

  @public [def: :function, defdelegate: :function, defmacro: :macro, defguard: :macro]

  defp collect({kind, _meta, [_ | _]}, exports)
       when kind in [:defmodule, :defimpl, :defprotocol, :quote],
       do: {nil, exports}

  defp collect({kind, _meta, [head | _]}, exports)
       when kind in [:def, :defdelegate, :defmacro, :defguard] do
    {nil, of_head(@public[kind], head) ++ exports}
  end

  defp collect({:defstruct, _meta, [fields]}, exports) do
    {nil, struct_exports(fields) ++ exports}
  end

  defp collect({:@, _meta, [{kind, _, [spec]}]}, exports)
       when kind in [:callback, :macrocallback] do
    {nil, of_spec(spec) ++ exports}
  end

  defp collect({:use, _meta, [{:__aliases__, _, [behaviour]} | _]}, exports)
       when behaviour in [:GenServer, :Supervisor, :Agent, :Task],
       do: {nil, [{:function, :child_spec, 1} | exports]}

  defp collect(quoted, exports), do: {quoted, exports}

  defp of_head(kind, head), do: for({name, arity} <- arities(head), do: {kind, name, arity})

  defp of_spec({:when, _meta, [spec | _]}), do: of_spec(spec)
  defp of_spec({:"::", _meta, [head | _]}), do: of_head(:callback, head)
  defp of_spec(_other), do: []

  defp struct_exports(fields) when is_list(fields) do
    Enum.flat_map(fields, fn
      {name, _default} when is_atom(name) -> [{:field, name, 0}]
      name when is_atom(name) -> [{:field, name, 0}]
      _computed -> []
    end)
  end

  defp struct_exports(_computed), do: []

  # One arity for each default that a caller may leave out. The arity of a computed name is unknown.
  defp arities({:when, _meta, [head | _]}), do: arities(head)
  defp arities({name, _meta, context}) when is_atom(name) and is_atom(context), do: [{name, 0}]

  defp arities({name, _meta, arguments}) when is_atom(name) and name != :unquote do
    arity = length(arguments)
    defaults = Enum.count(arguments, &match?({:\\, _, _}, &1))
    for count <- (arity - defaults)..arity, do: {name, count}
  end

  defp arities(_computed), do: []
end
