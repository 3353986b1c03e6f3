defmodule BaileysEx.Auth.CLI.AllOnTerminalTest do
  # `--all` as an operator of 500 accounts sees it: the Mix tasks, on a pseudo-terminal.
  use ExUnit.Case, async: true

  import BaileysEx.Auth.TempDir

  alias BaileysEx.Auth.Inspection
  alias BaileysEx.Test.{ManyAccounts, Terminal}

  @moduletag timeout: 300_000

  unless Terminal.available?() do
    IO.puts(
      :stderr,
      "SKIPPED: 500 accounts on a pseudo-terminal, for want of script (util-linux)"
    )

    @moduletag skip: "no script(1) of util-linux"
  end

  setup :setup_temp_dir

  # Nothing here changes an account.
  setup_all do
    {:ok, tmp: tmp} = setup_temp_dir(%{})
    {:ok, ManyAccounts.make!(tmp)}
  end

  # Returns the lines that remain visible at the end, without colours and without text that a bar has
  # overwritten.
  defp task(task, arguments, columns) do
    command = Enum.join(["mix baileys.auth.#{task} --all" | arguments], " ")
    {shown, code} = Terminal.run_on_terminal(command, [{"MIX_ENV", "test"}], columns)
    drawn = shown |> String.split(["\r\n", "\r", "\n"]) |> Enum.map(&plain/1)
    bars = Enum.filter(drawn, &(&1 =~ "/500 accounts"))
    assert Enum.any?(bars, &(&1 =~ "500/500 accounts"))
    for bar <- bars, do: assert(String.length(bar) < columns, bar)
    {code, drawn -- bars}
  end

  defp plain(line), do: String.replace(line, ~r/\e\[[0-9;]*[A-Za-z]/, "")

  defp below(lines, title), do: lines |> Enum.drop_while(&(&1 != title)) |> tl()

  for columns <- [80, 60] do
    test "inspect fits its table to #{columns} columns, and names ten problems", context do
      columns = unquote(columns)
      assert {1, lines} = task("inspect", [context.root, "--warn-above lid-mapping=41"], columns)

      rows =
        for "  " <> _cells = line <- Enum.take_while(lines, &(&1 != "problems (10)")), do: line

      for row <- rows, do: assert(String.length(row) <= columns, row)
      [header | names] = for row <- rows, do: row |> String.split() |> hd()
      assert header == "name"
      assert Enum.sort(names) == Enum.sort(context.sound ++ context.problems)
      assert "500 accounts, 2 paired, 10 with a problem" in lines

      problems = below(lines, "problems (10)")

      for name <- context.problems,
          do: assert(Enum.any?(problems, &(&1 =~ ~r/^  #{name}: .{10}/)))

      # Those that were made from a directory of Baileys and can be inspected.
      growing = below(lines, "many keys of one type (see the guide, Growth) (3)")

      for name <- ["bad-creds-json", "cut-key", "link-as-key"],
          do: assert("  #{name}: lid-mapping: 42, 0 of them not written for 30 days" in growing)

      assert "directories without an account (1)" in lines
    end

    test "verify says how many are sound, and names ten problems at #{columns} columns",
         context do
      assert {1, lines} = task("verify", [context.root], unquote(columns))
      assert "failed  500 accounts: 490 verified, 10 failed" in lines
      failed = below(lines, "failed (10)")
      for name <- context.problems, do: assert(Enum.any?(failed, &(&1 =~ ~r/^  #{name}: .{10}/)))
    end

    test "snapshot, migrate and restore do the rest, and name what failed at #{columns} columns",
         context do
      for {task, arguments} <- [{"snapshot", []}, {"migrate", ["--to json"]}, {"restore", []}] do
        target = Path.join(context.tmp, task)
        assert {1, lines} = task(task, [context.root, target | arguments], unquote(columns))
        [count] = for line <- lines, [_, n] <- [Regex.run(~r/^failed \((\d+)\)$/, line)], do: n

        failed =
          for "  " <> line <- below(lines, "failed (#{count})"), do: hd(String.split(line, ":"))

        assert length(failed) == String.to_integer(count)
        assert failed -- context.problems == []
        assert "of-both-kinds" in failed
        {:ok, made} = Inspection.directories(target)
        assert context.sound -- made == []
        assert made -- made -- failed == []
      end
    end
  end
end
