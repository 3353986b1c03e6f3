defmodule BaileysEx.Auth.ShortInspect do
  @moduledoc false
  # How structs with key material are printed: `#Module<name: value, ...>`, with only the values that their
  # `Inspect` implementation chose to show.

  import Inspect.Algebra

  @spec render(module(), keyword(), Inspect.Opts.t()) :: Inspect.Algebra.t()
  def render(module, shown, opts) do
    items =
      shown
      |> Enum.reject(fn {_name, value} -> is_nil(value) end)
      |> Enum.map(fn {name, value} -> concat("#{name}: ", to_doc(value, opts)) end)
      |> Enum.intersperse(", ")

    concat(["#", inspect(module), "<"] ++ items ++ [">"])
  end
end
