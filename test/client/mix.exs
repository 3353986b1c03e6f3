defmodule BaileysEx.MixProject do
  use Mix.Project

  # A client like baileys_ex: some of its modules have the names of this library's modules.
  def project do
    [
      app: :baileys_ex,
      version: "0.1.0",
      elixir: "~> 1.14",
      deps: deps()
    ]
  end

  def application, do: [extra_applications: [:logger]]

  defp deps do
    []
  end
end
