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
end
