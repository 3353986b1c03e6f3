defmodule Reader.MixProject do
  use Mix.Project

  def project do
    [
      app: :reader,
      version: "0.1.0",
      build_path: "../../_build",
      deps_path: "../../deps",
      lockfile: "../../mix.lock",
      elixir: "~> 1.14",
      deps: deps()
    ]
  end

  def application, do: []

  defp deps do
    [{:writer, in_umbrella: true}, {:baileys_ex_auth, path: System.fetch_env!("PACKAGE")}]
  end
end
