defmodule BaileysEx.MixProject do
  use Mix.Project

  # A client of the shape of baileys_ex: modules of this library's names among its own.
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
