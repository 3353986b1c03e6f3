defmodule BaileysEx.Test.Guide do
  @moduledoc false
  # Runs the code of a guide: its fenced `elixir` blocks one after the other, each with the variables and
  # aliases of the earlier ones. If a block ends with a line `#=> expression`, its value must equal that
  # expression. A block after a line `<!-- not run: why -->` is only parsed.

  import ExUnit.Assertions

  @type block() :: %{
          line: pos_integer(),
          code: String.t(),
          expected: String.t() | nil,
          run?: boolean()
        }

  @doc "Runs every block of the guide, and returns the variables of the last one."
  @spec run(Path.t(), keyword()) :: keyword()
  def run(path, binding \\ []) do
    blocks = blocks(path)
    assert blocks != [], "#{path} has no elixir block"
    env = Code.env_for_eval(file: path)
    {binding, _env} = Enum.reduce(blocks, {binding, env}, &run_block(&1, &2, path))
    binding
  end

  @doc "Defines the modules of the guide, unless they exist, without running the rest."
  @spec define_modules(Path.t()) :: :ok
  def define_modules(path) do
    for block <- blocks(path),
        {:defmodule, _, [{:__aliases__, _, name} | _]} = quoted <- [parse(block, path)] do
      unless Code.ensure_loaded?(Module.concat(name)),
        do: Code.eval_quoted(quoted, [], file: path)
    end

    :ok
  end

  @spec blocks(Path.t()) :: [block()]
  def blocks(path) do
    path
    |> File.read!()
    |> String.split("\n")
    |> Enum.with_index(1)
    |> outside([], true)
  end

  defp outside([], blocks, _run?), do: Enum.reverse(blocks)

  defp outside([{"```elixir", line} | lines], blocks, run?) do
    {code, [_fence | lines]} = Enum.split_while(lines, fn {text, _line} -> text != "```" end)
    outside(lines, [block(Enum.map(code, &elem(&1, 0)), line + 1, run?) | blocks], true)
  end

  defp outside([{"<!-- not run: " <> _why, _line} | lines], blocks, _run?),
    do: outside(lines, blocks, false)

  defp outside([{"", _line} | lines], blocks, run?), do: outside(lines, blocks, run?)
  defp outside([_text | lines], blocks, _run?), do: outside(lines, blocks, true)

  defp block(code, line, run?) do
    case List.last(code) do
      "#=> " <> expected ->
        %{
          line: line,
          code: code |> Enum.drop(-1) |> Enum.join("\n"),
          expected: expected,
          run?: run?
        }

      _no_expectation ->
        %{line: line, code: Enum.join(code, "\n"), expected: nil, run?: run?}
    end
  end

  defp run_block(%{run?: false} = block, acc, path), do: parse(block, path) && acc

  # Keeps a module that an earlier run has defined.
  defp run_block(block, {binding, env}, path) do
    case parse(block, path) do
      {:defmodule, _, [{:__aliases__, _, name} | _]} = quoted ->
        if Code.ensure_loaded?(Module.concat(name)),
          do: {binding, env},
          else: evaluate(quoted, block, {binding, env}, path)

      quoted ->
        evaluate(quoted, block, {binding, env}, path)
    end
  end

  defp evaluate(quoted, block, {binding, env}, path) do
    {value, binding, env} = Code.eval_quoted_with_env(quoted, binding, env)

    if block.expected do
      {expected, _} = Code.eval_string(block.expected, binding, env)

      assert value == expected,
             "#{path}:#{block.line}: the block gives another value:\n#{inspect(value)}"
    end

    {binding, env}
  end

  defp parse(block, path), do: Code.string_to_quoted!(block.code, file: path, line: block.line)
end
