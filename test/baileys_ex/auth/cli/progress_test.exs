defmodule BaileysEx.Auth.CLI.ProgressTest do
  use ExUnit.Case, async: true

  import ExUnit.CaptureIO

  alias BaileysEx.Auth.CLI.{Progress, Terminal}

  @terminal %Terminal{interactive?: true, colour?: true, columns: 100}

  test "a line shows share, count, rate and remaining time" do
    assert Progress.line("migrating", %{done: 5000, total: 20_000}, 2000, 100) ==
             "migrating [######..................]  25%  5,000/20,000 files  2,500/s  0:06 left"
  end

  test "a line fits the terminal" do
    for columns <- 2..120 do
      line = Progress.line("migrating", %{done: 5000, total: 20_000}, 2000, columns)
      assert String.length(line) < columns
    end
  end

  test "where there is little room the bar gives way, not the remaining time" do
    assert Progress.line("migrating", %{done: 5000, total: 20_000}, 2000, 65) ==
             "migrating [#......]  25%  5,000/20,000 files  2,500/s  0:06 left"

    assert Progress.line("migrating", %{done: 5000, total: 20_000}, 2000, 60) ==
             "migrating  25%  5,000/20,000 files  2,500/s  0:06 left"
  end

  test "a bar begins empty and ends full, and without work nothing is divided by zero" do
    assert Progress.line("x", %{done: 7, total: 7}, 100, 100) =~ "[########################] 100%"
    assert Progress.line("x", %{done: 0, total: 0}, 0, 100) =~ "0%  0/0 files"
    assert Progress.line("x", %{done: 0, total: 9}, 5000, 100) =~ "0%  0/9 files"
  end

  test "the bar is gone when the work is over, also when it raises" do
    shown =
      capture_io(fn ->
        assert_raise RuntimeError, fn ->
          Progress.run(@terminal, "migrating", fn on_progress ->
            on_progress.(%{done: 1, total: 2})
            raise "disk"
          end)
        end
      end)

    assert shown =~ "migrating ["
    assert String.ends_with?(shown, "\r\e[K")
  end

  test "it is drawn a few times a second, however many steps there are" do
    shown =
      capture_io(fn ->
        Progress.run(@terminal, "migrating", fn on_progress ->
          for done <- 1..10_000, do: on_progress.(%{done: done, total: 10_000})
        end)
      end)

    drawn = shown |> String.split("migrating") |> length()
    assert drawn in 3..100
    assert shown =~ "100%  10,000/10,000 files"
  end

  test "nothing is drawn where there is no terminal" do
    assert capture_io(fn ->
             Progress.run(Terminal.plain(), "migrating", & &1.(%{done: 1, total: 2}))
           end) == ""
  end
end
