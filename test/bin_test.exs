defmodule BaileysEx.BinTest do
  # The scripts of bin/, with programs on the PATH that only record their calls.
  use ExUnit.Case, async: true

  import BaileysEx.Auth.TempDir

  @scripts Enum.filter(Path.wildcard("bin/*"), &File.regular?/1)

  setup :setup_temp_dir

  setup %{tmp: tmp} do
    bin = Path.join(tmp, "bin")
    File.mkdir_p!(bin)
    {:ok, bin: bin}
  end

  for script <- @scripts, option <- ["--help", "-h"] do
    test "#{script} #{option} does nothing but help", %{bin: bin} do
      # Any other program is not found, and ends the script.
      link(bin, ~w(bash sed))
      {output, status} = run(unquote(script), [unquote(option)], bin)
      assert status == 0, output
      assert output =~ ~r/^ *#{unquote(script)}/m, "no line that says how to call it: #{output}"
      for line <- String.split(output, "\n"), do: assert(String.length(line) <= 80, line)
      refute output =~ ~r/set -e|#!/
    end
  end

  test "--help is seen after other arguments", %{bin: bin} do
    link(bin, ~w(bash sed))

    for command <- [~w(bin/bench --quick --help), ~w(bin/test test/bin_test.exs -h)] do
      {output, status} = run(hd(command), tl(command), bin)
      assert status == 0, output
    end
  end

  describe "bin/setup" do
    setup %{bin: bin} do
      link(bin, ~w(bash sed dirname sort head grep id env cat chmod))
      for name <- ~w(elixir erl cc git), do: program(bin, name, "exit 0")
      program(bin, "sudo", ~s(exec "$@"))
      program(bin, "dpkg-query", ~s(echo "install ok installed"))
      :ok
    end

    test "leaves a Rust that is new enough alone", %{bin: bin} do
      rust(bin, "1.91.0")
      assert {"", 0} = run("bin/setup", [], bin)
    end

    test "installs the distribution's Rust if it is new enough", %{bin: bin} do
      apt(bin, %{"rustc" => "1.93.1+dfsg1-1", "cargo" => "1.93.1+dfsg1-1", "rustup" => "1.27-1"})
      {output, status} = run("bin/setup", [], bin)
      assert status == 0, output
      assert output =~ "Installing: cargo rustc rustfmt rust-clippy"
    end

    test "uses the distribution's rustup if its Rust is too old", %{bin: bin} do
      apt(bin, %{"rustc" => "1.85.0+dfsg3-1", "cargo" => "1.85.0+dfsg3-1", "rustup" => "1.27-1"})
      {output, status} = run("bin/setup", [], bin)
      assert status == 0, output
      assert output =~ "Installing: rustup"
      assert output =~ "rustup default stable"
      refute output =~ "rust-clippy"
    end

    test "makes a toolchain the default one if rustup has none", %{bin: bin} do
      apt(bin, %{"rustup" => "1.27-1"})
      run_in(bin, ~w(apt-get install rustup))
      for name <- ~w(cargo rustc), do: program(bin, name, "echo choose a toolchain >&2; exit 1")
      {output, status} = run("bin/setup", [], bin)
      assert status == 0, output
      assert output =~ "rustup default stable"

      # An existing toolchain is the user's to change.
      rust(bin, "1.63.0")
      assert {output, 1} = run("bin/setup", [], bin)
      assert [told, command] = String.split(output, "\n", trim: true)
      assert told =~ "1.63.0 was found"
      assert command =~ "rustup default stable && rustup update stable"
    end

    test "prints the one command if rustup cannot install a toolchain", %{bin: bin} do
      for name <- ~w(cargo rustc rustup), do: program(bin, name, "exit 1")
      assert {output, 1} = run("bin/setup", [], bin)
      assert [told, command] = String.split(output, "\n", trim: true)
      assert told =~ "none was found"
      assert command =~ "rustup default stable"
    end

    test "adds the linters that bin/test needs", %{bin: bin} do
      rust(bin, "1.91.0")
      program(bin, "cargo", ~s([ "$2" != --version ] || [ -e "#{bin}/linters" ]))

      program(
        bin,
        "apt-get",
        ~s(case " $* " in *" rustfmt rust-clippy "*\) >"#{bin}/linters";; esac)
      )

      assert {"Installing: rustfmt rust-clippy\n", 0} = run("bin/setup", [], bin)
      assert {"", 0} = run("bin/setup", [], bin)
    end

    test "says what to install if it may not install anything", %{bin: bin} do
      File.rm!(Path.join(bin, "sudo"))
      File.rm!(Path.join(bin, "elixir"))
      program(bin, "id", "echo 1000")
      program(bin, "apt-get", "echo apt-get was called")
      assert {output, 1} = run("bin/setup", [], bin)
      assert output =~ "As root, run:\n  apt-get update && apt-get install elixir\n"
      refute output =~ ~r/sudo|was called|Installing/
    end

    test "continues without programs that only some tests need", %{bin: bin} do
      rust(bin, "1.91.0")

      program(
        bin,
        "dpkg-query",
        ~s(case "$*" in *redis*\) exit 1 ;; *\) echo "install ok installed" ;; esac)
      )

      program(bin, "apt-get", ~s([ "$1" = update ]))
      assert {output, 0} = run("bin/setup", [], bin)
      assert output =~ "Not installed, so that some tests are not run: redis-server\n"
    end

    test "prints the one command if the distribution has neither", %{bin: bin} do
      rust(bin, "1.63.0")
      apt(bin, %{"rustc" => "1.63.0+dfsg1-2", "cargo" => "0.66.0+ds1-1"})
      {output, status} = run("bin/setup", [], bin)
      assert status == 1
      refute output =~ "Installing"

      assert [told, command] = String.split(output, "\n", trim: true)
      assert told =~ ~r/\ARust 1\.\d+ or later is needed, and 1.63.0 was found/
      assert command =~ "https://sh.rustup.rs"
    end
  end

  # An apt with these packages. It installs a version of Rust that is new enough.
  defp apt(bin, candidates) do
    policies =
      for {package, version} <- candidates, do: "#{package}) echo 'Candidate: #{version}' ;;"

    program(bin, "apt-cache", "case \"$2\" in\n#{Enum.join(policies, "\n")}\nesac")
    installed = Path.join(bin, "rustc_installed")

    File.write!(installed, "#!/bin/sh\necho 'rustc 1.99.0 (abc 2027-01-01)'\n")

    program(bin, "apt-get", """
    case " $* " in
      *" cargo "*) new=yes ;;
      *" rustup "*) cat >"#{bin}/rustup" <<'TEXT'
    #!/bin/sh
    echo "rustup $*"
    cat "#{installed}" >"#{bin}/rustc"
    cat "#{installed}" >"#{bin}/cargo"
    chmod +x "#{bin}/rustc" "#{bin}/cargo"
    TEXT
      chmod +x "#{bin}/rustup" ;;
    esac
    if [ "$new" ]; then
      cat "#{installed}" >"#{bin}/rustc"
      cat "#{installed}" >"#{bin}/cargo"
      chmod +x "#{bin}/rustc" "#{bin}/cargo"
    fi
    """)
  end

  defp run_in(bin, [program | arguments]) do
    System.cmd(Path.join(bin, program), arguments, env: [{"PATH", bin}], stderr_to_stdout: true)
  end

  defp rust(bin, version) do
    for name <- ~w(cargo rustc),
        do: program(bin, name, "echo '#{name} #{version} (abc 2027-01-01)'")
  end

  defp link(bin, names) do
    for name <- names, do: File.ln_s!(System.find_executable(name), Path.join(bin, name))
  end

  # Never writes through a link to the system's program.
  defp program(bin, name, script) do
    path = Path.join(bin, name)
    File.rm(path)
    File.write!(path, "#!/bin/sh\n#{script}\n", [:exclusive])
    File.chmod!(path, 0o755)
  end

  defp run(script, arguments, bin) do
    System.cmd(Path.expand(script), arguments, env: [{"PATH", bin}], stderr_to_stdout: true)
  end
end
