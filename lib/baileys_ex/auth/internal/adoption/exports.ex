defmodule BaileysEx.Auth.Adoption.Exports do
  @moduledoc false
  # Compares what this library exports with what the modules that it replaces export.

  alias BaileysEx.Auth.Adoption.Source

  @doc "Returns the modules of this library, except those of Mix: any project may have tasks."
  @spec modules() :: MapSet.t(module())
  def modules do
    _loaded = Application.load(:baileys_ex_auth)

    for module <- Application.spec(:baileys_ex_auth, :modules),
        not String.starts_with?(Atom.to_string(module), "Elixir.Mix."),
        into: MapSet.new(),
        do: module
  end

  @doc "Returns what a module of the other library exports, including nested modules, and ours does not."
  @spec missing(Source.t()) :: [{module(), Source.export()}]
  def missing(%Source{module: module, exports: exports, inner: inner}) do
    own = for export <- exports, not exported?(module, export), do: {module, export}
    own ++ Enum.flat_map(inner, &missing/1)
  end

  defp exported?(module, export), do: Code.ensure_loaded?(module) and has?(module, export)

  # A function may have become a macro, or a macro a function: nothing is lost either way.
  defp has?(module, {kind, name, arity}) when kind in [:function, :macro] do
    function_exported?(module, name, arity) or macro_exported?(module, name, arity)
  end

  defp has?(module, {:callback, name, arity}) do
    function_exported?(module, :behaviour_info, 1) and
      {name, arity} in module.behaviour_info(:callbacks)
  end

  defp has?(module, {:field, name, 0}) do
    function_exported?(module, :__struct__, 0) and is_map_key(module.__struct__(), name)
  end
end
