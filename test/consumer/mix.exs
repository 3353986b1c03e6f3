defmodule Consumer.MixProject do
  use Mix.Project

  # An application that uses the library as any other would, through a dependency and nothing else. The tests
  # say where the package is.
  def project do
    [
      app: :consumer,
      version: "0.1.0",
      elixir: "~> 1.14",
      deps: [{:baileys_ex_auth, path: System.fetch_env!("PACKAGE")}]
    ]
  end

  def application, do: []
end
