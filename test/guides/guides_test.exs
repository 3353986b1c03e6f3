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

  test "the code of choosing-a-backend runs and gives what it says", %{tmp: tmp} do
    Guide.run("guides/choosing-a-backend.md", dir: tmp)
  end

  test "the code of durability runs and gives what it says", %{tmp: tmp} do
    Guide.run("guides/durability.md", path: Path.join(tmp, "auth"))
  end

  test "the code of operating runs and gives what it says", %{tmp: tmp} do
    binding = Guide.run("guides/operating.md", dir: tmp)
    Supervisor.stop(binding[:supervisor])
  end
end
