defmodule Umbrella.MixProject do
  use Mix.Project

  # Two applications that share the library, as in any umbrella.
  def project do
    [apps_path: "apps", version: "0.1.0", start_permanent: Mix.env() == :prod, deps: []]
  end
end
