defmodule BaileysEx.Guides.BackupTest do
  # Runs the guide's commands for backup and restore literally, with its paths under a directory of the test.
  use ExUnit.Case, async: true

  import BaileysEx.Auth.TempDir

  alias BaileysEx.Auth.{Fixtures, Inspection, NativeFilePersistence}
  alias BaileysEx.Test.Terminal

  @moduletag timeout: 300_000

  @places ["/var/lib/my_app/auth", "/var/lib/my_app/snapshots", "/backup"]

  setup :setup_temp_dir

  test "a lost and a damaged account are whole again after the guide's commands", %{tmp: tmp} do
    guide = File.read!("guides/operating.md")
    [root, snapshots, backup] = for place <- @places, do: tmp <> place
    for place <- [root, snapshots, backup], do: File.mkdir_p!(place)
    [ada, bob, eve] = for name <- ["ada", "bob", "eve"], do: Path.join(root, name)
    for account <- [ada, bob, eve], do: File.cp_r!(Fixtures.path(:native), account)
    saved = Fixtures.load_all!(NativeFilePersistence, ada)

    assert ["mix", "mix", "tar", "rm"] = run(commands(guide, "Backup"), tmp)
    assert File.ls!(snapshots) == []

    File.rm_rf!(bob)
    File.rm!(Path.join(ada, "creds.etf"))
    :ok = NativeFilePersistence.save_keys(eve, :"lid-mapping", "since", "then")
    restore = commands(guide, "Restore")
    {until_restored, [remove]} = Enum.split(restore, -1)

    assert ["tar", "mix", "mix", "mix"] = run(until_restored, tmp)

    for account <- [ada, bob, eve],
        do: assert(Fixtures.load_all!(NativeFilePersistence, account) == saved)

    assert Inspection.directories(root) == {:ok, ["ada", "bob", "eve"]}

    # Only the old content of that account is removed.
    before = File.ls!(root)
    assert ["rm"] = run([remove], tmp)
    assert [".ada.set-aside-" <> _] = before -- File.ls!(root)
    assert File.ls!(snapshots) == []
    assert [".eve.set-aside-" <> _] = File.ls!(root) -- ["ada", "bob", "eve"]
  end

  # Returns the commands of a section of the guide.
  defp commands(guide, title) do
    [_before, section] = String.split(guide, "\n## #{title}\n")
    [section | _rest] = String.split(section, "\n## ")

    for [_, block] <- Regex.scan(~r/^ *```console\n(.*?)^ *```/ms, section),
        [_, command] <- Regex.scan(~r/^ *\$ (.*)$/m, block),
        do: command
  end

  # Runs the commands, and returns the programs that were run.
  defp run(commands, tmp) do
    for command <- commands do
      ours = String.replace(command, @places, &(tmp <> &1))
      assert {shown, error, 0} = Terminal.run(ours, [{"MIX_ENV", "test"}])
      assert error == "", ours
      if String.starts_with?(ours, "mix"), do: assert(shown =~ ~r/^ok /, ours)
      command |> String.split() |> hd()
    end
  end
end
