defmodule BaileysEx.Auth.TermCheck do
  @moduledoc false
  # Finds the part of credentials that could not be loaded again.

  alias BaileysEx.Auth.{Native, NativeError, State}

  # The maximum depth of the path that an error names.
  @named_levels 16

  @doc """
  Returns the error of the field that is refused, because the check of the whole term cannot say where the
  problem is. `nil` if no field alone is refused.
  """
  @spec refused_field(State.t(), module()) :: term() | nil
  def refused_field(state, backend) do
    Enum.find_value(Map.from_struct(state), fn {field, value} ->
      refused("creds.#{field}", value, {backend, @named_levels})
    end)
  end

  # Finds the innermost part that is refused by itself.
  defp refused(member, value, {backend, _levels} = depth) do
    case Native.etf_check(member, :erlang.term_to_binary(value)) do
      :ok ->
        nil

      {:error, reason} ->
        refused_part(member, value, depth) || NativeError.to_public(reason, backend)
    end
  end

  defp refused_part(_member, _value, {_backend, 0}), do: nil

  defp refused_part(member, value, depth) when is_map(value) do
    value
    |> Map.delete(:__struct__)
    |> Enum.find_value(fn {key, part} -> refused(member <> step(key), part, deeper(depth)) end)
  end

  # The last part of an improper list is an element too.
  defp refused_part(member, [head | tail], depth) do
    refused(member <> "[]", head, deeper(depth)) || refused_part(member, tail, depth)
  end

  defp refused_part(member, value, depth) when is_tuple(value) do
    value |> Tuple.to_list() |> Enum.find_value(&refused(member <> "{}", &1, deeper(depth)))
  end

  defp refused_part(_member, _value, _depth), do: nil

  # Shows only keys that cannot be anything but names.
  defp step(key) when is_atom(key), do: ".#{key}"

  defp step(key) when is_binary(key) do
    if key =~ ~r/\A[A-Za-z_][\w-]{0,31}\z/, do: "." <> key, else: "[]"
  end

  defp step(_key), do: "[]"

  defp deeper({backend, levels}), do: {backend, levels - 1}
end
