defmodule BaileysEx.Auth.ForeignModuleError do
  @moduledoc """
  Modules of this library are loaded from another application: the application `:baileys_ex_auth`
  does not start.

    * `:application` is the other one
    * `:modules` are those that it defines too

  It happens where baileys_ex, whose modules have these names, is used beside this library without
  having been adopted: its own code would keep the account. The guide "With baileys_ex" has the way
  out, `mix baileys.auth.adopt`.
  """

  @type t() :: %__MODULE__{application: String.t(), modules: [module(), ...]}

  defexception [:application, :modules]

  @shown 3

  @impl true
  def message(%__MODULE__{application: application, modules: modules}) do
    "#{application} defines modules of baileys_ex_auth, and its own are the ones that are loaded: " <>
      "#{names(modules)}. Let `mix baileys.auth.adopt` take them out of a checkout of " <>
      "#{application}, and depend on that checkout; the guide \"With baileys_ex\" shows how"
  end

  defp names(modules) do
    shown = modules |> Enum.take(@shown) |> Enum.map_join(", ", &inspect/1)
    if length(modules) > @shown, do: "#{shown} and #{length(modules) - @shown} more", else: shown
  end
end
