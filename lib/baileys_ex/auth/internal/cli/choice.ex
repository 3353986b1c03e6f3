defmodule BaileysEx.Auth.CLI.Choice do
  @moduledoc false
  # An option whose value is one of a few words.

  @doc "Returns the option as functions take it, or no option if it was not given."
  @spec of(keyword(), atom(), [atom()]) :: {:ok, keyword(atom())} | {:usage, String.t()}
  def of(options, name, choices) do
    case {options[name], Enum.find(choices, &(to_string(&1) == options[name]))} do
      {nil, nil} ->
        {:ok, []}

      {_text, nil} ->
        flag = name |> to_string() |> String.replace("_", "-")
        {:usage, "--#{flag} is #{Enum.join(choices, " or ")}"}

      {_text, value} ->
        {:ok, [{name, value}]}
    end
  end
end
