defmodule Bench.Many do
  @moduledoc false
  # A look at 500 accounts under one directory.

  alias Bench.{Accounts, Measure, Report}
  alias BaileysEx.Auth.{Inspection, PersistenceMigration}

  @accounts 500
  @keys 100

  @spec run(%{rounds: pos_integer()}) :: [Report.row()]
  def run(%{rounds: rounds}) do
    json = for _ <- 1..@accounts, do: Accounts.json("many-json/account", @keys)
    native = for path <- json, do: native(path)

    for {form, [path | _]} <- [json: json, native: native],
        do: row(form, Path.dirname(path), rounds)
  end

  defp native(json) do
    path = Accounts.path("many-native/account")
    {:ok, _summary} = PersistenceMigration.migrate_compat_json_to_native(json, path)
    path
  end

  defp row(form, root, rounds) do
    files = Path.wildcard("#{root}/*/*")
    work = "inspection of #{@accounts} #{form} accounts of #{@keys} keys"
    root = fn -> root end
    read = fn _root -> Enum.each(files, &File.read!/1) end

    inspect = fn root ->
      {:ok, accounts} = Inspection.inspect_all(root)
      @accounts = Enum.count(accounts, &match?(%{result: {:ok, %{keys: %{}}}}, &1))
    end

    [Measure.once(root, read), Measure.once(root, inspect)]
    |> Measure.sides(rounds)
    |> then(&Report.times(work, "File.read of their files", &1, {:at_most, 1.5}))
    |> Report.print()
  end
end
