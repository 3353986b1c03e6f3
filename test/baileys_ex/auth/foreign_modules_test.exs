defmodule BaileysEx.Auth.ForeignModulesTest do
  use ExUnit.Case, async: true

  alias BaileysEx.Auth.{ForeignModuleError, ForeignModules}

  @ebin "/build/lib/baileys_ex_auth/ebin"

  defp check(places), do: ForeignModules.check(Map.keys(places), @ebin, &Map.fetch!(places, &1))

  test "modules from the library's own place, or from none, are in order" do
    own = String.to_charlist(@ebin <> "/Elixir.A.beam")
    assert check(%{A => own, B => :non_existing, C => :cover_compiled, D => []}) == :ok
  end

  test "the error names the application and the modules" do
    own = String.to_charlist(@ebin <> "/Elixir.A.beam")
    other = ~c"/release/lib/baileys_ex-0.1.0-alpha.11/ebin/Elixir.B.beam"

    assert {:error, %ForeignModuleError{application: "baileys_ex", modules: [B, C]} = error} =
             check(%{A => own, B => other, C => other})

    message = Exception.message(error)

    for word <- ["baileys_ex ", "baileys_ex_auth", "B, C", "mix baileys.auth.adopt"],
        do: assert(message =~ word)
  end

  test "this very VM loads its modules from here" do
    modules = Application.spec(:baileys_ex_auth, :modules)
    assert length(modules) > 50
    assert ForeignModules.check(modules, Application.app_dir(:baileys_ex_auth, "ebin")) == :ok
  end
end
