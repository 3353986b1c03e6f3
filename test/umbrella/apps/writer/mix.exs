defmodule Writer.MixProject do
  use Mix.Project

  def project do
    [
      app: :writer,
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
    [{:baileys_ex_auth, path: System.fetch_env!("PACKAGE")}]
  end
end
