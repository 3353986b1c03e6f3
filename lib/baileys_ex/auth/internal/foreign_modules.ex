defmodule BaileysEx.Auth.ForeignModules do
  @moduledoc false
  # Finds modules of this library that the VM loads, or would load, from another application.

  alias BaileysEx.Auth.ForeignModuleError

  @doc """
  Returns those of `modules` whose code does not come from `ebin`. A module that exists only in memory, for
  example because it was just compiled, comes from no other place.
  """
  @spec check([module()], Path.t(), (module() -> term())) ::
          :ok | {:error, ForeignModuleError.t()}
  def check(modules, ebin, which \\ &:code.which/1) do
    ebin = Path.expand(ebin)

    modules
    |> Enum.group_by(&foreign_place(which.(&1), ebin))
    |> Map.delete(nil)
    |> Enum.max_by(fn {_place, modules} -> length(modules) end, fn -> nil end)
    |> case do
      nil -> :ok
      {place, modules} -> {:error, error(place, modules)}
    end
  end

  # `:non_existing`, `:preloaded` and `:cover_compiled` are atoms; a module in memory has no path.
  defp foreign_place([_ | _] = beam, ebin) do
    place = beam |> List.to_string() |> Path.dirname() |> Path.expand()
    if place != ebin, do: place
  end

  defp foreign_place(_in_memory, _ebin), do: nil

  # `…/baileys_ex/ebin`, and in a release `…/baileys_ex-0.1.0/ebin`.
  defp error(place, modules) do
    application = place |> Path.dirname() |> Path.basename() |> String.replace(~r/-\d.*\z/, "")
    %ForeignModuleError{application: application, modules: Enum.sort(modules)}
  end
end
