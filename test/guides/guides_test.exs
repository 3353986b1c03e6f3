defmodule BaileysEx.GuidesTest do
  # The code of each guide, run on copies of the fixtures.
  use ExUnit.Case, async: true

  alias BaileysEx.Auth.Fixtures
  alias BaileysEx.Test.Guide

  import BaileysEx.Auth.TempDir

  setup :setup_temp_dir

  test "the code of getting-started runs and gives what it says", %{tmp: tmp} do
    Guide.run("guides/getting-started.md", dir: tmp)
  end

  test "the code of coming-from-baileys runs and gives what it says", %{tmp: tmp} do
    Guide.run("guides/coming-from-baileys.md",
      source: Fixtures.copy!(:baileys, tmp),
      target: Path.join(tmp, "native"),
      returned: Path.join(tmp, "returned"),
      other: Path.join(tmp, "other")
    )
  end

  test "the code of coming-from-a-database runs and gives what it says", %{tmp: tmp} do
    alias BaileysEx.Auth.{FilePersistence, PersistenceMigration}
    source = Fixtures.copy!(:baileys, tmp)
    {:ok, rows} = PersistenceMigration.export({FilePersistence, source}, prefix: "ada:")

    Guide.run("guides/coming-from-a-database.md", rows: rows, target: Path.join(tmp, "native"))
  end

  test "the code of choosing-a-backend runs and gives what it says", %{tmp: tmp} do
    Guide.run("guides/choosing-a-backend.md", dir: tmp)
  end

  test "the code of comparison runs and gives what it says", %{tmp: tmp} do
    Guide.run("guides/comparison.md", dir: tmp)
  end

  test "the code of durability runs and gives what it says", %{tmp: tmp} do
    Guide.run("guides/durability.md", path: Path.join(tmp, "auth"))
  end

  test "the code of operating runs and gives what it says", %{tmp: tmp} do
    binding = Guide.run("guides/operating.md", dir: tmp)
    Supervisor.stop(binding[:supervisor])
  end

  test "the code of growth runs and gives what it says", %{tmp: tmp} do
    Guide.run("guides/growth.md", path: Fixtures.copy!(:native, tmp))
  end

  test "the code of troubleshooting runs and gives what it says", %{tmp: tmp} do
    binding = Guide.run("guides/troubleshooting.md", path: Fixtures.copy!(:baileys, tmp))
    GenServer.stop(binding[:pid])
  end

  test "the code of the questions runs and gives what it says", %{tmp: tmp} do
    Guide.run("guides/faq.md",
      baileys: Fixtures.copy!(:baileys, tmp),
      native: Path.join(tmp, "native")
    )
  end

  test "the test file of testing passes as it stands", %{tmp: tmp} do
    [block] = Enum.filter(Guide.blocks("guides/testing.md"), &(&1.code =~ "use ExUnit.Case"))
    start = "{:ok, _} = Application.ensure_all_started(:baileys_ex_auth)\nExUnit.start()\n"
    File.write!(Path.join(tmp, "contacts_test.exs"), start <> block.code)

    ebin = Application.app_dir(:baileys_ex_auth, "ebin")
    arguments = ["-pa", ebin, "contacts_test.exs"]
    {output, status} = System.cmd("elixir", arguments, cd: tmp, stderr_to_stdout: true)
    assert status == 0, output
    assert output =~ "2 tests, 0 failures"
  end

  @tag :capture_log
  test "the code of testing runs and gives what it says", %{tmp: tmp} do
    binding = Guide.run("guides/testing.md", path: Path.join(tmp, "auth"))
    GenServer.stop(binding[:pid])
  end

  test "every guide is run" do
    tests = Enum.map_join(Path.wildcard("test/guides/*.exs"), &File.read!/1)
    for guide <- Path.wildcard("guides/*.md"), do: assert(tests =~ ~s("#{guide}"), guide)
  end
end
