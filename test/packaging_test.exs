defmodule BaileysEx.Auth.PackagingTest do
  use ExUnit.Case, async: true

  import BaileysEx.Auth.TempDir
  alias BaileysEx.Auth.Adoption
  alias BaileysEx.Test.Package

  # The crates of the package are compiled once, and again if they have changed.
  @moduletag timeout: 600_000

  setup_all context do
    {:ok, tmp: tmp} = setup_temp_dir(context)
    {:ok, package: Package.unpack(), consumer: Package.copy_project("consumer", tmp)}
  end

  setup :setup_temp_dir

  test "the package holds sources and documents, and nothing that was built" do
    files = Package.files()

    for file <- files,
        do:
          assert(
            Path.extname(file) in ~w(.ex .exs .rs .toml .lock .md .svg) or file == "LICENSE",
            file
          )

    for file <- ~w(Cargo.lock LICENSE README.md CHANGELOG.md mix.exs), do: assert(file in files)
    assert files == Enum.uniq(files)
  end

  test "the package names what Hex asks for" do
    config = Mix.Project.config()
    assert byte_size(config[:description]) in 1..300
    assert config[:package][:licenses] == ["MIT"]
    assert {:ok, _} = Version.parse(config[:version])
    assert Enum.all?(config[:package][:links], fn {_, link} -> link =~ ~r{^https://} end)
  end

  test "the crates and the project have one version" do
    version = Mix.Project.config()[:version]
    assert File.read!("Cargo.toml") =~ ~s(version = "#{version}")

    for crate <- ~w(auth_nif auth_store) do
      assert File.read!("Cargo.lock") =~ ~s(name = "#{crate}"\nversion = "#{version}")
    end
  end

  test "a project that depends on the package saves and loads", context do
    path = Path.join(context.tmp, "auth")
    output = mix!(context.consumer, context.package, run("Consumer.run(#{inspect(path)})"))
    assert output =~ "consumer: saved and loaded"
    assert File.exists?(Path.join(path, "creds.etf"))
  end

  test "a project that has :telemetry builds it without a word about that", context do
    %{package: package, tmp: tmp} = context
    consumer = Package.copy_project("consumer", tmp)
    stand_in = project_of_telemetry(Path.join(tmp, "telemetry"))
    mix_exs = Path.join(consumer, "mix.exs")
    dependency = "deps: [{:telemetry, path: #{inspect(stand_in)}}, "
    File.write!(mix_exs, mix_exs |> File.read!() |> String.replace("deps: [", dependency))

    assert mix!(consumer, package, run("true = BaileysEx.Auth.Telemetry.detect()")) =~ "Generated"
    output = mix!(consumer, package, ["deps.compile", "--force"])
    assert output =~ "Generated baileys_ex_auth app"
    refute output =~ "warning"
  end

  test "the package's Mix tasks are the project's", context do
    output = mix!(context.consumer, context.package, ~w(do compile + help baileys.auth.inspect))
    assert output =~ "mix baileys.auth.inspect PATH"
  end

  test "applications of an umbrella share it", %{package: package, tmp: tmp} do
    umbrella = Package.copy_project("umbrella", tmp)
    reader = Path.join(umbrella, "apps/reader")
    code = "Reader.run(#{inspect(Path.join(tmp, "auth"))})"

    assert mix!(umbrella, package, run(code)) =~ "umbrella: saved and loaded"
    refute mix!(reader, package, run(code)) =~ "Compiling", "the umbrella's build was not shared"
    assert [_] = Path.wildcard(Path.join(tmp, "umbrella/**/priv/native/*.so"))
  end

  test "a release runs wherever it is put", %{tmp: tmp} = context do
    mix!(context.consumer, context.package, ["release", "--path", Path.join(tmp, "built")])
    File.rename!(Path.join(tmp, "built"), Path.join(tmp, "moved"))
    path = Path.join(tmp, "auth")

    output = eval!(tmp, ~s|BaileysEx.Auth.CLI.main(["--help"])|)
    assert output =~ "Commands:"

    output =
      eval!(tmp, """
      {:ok, _} = Application.ensure_all_started(:consumer)
      Consumer.run(#{inspect(path)})
      """)

    assert output =~ "consumer: saved and loaded"
    assert eval!(tmp, "BaileysEx.Auth.CLI.main([\"inspect\", #{inspect(path)}])") =~ path
  end

  describe "beside a client that defines modules of the same names" do
    setup %{tmp: tmp, package: package} do
      client = Package.copy_project("client", tmp)
      %{client: client, both: project_of_both(tmp, client, package)}
    end

    test "the build fails and names both and the way out", %{both: both, package: package} do
      # Mix decides which of the two is built first: at the latest, the second build detects the conflict.
      Package.mix(both, package, ["compile"])
      {output, status} = Package.mix(both, package, ["compile"])
      assert status != 0
      assert output =~ "baileys_ex defines modules that baileys_ex_auth defines too"
      assert output =~ "mix baileys.auth.adopt"
    end

    test "the application does not start, and says why", context do
      %{client: client, package: package, consumer: consumer} = context
      mix!(consumer, package, ["compile"])
      mix!(client, package, ["compile"])

      ebins = [
        Path.join(consumer, "_build/prod/lib/baileys_ex_auth/ebin"),
        Path.join(client, "_build/prod/lib/baileys_ex/ebin")
      ]

      code = "{:error, {_app, reason}} = Application.ensure_all_started(:baileys_ex_auth)
              IO.puts(Application.format_error(reason))"

      # The later a path is given, the earlier it is searched.
      paths = Enum.flat_map(ebins, &["-pa", &1])
      {output, 0} = System.cmd("elixir", paths ++ ["-e", code], stderr_to_stdout: true)
      assert output =~ "baileys_ex defines modules of baileys_ex_auth"
      assert output =~ "mix baileys.auth.adopt"
    end

    test "after it was adopted both build without a warning, and it saves here", context do
      %{client: client, both: both, package: package, tmp: tmp} = context
      # An earlier build does not get in the way.
      Package.mix(both, package, ["compile"])
      dependency = ~s({:baileys_ex_auth, path: #{inspect(package)}})
      {:ok, plan} = Adoption.plan(client, dependency: dependency, force: true)
      # Mix counts in whole seconds, and may have built during this one.
      Process.sleep(1_100)
      :ok = Adoption.apply(plan)
      path = Path.join(tmp, "auth")
      output = mix!(both, package, run("BaileysEx.Pairing.run(#{inspect(path)})"))
      assert output =~ "client: paired and saved"
      assert File.exists?(Path.join(path, "creds.json"))
      mix!(both, package, ["release", "--path", Path.join(tmp, "built")])
    end
  end

  test "a build without cargo says what to install", %{package: package, tmp: tmp} do
    consumer = Package.copy_project("consumer", tmp)
    env = [{"PATH", path_without_cargo(tmp)}]
    {output, status} = Package.mix(consumer, package, ["compile"], env)
    assert status != 0
    assert output =~ "cargo was not found: install Rust 1.91 or later"
    refute output =~ "(stacktrace)"
    refute output =~ "Compiling"
  end

  test "a library that is newer than its sources is enough without cargo", context do
    %{package: package, consumer: consumer, tmp: tmp} = context
    mix!(consumer, package, ["compile"])
    source = Path.join(package, "native/auth_nif/src/lib.rs")
    written = File.stat!(source).mtime
    env = [{"PATH", path_without_cargo(tmp)}]
    code = run("Consumer.run(#{inspect(Path.join(tmp, "auth"))})")

    {output, status} = Package.mix(consumer, package, code, env)
    assert status == 0, output
    assert output =~ "baileys_ex_auth: warning: cargo was not found"
    assert output =~ "consumer: saved and loaded"

    File.touch!(source)
    {output, status} = Package.mix(consumer, package, code, env)
    File.touch!(source, written)
    assert status != 0
    assert output =~ "cargo was not found: install Rust 1.91 or later"
  end

  test "the first build says what it does, and no later one", context do
    %{package: package, tmp: tmp} = context
    consumer = Package.copy_project("consumer", tmp)
    env = [{"PATH", path_with(tmp, "cargo", "exit 3")}]
    said = "baileys_ex_auth: building the Rust library, which takes about half a minute"

    {output, status} = Package.mix(consumer, package, ["compile"], env)
    assert status != 0
    assert [_before, rest] = String.split(output, said <> "\n")
    assert rest =~ "cargo build failed with status 3"

    mix!(consumer, package, ["compile"])
    {output, _status} = Package.mix(consumer, package, ["compile"])
    refute output =~ said
  end

  test "Rust that is too old is told in one line, before cargo starts", context do
    %{package: package, tmp: tmp} = context
    consumer = Package.copy_project("consumer", tmp)
    path_with(tmp, "cargo", "echo cargo was started; exit 3")
    old = path_with(tmp, "rustc", "echo 'rustc 1.63.0 (4b91a6ea7 2022-08-08)'")

    {output, status} = Package.mix(consumer, package, ["compile"], [{"PATH", old}])
    assert status != 0
    assert output =~ "baileys_ex_auth: Rust 1.91 or later is needed, and 1.63.0 was found"
    refute output =~ "cargo was started"

    newer = path_with(tmp, "rustc", "echo 'rustc 1.100.0 (4b91a6ea7 2027-08-08)'")
    {output, _status} = Package.mix(consumer, package, ["compile"], [{"PATH", newer}])
    assert output =~ "cargo was started"
  end

  test "standard output stays clean for a program, whatever the build has to say", context do
    %{package: package, consumer: consumer, tmp: tmp} = context
    mix!(consumer, package, run("Consumer.run(#{inspect(Path.join(tmp, "auth"))})"))
    command = ["baileys.auth.inspect", Path.join(tmp, "auth"), "--json"]
    env = [{"PATH", path_without_cargo(tmp)}]

    {output, status} = Package.mix(consumer, package, command, env, stderr_to_stdout: false)
    assert status == 0
    assert output =~ ~r/\A\{/
  end

  test "what is logged while a command runs is no part of its answer", context do
    %{package: package, tmp: tmp} = context
    consumer = Package.copy_project("consumer", tmp)

    # Like Postgrex, which tries to connect again and again.
    File.write!(Path.join(consumer, "lib/repo.ex"), """
    defmodule Consumer.Repo do
      require Logger
      def __adapter__, do: __MODULE__
      def config, do: []
      def ensure_all_started(_config, _type), do: {:ok, []}
      def start_link(_opts), do: Agent.start_link(fn -> Logger.error("failed to connect") end)
      def query(_sql, _params, _opts), do: exit(:noproc)
    end
    """)

    argv = ["verify", "postgres:ada", "--repo", "Consumer.Repo", "--json"]

    for command <- [
          ["baileys.auth.verify" | tl(argv)],
          ["run", "--no-start", "-e", "BaileysEx.Auth.CLI.main(#{inspect(argv)})"]
        ] do
      mix!(consumer, package, ["compile"])
      {output, status} = Package.mix(consumer, package, command, [], stderr_to_stdout: false)
      assert status == 1
      assert output =~ ~r/\A{"error":.*"code":"database".*}\n\z/
      {output, _status} = Package.mix(consumer, package, command)
      assert output =~ "failed to connect"
    end
  end

  test "the library of CARGO_BUILD_TARGET is the one that is taken", context do
    # A cargo with the results of the real one, without the time.
    bin = Path.join(context.tmp, "bin")
    File.mkdir_p!(bin)
    cargo = Path.join(bin, "cargo")

    File.write!(cargo, """
    #!/bin/sh
    release="$CARGO_TARGET_DIR/$CARGO_BUILD_TARGET/release"
    mkdir -p "$release"
    for extension in so dylib; do
      printf "$CARGO_BUILD_TARGET" > "$release/libbaileys_ex_auth_nif.$extension"
    done
    """)

    File.chmod!(cargo, 0o755)
    consumer = Package.copy_project("consumer", context.tmp)
    target_dir = Path.join(context.tmp, "cargo")
    path = bin <> ":" <> System.fetch_env!("PATH")

    for target <- ["", "riscv64gc-unknown-linux-gnu"] do
      env = [
        {"PATH", path},
        {"CARGO_TARGET_DIR", target_dir},
        {"CARGO_BUILD_TARGET", target}
      ]

      assert {_output, 0} = Package.mix(consumer, context.package, ["compile"], env)
      assert [library] = Path.wildcard(Path.join(consumer, "_build/**/priv/native/*.so"))
      assert File.read!(library) == target
    end
  end

  # Before the adoption, the client does not depend on the package.
  defp project_of_both(tmp, client, package) do
    project = Package.copy_project("consumer", Path.join(tmp, "both"))
    mix_file = Path.join(project, "mix.exs")
    paths = [baileys_ex: client, baileys_ex_auth: package]
    deps = for {app, path} <- paths, do: {app, path: path}
    text = String.replace(File.read!(mix_file), ~r/deps: \[.*\]/, "deps: #{inspect(deps)}")
    File.write!(mix_file, text)
    project
  end

  defp run(code), do: ["run", "-e", code]

  # Only what the library calls of it.
  defp project_of_telemetry(path) do
    File.mkdir_p!(Path.join(path, "lib"))

    File.write!(Path.join(path, "mix.exs"), """
    defmodule Telemetry.MixProject do
      use Mix.Project
      def project, do: [app: :telemetry, version: "1.0.0", deps: []]
    end
    """)

    File.write!(Path.join(path, "lib/telemetry.ex"), """
    defmodule :telemetry do
      def execute(_event, _measurements, _metadata), do: :ok
      def attach_many(_id, _events, _handler, _config), do: :ok
      def detach(_id), do: :ok
    end
    """)

    path
  end

  defp mix!(project, package, args) do
    {output, status} = Package.mix(project, package, args)
    assert status == 0, output
    refute output =~ "warning:", output
    output
  end

  defp eval!(tmp, code) do
    consumer = Path.join(tmp, "moved/bin/consumer")
    {output, status} = System.cmd(consumer, ["eval", code], cd: tmp, stderr_to_stdout: true)
    assert status == 0, output
    output
  end

  # Returns the PATH with a program of this name in front.
  defp path_with(tmp, name, script) do
    bin = Path.join(tmp, "bin")
    File.mkdir_p!(bin)
    File.write!(Path.join(bin, name), "#!/bin/sh\n" <> script <> "\n")
    File.chmod!(Path.join(bin, name), 0o755)
    bin <> ":" <> System.fetch_env!("PATH")
  end

  # Replaces each directory with a cargo by one of links to everything else in it.
  defp path_without_cargo(tmp) do
    System.fetch_env!("PATH")
    |> String.split(":")
    |> Enum.map_join(":", fn directory ->
      if File.exists?(Path.join(directory, "cargo")), do: links(directory, tmp), else: directory
    end)
  end

  defp links(directory, tmp) do
    links = Path.join(tmp, "bin_#{:erlang.phash2(directory)}")
    File.mkdir_p!(links)

    for name <- File.ls!(directory), name != "cargo" do
      File.ln_s(Path.join(directory, name), Path.join(links, name))
    end

    links
  end
end
