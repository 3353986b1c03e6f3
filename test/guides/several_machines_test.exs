defmodule BaileysEx.SeveralMachinesGuideTest do
  use ExUnit.Case, async: true

  import BaileysEx.Auth.TempDir

  alias BaileysEx.Test.{Guide, PostgresDriver, PostgresServer}

  @moduletag :postgres
  @moduletag :capture_log

  setup :setup_temp_dir

  test "the code of several-machines runs and gives what it says", %{tmp: tmp} do
    directory = PostgresServer.start!()
    [here, elsewhere] = for _ <- 1..2, do: PostgresDriver.connect!(directory)

    Guide.run("guides/several-machines.md",
      connection: here,
      other_connection: elsewhere,
      dir: tmp
    )
  end
end
