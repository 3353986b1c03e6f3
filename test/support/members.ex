defmodule BaileysEx.Test.Members do
  @moduledoc """
  The binaries inside a term or decoded JSON: the position of each, and the same term with one of them
  changed.
  """

  @type path() :: [term()]

  @doc "Returns the path and value of every binary, except keys of maps."
  @spec binaries(term()) :: [{path(), binary()}]
  def binaries(term), do: binaries(term, [])

  defp binaries(binary, path) when is_binary(binary), do: [{Enum.reverse(path), binary}]

  defp binaries(%_{} = struct, path), do: struct |> Map.from_struct() |> binaries(path)

  defp binaries(map, path) when is_map(map) do
    Enum.flat_map(map, fn {key, value} -> binaries(value, [key | path]) end)
  end

  defp binaries(list, path) when is_list(list) do
    list
    |> Enum.with_index()
    |> Enum.flat_map(fn {item, index} -> binaries(item, [{:item, index} | path]) end)
  end

  defp binaries(_leaf, _path), do: []

  @doc "Returns the term with another value at the path."
  @spec put(term(), path(), term()) :: term()
  def put(_term, [], value), do: value

  def put(list, [{:item, index} | path], value) do
    List.update_at(list, index, &put(&1, path, value))
  end

  def put(map, [key | path], value), do: %{map | key => put(Map.fetch!(map, key), path, value)}

  @doc "Returns the path as one text, with `[]` for items and for keys that are not names."
  @spec name(path()) :: String.t()
  def name(path) do
    Enum.map_join(path, fn
      key when is_atom(key) -> ".#{key}"
      key when is_binary(key) -> if key =~ ~r/^_?[a-z][A-Za-z]+$/, do: ".#{key}", else: "[]"
      _item -> "[]"
    end)
  end
end
