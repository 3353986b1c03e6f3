defmodule BaileysEx.Hostile.ScaleTest do
  # Many accounts with few file descriptors. `bin/scale` does the same with ten thousand accounts, and one
  # directory of a million keys.
  use ExUnit.Case, async: false

  import BaileysEx.Auth.TempDir

  alias BaileysEx.Auth.NativeFilePersistence
  alias BaileysEx.Test.Vm

  @script Path.expand("../../bench/scale.exs", __DIR__)
  @limit 256
  @directories String.to_integer(System.get_env("DIRECTORIES", "400"))

  setup :setup_temp_dir

  @tag timeout: :infinity
  test "a VM that may open 256 files uses more directories than that", %{tmp: tmp} do
    assert {[line], 0} = scale(["directories", @directories, tmp], limit: @limit)
    IO.puts(line)
    assert [_, most] = Regex.run(~r/at most (\d+) open files of #{@limit}/, line)
    # Only what the VM itself needs: no descriptor stays open for a directory.
    assert String.to_integer(most) < 100
    assert length(File.ls!(tmp)) == @directories

    path = Path.join(tmp, "account-#{@directories}")
    assert {:ok, %{"lid-mapping": ids}} = NativeFilePersistence.list_keys(path)
    assert Enum.sort(ids) == 1..22 |> Enum.map(&to_string/1) |> Enum.sort()
  end

  @tag timeout: :infinity
  test "a directory of many keys costs a save and a load no memory", %{tmp: tmp} do
    path = Path.join(tmp, "many")
    assert {[_made], 0} = scale(["fill", 10_000, path])
    assert {lines, 0} = scale(["measure", path])
    printed = Enum.join(lines, "\n")
    assert printed =~ "10000 keys"

    for operation <- ["save", "load"] do
      [_, kibibytes] = Regex.run(~r/#{operation} .* (\d+) KiB more/, printed)
      # The names alone would take more.
      assert String.to_integer(kibibytes) < 400, printed
    end
  end

  defp scale(arguments, opts \\ []) do
    Vm.run(
      "application:ensure_all_started(baileys_ex_auth), " <>
        "'Elixir.System':argv([#{Enum.map_join(arguments, ", ", &"<<\"#{&1}\">>")}]), " <>
        Vm.call(Code, :eval_file, [@script]),
      opts
    )
  end
end
