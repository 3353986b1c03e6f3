Code.require_file("mix/compile_native.exs", __DIR__)
Code.require_file("mix/check_modules.exs", __DIR__)

defmodule BaileysEx.Auth.MixProject do
  use Mix.Project

  @version "0.1.0"

  def project do
    [
      app: :baileys_ex_auth,
      version: @version,
      elixir: "~> 1.14",
      compilers: [:baileys_ex_auth_modules, :baileys_ex_auth_native | Mix.compilers()],
      elixirc_paths: elixirc_paths(Mix.env()),
      # Projects that tests build.
      test_ignore_filters: [&String.starts_with?(&1, ["test/consumer/", "test/umbrella/"])],
      start_permanent: Mix.env() == :prod,
      test_coverage: [summary: [threshold: 0]],
      deps: deps(Mix.env()),
      name: "BaileysEx.Auth",
      description: "Crash-safe storage of WhatsApp auth state, compatible with Baileys",
      package: package(),
      docs: &docs/0
    ]
  end

  def application do
    [extra_applications: [:logger, :crypto], mod: {BaileysEx.Auth.Application, []}]
  end

  defp elixirc_paths(:test), do: ["lib", "test/support"]
  defp elixirc_paths(_), do: ["lib"]

  # Mix asks for Hex as soon as it sees a Hex package, even one that is `only:` for another environment.
  defp deps(:docs), do: [{:ex_doc, "~> 0.34", only: :docs, runtime: false}]
  defp deps(_), do: []

  defp package do
    [
      licenses: ["MIT"],
      links: %{"Baileys" => "https://github.com/WhiskeySockets/Baileys"},
      files: ~w(
        mix.exs .formatter.exs lib mix
        Cargo.toml Cargo.lock
        native/auth_nif/Cargo.toml native/auth_nif/src
        native/auth_store/Cargo.toml native/auth_store/src native/auth_store/benches
        README.md ARCHITECTURE.md CONTRIBUTING.md CHANGELOG.md LICENSE guides
      )
    ]
  end

  # `MIX_ENV=docs mix do deps.get, docs`
  defp docs do
    [
      main: "readme",
      source_ref: "v#{@version}",
      extras:
        ["README.md"] ++
          guides() ++
          ["ARCHITECTURE.md", "native/auth_store/src/engine/DESIGN.md"] ++
          ["CONTRIBUTING.md", "CHANGELOG.md", "LICENSE"],
      # The guides and the README look for pictures under different paths.
      assets: %{"guides/images" => "images", "./guides/images" => "guides/images"},
      groups_for_extras: [Guides: guides()],
      groups_for_modules: module_groups(),
      # Makes names in the side bar short enough to be shown completely.
      nest_modules_by_prefix: [
        BaileysEx.Auth,
        BaileysEx.Auth.KeyStore,
        BaileysEx.Protocol.Proto,
        BaileysEx.Signal
      ]
    ]
  end

  # In reading order; a guide that is not listed here comes last.
  defp guides do
    order = ~w(getting-started with-baileys-ex coming-from-baileys coming-from-a-database
         choosing-a-backend comparison durability
         several-machines custom-backends testing operating
         growth troubleshooting faq)

    "guides/*.md"
    |> Path.wildcard()
    |> Enum.sort_by(&Enum.find_index(order, fn name -> name == Path.basename(&1, ".md") end))
  end

  # Mix tasks are a list of their own in ExDoc.
  defp module_groups do
    [
      "The map": [BaileysEx.Auth],
      Directories: [
        BaileysEx.Auth.NativeFilePersistence,
        BaileysEx.Auth.FilePersistence,
        BaileysEx.Auth.BaileysJSON,
        BaileysEx.Auth.PersistenceMigration,
        BaileysEx.Auth.Persistence,
        BaileysEx.Auth.Owner,
        BaileysEx.Auth.Lock
      ],
      PostgreSQL: [
        BaileysEx.Auth.PostgresPersistence,
        BaileysEx.Auth.Postgres.Schema,
        BaileysEx.Auth.Postgres.Connection
      ],
      "Key store": [
        BaileysEx.Auth.KeyStore,
        BaileysEx.Auth.Accounts,
        BaileysEx.Auth.KeyStore.Ref,
        BaileysEx.Auth.KeyStore.TxRef,
        BaileysEx.Signal.Store,
        BaileysEx.Signal.Store.Memory
      ],
      "Credentials and keys": [
        BaileysEx.Auth.State,
        BaileysEx.Signal.Curve,
        BaileysEx.Signal.SessionRecord,
        ~r/^BaileysEx\.Signal\.Group\./,
        BaileysEx.Protocol.Proto.ADVSignedDeviceIdentity
      ],
      Operating: [
        BaileysEx.Auth.Inspection,
        BaileysEx.Auth.Inspection.PreKeys,
        BaileysEx.Auth.Inspection.Growth,
        BaileysEx.Auth.Repair,
        BaileysEx.Auth.Restore,
        BaileysEx.Auth.Verification,
        BaileysEx.Auth.CLI,
        BaileysEx.Auth.Adoption,
        BaileysEx.Auth.Telemetry
      ],
      Errors: [~r/Error$/]
    ]
  end
end
