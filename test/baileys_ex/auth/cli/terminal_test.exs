defmodule BaileysEx.Auth.CLI.TerminalTest do
  use ExUnit.Case, async: true

  import BaileysEx.Auth.TempDir

  alias BaileysEx.Auth.{CLI, Fixtures, NativeFilePersistence, State}
  alias BaileysEx.Test.{JSON, Terminal}

  @moduletag timeout: 300_000

  # Without `script` there is no pseudo-terminal: the tests are reported as not run instead of silently
  # skipped.
  unless Terminal.available?() do
    IO.puts(:stderr, "SKIPPED: tests on a pseudo-terminal, for want of script (util-linux)")
    @moduletag skip: "no script(1) of util-linux"
  end

  @root Path.expand("../../../..", __DIR__)
  @keys 20_000
  # Enough for a migration to be still running when its first bar is visible.
  @interrupted_keys 8_000

  setup :setup_temp_dir

  describe "a Mix task" do
    test "shows colours and a bar on a terminal, and neither elsewhere", %{tmp: tmp} do
      path = Fixtures.copy!(:baileys, tmp)
      command = "mix baileys.auth.inspect #{path}"

      assert {shown, 0} = Terminal.run_on_terminal(command, [{"MIX_ENV", "test"}])
      assert shown =~ "reading [########################] 100%  99/99 files"
      assert shown =~ "\e[32mnone\e[0m"

      assert {plain, "", 0} = Terminal.run(command, [{"MIX_ENV", "test"}])
      assert plain =~ ~r/damaged +none\n/
      refute plain =~ "\e"
      refute plain =~ "\r"
    end

    test "deletes an account when the answer is yes, and only then", %{tmp: tmp} do
      path = Fixtures.copy!(:native, tmp)
      command = "mix baileys.auth.delete #{path}"
      asked = "Type yes: "

      for {answer, code} <- [{"y\n", 1}, {"\n", 1}, {"yes\n", 0}] do
        assert File.exists?(Path.join(path, "creds.etf"))
        react = fn type -> type.(answer) end

        assert {shown, ^code} =
                 Terminal.interrupt(command, asked, react, env: [{"MIX_ENV", "test"}])

        assert shown =~ "15551230001"
      end

      refute File.exists?(Path.join(path, "creds.etf"))
    end

    test "fits many accounts, and its bar, on narrow terminals", %{tmp: tmp} do
      # Different accounts: a remark about one device in several directories would have a line of any length.
      for name <- ["ada", "an-account-of-a-customer-with-a-very-long-name-indeed", "eve"] do
        path = Path.join(tmp, name)
        File.cp_r!(Fixtures.path(:native), path)
        {:ok, state} = NativeFilePersistence.load_credentials(path)
        me = %{state.me | id: "1555123000#{byte_size(name)}:7@s.whatsapp.net"}
        :ok = NativeFilePersistence.save_credentials(path, %{state | me: me})
      end

      for columns <- [80, 60], task <- ["inspect", "verify"] do
        command = "mix baileys.auth.#{task} --all #{tmp}"
        assert {shown, 0} = Terminal.run_on_terminal(command, [{"MIX_ENV", "test"}], columns)
        assert shown =~ "3/3 accounts"

        for line <- String.split(shown, ["\r\n", "\r", "\n"]) do
          plain = String.replace(line, ~r/\e\[[0-9;]*[A-Za-z]/, "")
          assert String.length(plain) <= columns, plain
        end
      end
    end

    for columns <- [80, 60] do
      test "restores, says from where, and names what it cannot restore, at #{columns} columns",
           %{tmp: tmp} do
        columns = unquote(columns)
        path = Fixtures.copy!(:native, tmp)
        [backup, aside] = for name <- ["backup", "aside"], do: Path.join(tmp, name)
        :ok = NativeFilePersistence.snapshot(path, backup)
        :ok = NativeFilePersistence.save_keys(path, :"lid-mapping", "after", "the snapshot")
        File.write!(Path.join(path, "note"), "kept")
        command = "mix baileys.auth.restore #{backup} #{path} --aside #{aside}"

        run = fn -> Terminal.run_on_terminal(command, [{"MIX_ENV", "test"}], columns) end
        assert {shown, 0} = run.()

        assert lines(shown) == [
                 "\e[32mok\e[0m  #{path} is restored",
                 "  from       #{backup}",
                 "  set aside  #{aside}"
               ]

        assert File.read!(Path.join(aside, "note")) == "kept"

        assert Fixtures.load_all!(NativeFilePersistence, path) ==
                 Fixtures.load_all!(NativeFilePersistence, backup)

        # A second restore to the same place for the old content.
        before = Fixtures.files!(path)
        assert {refused, 1} = run.()

        assert lines(refused) == [
                 "\e[31merror: \e[0m#{aside} exists already",
                 "Give another --aside. Nothing was changed."
               ]

        assert Fixtures.files!(path) == before

        for line <- lines(shown <> refused),
            do: assert(String.length(without(line, tmp)) <= columns, line)
      end
    end

    test "exits with the command's code, and says nothing of its own", %{tmp: tmp} do
      assert {"", error, 2} = Terminal.run("mix baileys.auth.verify", [{"MIX_ENV", "test"}])
      assert error == "error: verify: expects one PATH\nsee --help\n"

      assert {"", error, 1} =
               Terminal.run("mix baileys.auth.verify #{tmp}", [{"MIX_ENV", "test"}])

      assert error =~ "holds no credentials and no keys"
    end

    test "puts nothing but JSON on standard output, also when it has to compile", %{tmp: tmp} do
      path = Fixtures.copy!(:native, tmp)
      project = Path.join(tmp, "host")
      File.mkdir_p!(Path.join(project, "lib"))
      File.write!(Path.join(project, "mix.exs"), host_project())
      env = [{"CARGO_TARGET_DIR", cargo_target()}, {"MIX_ENV", "prod"}]
      # Mix compiles dependencies before it can find their tasks, and writes to standard output.
      {_, _, 0} = Terminal.run("cd #{project} && mix deps.compile", env)
      File.write!(Path.join(project, "lib/host.ex"), "defmodule Host, do: @moduledoc(false)")

      {json, compiler, 0} =
        Terminal.run("cd #{project} && mix baileys.auth.snapshot #{path} #{tmp}/s --json", env)

      assert compiler =~ "Compiling 1 file"
      assert %{"backend" => "native"} = JSON.decode!(json)
    end
  end

  describe "a release, without Mix," do
    test "runs the same commands", %{tmp: tmp} do
      path = Fixtures.copy!(:native, tmp)
      assert {json, "", 0} = Terminal.run(Terminal.eval(["inspect", path, "--json"]))
      assert %{"dialect" => "native"} = JSON.decode!(json)
      assert {"", _, 1} = Terminal.run(Terminal.eval(["inspect", tmp]))
      assert {"", _, 2} = Terminal.run(Terminal.eval(["inspect"]))
    end

    test "shows no colours with NO_COLOR, and nothing at all with TERM=dumb", %{tmp: tmp} do
      command = Terminal.eval(["inspect", Fixtures.copy!(:baileys, tmp)])
      assert {shown, 0} = Terminal.run_on_terminal(command, [{"NO_COLOR", "1"}])
      refute shown =~ "\e[3"
      refute shown =~ "\e[1m"
      assert {shown, 0} = Terminal.run_on_terminal(command, [{"TERM", "dumb"}])
      refute shown =~ "\e"
    end

    test "shows JSON only, on a terminal too", %{tmp: tmp} do
      path = Fixtures.copy!(:baileys, tmp)
      {shown, 0} = Terminal.run_on_terminal(Terminal.eval(["inspect", path, "--json"]))
      assert %{"backend" => "json"} = JSON.decode!(String.trim(shown))
    end
  end

  test "a migration of #{@keys} keys shows a bar with rate and remaining time", %{tmp: tmp} do
    source = make_source(tmp, @keys)
    target = Path.join(tmp, "target")

    {shown, 0} =
      Terminal.run_on_terminal(
        Terminal.eval(["migrate", source, target, "--verify", "--without-credentials"])
      )

    lines = String.split(shown, "\r")
    bars = for line <- lines, line =~ "migrating [", do: line
    assert length(bars) > 2

    for bar <- bars do
      assert bar =~ ~r/%  [\d,]+\/20,000 files  [\d,]+\/s  \d+:\d\d left/
      assert String.length(bar) <= 100 + String.length("\e[K")
    end

    shares = for bar <- bars, do: ~r/(\d+)%/ |> Regex.run(bar) |> List.last()
    shares = Enum.map(shares, &String.to_integer/1)
    assert shares == Enum.sort(shares)
    assert List.last(shares) == 100
    assert Enum.any?(lines, &(&1 =~ "verifying ["))
    assert shown =~ "and verified"
    assert shown =~ ~r/total +20,000/
  end

  test "a migration shows no bar where there is no terminal", %{tmp: tmp} do
    argv = ["migrate", make_source(tmp, 300), Path.join(tmp, "target"), "--without-credentials"]
    {shown, "", 0} = Terminal.run(Terminal.eval(argv))

    refute shown =~ "\r"
    refute shown =~ "%"
    assert shown =~ ~r/total +300/
  end

  describe "a migration" do
    setup %{tmp: tmp} do
      {:ok, source: make_source(tmp, @interrupted_keys), target: Path.join(tmp, "target")}
    end

    test "leaves the target as it was after Ctrl-C; the next one cleans up", context do
      {shown, status} = interrupted(context, fn _pid, type -> type.("\x03") end)
      refute shown =~ "migrated in"
      assert status == 130
      refute File.exists?(context.target)
      migrate_again(context)
    end

    test "leaves the target as it was after a kill; the next one cleans up", context do
      interrupted(context, fn pid, _type -> System.cmd("kill", ["-KILL", pid]) end)
      refute File.exists?(context.target)
      # Shows that it was killed in the middle, and that there is something to clean up.
      assert staging(context) != []
      migrate_again(context)
    end

    test "killed while it replaces an account, leaves that account", context do
      :ok = NativeFilePersistence.save_credentials(context.target, State.new(platform: "before"))
      before = Fixtures.files!(context.target)

      interrupted(
        context,
        fn pid, _type -> System.cmd("kill", ["-KILL", pid]) end,
        ["--overwrite"]
      )

      {unfinished, files} =
        context.target
        |> Fixtures.files!()
        |> Enum.split_with(fn {name, _bytes} -> String.contains?(name, ".tmp-") end)

      assert Map.new(files) == before
      # Shows that it was killed in the middle; the next open removes these files.
      assert unfinished != []
      assert {:ok, %{platform: "before"}} = NativeFilePersistence.load_credentials(context.target)
      migrate_again(context, ["--overwrite"])
    end

    test "stopped politely, leaves the target as it was, and does not end as if it were done",
         context do
      {_shown, status} =
        interrupted(context, fn pid, _type -> System.cmd("kill", ["-TERM", pid]) end)

      assert status == 143
      refute File.exists?(context.target)
      migrate_again(context)
    end
  end

  defp make_source(tmp, keys) do
    source = Path.join(tmp, "source")
    File.mkdir!(source)

    for id <- 1..keys do
      File.write!(Path.join(source, "lid-mapping-#{id}.json"), ~s("#{900_000_000_000 + id}"))
    end

    # Removing so many synced files takes a busy disk a minute, and no test needs to wait for it.
    on_exit(fn ->
      File.rename!(tmp, tmp <> "_gone")
      System.cmd("sh", ["-c", "rm -rf #{Terminal.quoted(tmp <> "_gone")} >/dev/null 2>&1 &"])
    end)

    source
  end

  # Interrupts a migration as soon as its progress is visible.
  defp interrupted(%{tmp: tmp, source: source, target: target}, react, options \\ []) do
    pid_file = Path.join(tmp, "pid")
    main = Terminal.eval(["migrate", source, target, "--without-credentials" | options])
    command = "sh -c #{Terminal.quoted("echo $$ > #{pid_file}; exec #{main}")}"

    Terminal.interrupt(command, "files", fn type ->
      react.(pid_file |> File.read!() |> String.trim(), type)
    end)
  end

  defp migrate_again(context, options \\ []) do
    argv = ["migrate", context.source, context.target, "--without-credentials" | options]
    assert ExUnit.CaptureIO.capture_io(fn -> assert CLI.run(argv, plain()) == 0 end) =~ "8,000"
    assert_complete(context)
    assert staging(context) == []
  end

  defp assert_complete(context) do
    {:ok, keys} = NativeFilePersistence.list_keys(context.target)
    assert length(keys[:"lid-mapping"]) == @interrupted_keys
  end

  # Returns what lies beside source, target and our own file.
  defp staging(%{tmp: tmp}), do: File.ls!(tmp) -- ["source", "target", "pid"]

  defp plain, do: CLI.Terminal.plain()

  defp lines(shown), do: String.split(shown, "\r\n", trim: true)

  # Removes colours from a line, and paths, whose length varies.
  defp without(line, tmp), do: String.replace(line, [tmp, "\e[31m", "\e[32m", "\e[0m"], "")

  defp host_project do
    """
    defmodule Host.MixProject do
      use Mix.Project

      def project do
        [app: :host, version: "0.1.0", deps: [{:baileys_ex_auth, path: #{inspect(@root)}}]]
      end
    end
    """
  end

  defp cargo_target do
    System.get_env("CARGO_TARGET_DIR") || Path.join(@root, "_build/cargo")
  end
end
