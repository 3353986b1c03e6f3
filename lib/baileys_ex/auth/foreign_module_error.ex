defmodule BaileysEx.Auth.ForeignModuleError do
  @moduledoc """
  Modules of this library were loaded from another application, so the application `:baileys_ex_auth` does not
  start.

    * `:application` is the other application
    * `:modules` are the modules that both define

  This happens if baileys_ex, which has modules of the same names, is used together with this library without
  having been changed by `mix baileys.auth.adopt`. Its own code would then keep the account. The guide "With
  baileys_ex" shows what to do.
  """

  @type t() :: %__MODULE__{application: String.t(), modules: [module(), ...]}

  defexception [:application, :modules]

  @shown 3

  @impl true
  def message(%__MODULE__{application: application, modules: modules}) do
    "#{application} defines modules of baileys_ex_auth, and those of #{application} are loaded: " <>
      "#{names(modules)}. Remove them from a checkout of #{application} with `mix baileys.auth.adopt`, " <>
      "and depend on that checkout; the guide \"With baileys_ex\" shows how"
  end

  defp names(modules) do
    shown = modules |> Enum.take(@shown) |> Enum.map_join(", ", &inspect/1)
    if length(modules) > @shown, do: "#{shown} and #{length(modules) - @shown} more", else: shown
  end
end
