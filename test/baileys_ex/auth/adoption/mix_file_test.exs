defmodule BaileysEx.Auth.Adoption.MixFileTest do
  use ExUnit.Case, async: true

  alias BaileysEx.Auth.Adoption.MixFile

  @dependency ~s({:baileys_ex_auth, "~> 0.1"})

  test "the dependency goes to the front of the list, in its style" do
    for {before, expected} <- [
          {"defp deps do\n  [\n    # first\n    {:a, \"1\"}\n  ]\nend",
           "defp deps do\n  [\n    #{@dependency},\n    # first\n    {:a, \"1\"}\n  ]\nend"},
          {"defp deps, do: [{:a, \"1\"}]", "defp deps, do: [#{@dependency}, {:a, \"1\"}]"},
          {"def deps() do\n  []\nend", "def deps() do\n  [#{@dependency}]\nend"},
          {"defp deps do\n  [\n  ]\nend", "defp deps do\n  [#{@dependency}\n  ]\nend"},
          {"def project, do: [app: :x, deps: [{:b, path: \"b\"}]]",
           "def project, do: [app: :x, deps: [#{@dependency}, {:b, path: \"b\"}]]"},
          {"defp deps do\n  [{:a, \"1\"}] ++ more()\nend",
           "defp deps do\n  [#{@dependency}, {:a, \"1\"}] ++ more()\nend"}
        ] do
      assert MixFile.add(before, @dependency) == {:ok, expected}
      assert MixFile.add(expected, @dependency) == :unchanged
    end
  end

  test "a dependency that is there in any form is left as it is" do
    for dependency <- [
          ~s({:baileys_ex_auth, "~> 0.2", only: :prod}),
          ~s({:baileys_ex_auth, path: "elsewhere"})
        ] do
      assert MixFile.add("defp deps, do: [#{dependency}]", @dependency) == :unchanged
    end
  end

  test "a file without such a list, or that cannot be read, is left to a person" do
    assert {:error, _} = MixFile.add("def project, do: [app: :x]", @dependency)
    assert {:error, "line " <> _} = MixFile.add("def project do", @dependency)
  end

  test "only a tuple of this library is a dependency on it" do
    assert MixFile.dependency?(@dependency)
    assert MixFile.dependency?(~s({:baileys_ex_auth, "~> 0.1", only: :prod}))
    refute MixFile.dependency?(~s({:other, "~> 0.1"}))
    refute MixFile.dependency?("System.halt()")
    refute MixFile.dependency?("{")
  end
end
