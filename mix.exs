Code.require_file("mix/compile_native.exs", __DIR__)

defmodule BaileysEx.Auth.MixProject do
  use Mix.Project

  @version "0.1.0"

  def project do
    [
      app: :baileys_ex_auth,
      version: @version,
      elixir: "~> 1.14",
      compilers: [:baileys_ex_auth_native | Mix.compilers()],
      elixirc_paths: elixirc_paths(Mix.env()),
      start_permanent: Mix.env() == :prod,
      test_coverage: [summary: [threshold: 0]],
      aliases: aliases(),
      deps: [],
      description: "Crash-safe storage of WhatsApp auth state, compatible with Baileys"
    ]
  end

  def application do
    [extra_applications: [:logger, :crypto], mod: {BaileysEx.Auth.Application, []}]
  end

  defp elixirc_paths(:test), do: ["lib", "test/support"]
  defp elixirc_paths(_), do: ["lib"]

  defp aliases do
    [
      # Both languages, as on the build machines.
      ci: ["cmd bin/test"],
      "rust.format": ["cmd cargo fmt --all"],
      "rust.lint": ["cmd cargo clippy --workspace --all-targets -- -D warnings"],
      "rust.test": ["cmd cargo test --workspace"]
    ]
  end
end
