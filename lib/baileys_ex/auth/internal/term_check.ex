defmodule BaileysEx.Auth.TermCheck do
  @moduledoc false
  # Which part of credentials could not be loaded again.

  alias BaileysEx.Auth.{Native, NativeError, State}

  # How deep an error names the way to what is wrong.
  @named_levels 16

  @doc """
  The error of the field that is refused. The check of the whole term cannot say where it is; `nil`
  where no field is too much alone.
  """
  @spec refused_field(State.t(), module()) :: term() | nil
  def refused_field(state, backend) do
    Enum.find_value(Map.from_struct(state), fn {field, value} ->
      refused("creds.#{field}", value, {backend, @named_levels})
    end)
  end

  # The innermost part that is refused by itself.
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

  # An improper list has a last part of its own.
  defp refused_part(member, [head | tail], depth) do
    refused(member <> "[]", head, deeper(depth)) || refused_part(member, tail, depth)
  end

  defp refused_part(member, value, depth) when is_tuple(value) do
    value |> Tuple.to_list() |> Enum.find_value(&refused(member <> "{}", &1, deeper(depth)))
  end

  defp refused_part(_member, _value, _depth), do: nil

  # Only what can be nothing but a name is shown.
  defp step(key) when is_atom(key), do: ".#{key}"

  defp step(key) when is_binary(key) do
    if key =~ ~r/\A[A-Za-z_][\w-]{0,31}\z/, do: "." <> key, else: "[]"
  end

  defp step(_key), do: "[]"

  defp deeper({backend, levels}), do: {backend, levels - 1}
end
