defmodule Mix.Tasks.Compile.BaileysExAuthNative do
  @moduledoc """
  Builds the Rust NIF with cargo and puts it into the application's `priv/native`.

  A Mix compiler that runs before the Elixir one, and so lives beside `mix.exs`: it works the same
  when this project is a dependency, under an umbrella and for a release. It needs `cargo` on the
  PATH and no Hex package. A library that is there already, and no older than its sources, is enough
  to go on without `cargo`.

  `CARGO_TARGET_DIR` and `CARGO_BUILD_TARGET` are heeded. What it has to say goes to standard error:
  the output of a task that compiles first may be read by a program.
  """

  use Mix.Task.Compiler

  @library "baileys_ex_auth_nif"
  @root Path.expand("..", __DIR__)

  @impl true
  def run(_args) do
    target_dir = target_dir()
    installed = installed_library()

    with :ok <- rust_new_enough(installed),
         :ok <- cargo(target_dir, installed) do
      install(built_library(target_dir), installed)
    else
      :no_cargo -> without_cargo(installed)
      {:error, message} -> fail(message)
    end
  end

  @impl true
  def clean do
    File.rm_rf!(Path.dirname(installed_library()))
    :ok
  end

  # cargo itself would say so after some downloads, once for each crate. Not asked where nothing is
  # to be built.
  defp rust_new_enough(installed) do
    with false <- newer_than_sources?(installed),
         {:ok, found} <- rustc_version(),
         needed = rust_needed(),
         true <- numbers(found) < numbers(needed) do
      {:error,
       "Rust #{needed} or later is needed, and #{found} was found: " <>
         "`rustup update stable` gets it (https://rustup.rs)"}
    else
      _ -> :ok
    end
  end

  # A compiler that cannot be asked is cargo's to complain of.
  defp rustc_version do
    with rustc when is_binary(rustc) <-
           System.find_executable(System.get_env("RUSTC", "rustc")),
         {text, 0} <- System.cmd(rustc, ["--version"], cd: @root, stderr_to_stdout: true),
         [_, version] <- Regex.run(~r/^rustc ([\d.]+)/m, text) do
      {:ok, version}
    else
      _ -> :error
    end
  end

  defp numbers(version), do: version |> String.split(".") |> Enum.map(&String.to_integer/1)

  defp rust_needed do
    text = File.read!(Path.join(@root, "Cargo.toml"))
    [_, version] = Regex.run(~r/^rust-version = "([\d.]+)"/m, text)
    version
  end

  # Debug and release builds of the application share one optimised library: a debug build of the
  # codec is an order of magnitude slower and tests nothing more.
  defp cargo(target_dir, installed) do
    env = [{"CARGO_TARGET_DIR", target_dir}]

    case System.find_executable("cargo") do
      nil ->
        :no_cargo

      cargo ->
        first? = not File.regular?(installed)
        if first?, do: say("building the Rust library, which takes about half a minute")
        args = ["build", "--release", "--locked", "--package", "auth_nif"] ++ verbosity(first?)

        case System.cmd(cargo, args, cd: @root, env: env, into: IO.stream(:stderr, :line)) do
          {_, 0} -> :ok
          {_, status} -> {:error, "cargo build failed with status #{status}"}
        end
    end
  end

  # cargo shows its progress on standard error.
  defp verbosity(first?), do: if(first? and terminal?(), do: [], else: ["--quiet"])

  defp terminal? do
    case System.find_executable("sh") do
      nil -> false
      sh -> match?({_, 0}, System.cmd(sh, ["-c", "test -t 2"]))
    end
  end

  # Not by Mix's shell, which tells standard output first which application it is about.
  defp say(text), do: IO.puts(:stderr, "baileys_ex_auth: " <> text)

  defp without_cargo(installed) do
    if newer_than_sources?(installed) do
      say("warning: cargo was not found; the library that was built before is used")

      {:noop, []}
    else
      fail(
        "cargo was not found: install Rust #{rust_needed()} or later with rustup " <>
          "(https://rustup.rs)"
      )
    end
  end

  # Times are whole seconds: a source of the same second may be the newer one.
  defp newer_than_sources?(installed) do
    case File.stat(installed) do
      {:ok, %{mtime: installed_at}} -> Enum.all?(sources(), &(mtime(&1) < installed_at))
      {:error, _posix} -> false
    end
  end

  defp sources do
    Enum.flat_map(
      ["Cargo.{toml,lock}", "native/**/*.{rs,toml}"],
      &Path.wildcard(Path.join(@root, &1))
    )
  end

  defp mtime(path), do: File.stat!(path).mtime

  defp fail(message) do
    say(message)

    {:error,
     [
       %Mix.Task.Compiler.Diagnostic{
         compiler_name: "baileys_ex_auth_native",
         file: Path.join(@root, "Cargo.toml"),
         message: message,
         position: 0,
         severity: :error
       }
     ]}
  end

  # Deleted before it is copied: writing into a library that a running VM has mapped crashes it.
  defp install(built, installed) do
    cond do
      up_to_date?(built, installed) ->
        {:noop, []}

      File.regular?(built) ->
        File.mkdir_p!(Path.dirname(installed))
        File.rm_rf!(installed)
        File.cp!(built, installed)
        {:ok, []}

      true ->
        fail("cargo built, but not #{built}: name the target in CARGO_BUILD_TARGET")
    end
  end

  defp up_to_date?(built, installed) do
    with {:ok, %{size: size, mtime: built_at}} <- File.stat(built),
         {:ok, %{size: ^size, mtime: installed_at}} <- File.stat(installed) do
      installed_at > built_at
    else
      _ -> false
    end
  end

  defp target_dir do
    System.get_env("CARGO_TARGET_DIR") ||
      Path.join(Path.dirname(Mix.Project.build_path()), "cargo")
  end

  defp built_library(target_dir) do
    name =
      case :os.type() do
        {:unix, :darwin} -> "lib#{@library}.dylib"
        {:win32, _} -> "#{@library}.dll"
        _ -> "lib#{@library}.so"
      end

    Path.join([target_dir, target(), "release", name])
  end

  # With a target, even if it is the host's, cargo builds in a directory of its name; a target can
  # be the path of a specification too.
  defp target do
    "CARGO_BUILD_TARGET" |> System.get_env("") |> Path.basename(".json")
  end

  # The BEAM looks for `.so` on every Unix, macOS included.
  defp installed_library do
    extension = if match?({:win32, _}, :os.type()), do: ".dll", else: ".so"
    Path.join([Mix.Project.app_path(), "priv", "native", @library <> extension])
  end
end
