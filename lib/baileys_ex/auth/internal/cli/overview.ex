defmodule BaileysEx.Auth.CLI.Overview do
  @moduledoc false
  # `inspect --all`: one row per account, and a line of totals.

  alias BaileysEx.Auth.CLI.{All, Backends, Command, Growing, Layout, Progress, Remarks, Terminal}
  alias BaileysEx.Auth.{Inspection, Numbers}

  # The columns, and those that a narrow terminal leaves out, the first ones first.
  @columns [:name, :account, :paired, :backend, :keys, :disk, :newest, :owner, :damaged]
  @left_out [:owner, :backend, :newest, :account]
  @titles %{newest: "newest change"}
  # Text columns, and their minimum widths: an account must be recognisable by its name.
  @narrowest %{account: 10, owner: 10, name: 20}

  # The words of `--sort`.
  @sorts %{
    "name" => {:name, :asc},
    "account" => {:account, :asc},
    "backend" => {:backend, :asc},
    "keys" => {:keys, :desc},
    "disk" => {:disk_bytes, :desc},
    "newest" => {:newest_change, {:desc, DateTime}},
    "damaged" => {:damaged, :desc}
  }

  @spec run(Path.t(), keyword(), Terminal.t()) :: Command.outcome()
  def run(root, options, terminal) do
    sort = Keyword.get(options, :sort, "name")
    root = Path.expand(root)

    with {:ok, sort} <- sort(sort),
         {:ok, above} <- Growing.option(options),
         {:ok, found} <- All.found(look(root, above, terminal), root) do
      without? = Keyword.get(options, :without_credentials, false)
      accounts = found |> Enum.map(&account(&1, without?)) |> sorted(sort)
      remarks = Remarks.find(root, found)
      status = if Enum.all?(accounts, &(&1.problem == nil)), do: :ok, else: :problem
      totals = totals(accounts)
      document = Map.merge(%{root: root, accounts: accounts, totals: totals}, remarks)
      {status, document, text(accounts, totals, remarks, terminal)}
    end
  end

  defp sort(word) do
    case @sorts do
      %{^word => sort} ->
        {:ok, sort}

      _none ->
        {:usage, "--sort is one of #{@sorts |> Map.keys() |> Enum.sort() |> Enum.join(", ")}"}
    end
  end

  defp look(root, above, terminal) do
    Progress.run(terminal, "reading", fn on_progress ->
      on_progress = &on_progress.(Map.put(&1, :unit, "accounts"))
      Inspection.inspect_all(root, [on_progress: on_progress] ++ above)
    end)
  end

  defp account(%{result: {:ok, report}} = account, without?) do
    %{
      name: account.name,
      path: account.path,
      backend: Backends.name(report.backend),
      account: report.account && report.account.id,
      paired: report.paired?,
      keys: keys(report.keys),
      disk_bytes: report.disk_bytes,
      newest_change: report.newest_change,
      owner: report.owner && to_string(report.owner),
      damaged: length(report.damaged),
      problem: problem(report, without?)
    }
  end

  defp account(%{result: {:error, reason}} = account, _without?) do
    %{
      name: account.name,
      path: account.path,
      backend: nil,
      account: nil,
      paired: nil,
      keys: nil,
      disk_bytes: nil,
      newest_change: nil,
      owner: nil,
      damaged: nil,
      problem: All.problem(reason, account, "inspect")
    }
  end

  defp keys(by_type), do: by_type |> Map.values() |> Enum.sum()

  defp problem(report, without?) do
    found =
      [
        report.credentials == :damaged && "the credentials cannot be read",
        report.credentials == :absent && not without? &&
          "keys without credentials, which would be taken for a fresh identity",
        report.damaged != [] && damaged(report.damaged),
        report.owners != [] &&
          "#{Numbers.count(length(report.owners), "file")} of another user than the directory"
      ]
      |> Enum.filter(& &1)

    if found != [], do: Enum.join(found, "; ")
  end

  defp damaged([%{path: path} | _more] = files) do
    "#{Numbers.count(length(files), "file")} cannot be read, such as #{Path.basename(path)}"
  end

  # Equal accounts stay sorted by name.
  defp sorted(accounts, {by, order}) do
    {there, none} = Enum.split_with(accounts, &(&1[by] != nil))
    Enum.sort_by(there, & &1[by], order) ++ none
  end

  defp totals(accounts) do
    sum = fn member -> accounts |> Enum.map(&(&1[member] || 0)) |> Enum.sum() end

    %{
      accounts: length(accounts),
      paired: Enum.count(accounts, & &1.paired),
      keys: sum.(:keys),
      disk_bytes: sum.(:disk_bytes),
      damaged: sum.(:damaged),
      with_problem: Enum.count(accounts, &(&1.problem != nil))
    }
  end

  defp text(accounts, totals, remarks, terminal) do
    [
      table(accounts, terminal),
      total(totals),
      All.problems(
        terminal,
        "problems",
        for(
          %{problem: problem} = account when problem != nil <- accounts,
          do: {account.name, problem}
        )
      ),
      Remarks.text(remarks, terminal)
    ]
  end

  defp total(totals) do
    problems =
      if totals.with_problem > 0,
        do: ", #{Numbers.number(totals.with_problem)} with a problem",
        else: ""

    "\n#{Numbers.count(totals.accounts, "account")}, #{Numbers.number(totals.paired)} paired#{problems}\n" <>
      "#{Numbers.count(totals.keys, "key")}, #{Layout.size(totals.disk_bytes)} on disk, " <>
      "#{Numbers.count(totals.damaged, "damaged file")}\n"
  end

  defp table(accounts, terminal) do
    rows = Enum.map(accounts, fn account -> Map.new(@columns, &{&1, cell(&1, account)}) end)
    columns = fitting(@columns, rows, terminal.columns)
    widths = widths(columns, rows, terminal.columns)
    header = for column <- columns, do: cut(title(column), widths[column])

    Layout.table(
      terminal,
      header,
      for(row <- rows, do: for(column <- columns, do: cut(row[column], widths[column])))
    )
  end

  defp title(column), do: Map.get(@titles, column, to_string(column))

  # Leaves out columns until the others fit, once their texts are cut.
  defp fitting(columns, rows, room) do
    Enum.reduce_while([nil | @left_out], columns, fn left_out, columns ->
      columns = List.delete(columns, left_out)
      least = for {column, width} <- natural(columns, rows), do: least(column, width)
      if total_width(least) <= room, do: {:halt, columns}, else: {:cont, columns}
    end)
  end

  defp least(column, width), do: min(width, Map.get(@narrowest, column, width))

  defp natural(columns, rows) do
    for column <- columns do
      texts = [title(column) | Enum.map(rows, & &1[column])]
      {column, texts |> Enum.map(&String.length/1) |> Enum.max()}
    end
  end

  # The widest texts are cut first.
  defp widths(columns, rows, room), do: columns |> natural(rows) |> Map.new() |> shrunk(room)

  defp shrunk(widths, room) do
    can_shrink = for {column, width} <- widths, width > least(column, width), do: {width, column}

    if total_width(Map.values(widths)) <= room or can_shrink == [] do
      widths
    else
      {width, widest} = Enum.max(can_shrink)
      shrunk(%{widths | widest => width - 1}, room)
    end
  end

  # Includes two spaces between columns.
  defp total_width(widths), do: Enum.sum(widths) + 2 * length(widths)

  defp cut(text, width) do
    if String.length(text) <= width, do: text, else: String.slice(text, 0, width - 1) <> "…"
  end

  defp cell(:name, account), do: Terminal.safe_line(account.name)
  defp cell(:account, %{account: nil}), do: "-"
  defp cell(:account, %{account: id}), do: Terminal.safe_line(id)
  defp cell(:paired, %{paired: nil}), do: "-"
  defp cell(:paired, %{paired: paired?}), do: if(paired?, do: "yes", else: "no")
  defp cell(:backend, account), do: account.backend || "-"
  defp cell(:keys, %{keys: nil}), do: "-"
  defp cell(:keys, %{keys: keys}), do: Numbers.number(keys)
  defp cell(:disk, %{disk_bytes: nil}), do: "-"
  defp cell(:disk, %{disk_bytes: bytes}), do: Layout.size(bytes)
  defp cell(:newest, %{newest_change: nil}), do: "-"

  defp cell(:newest, %{newest_change: time}),
    do: time |> DateTime.to_naive() |> NaiveDateTime.to_string() |> String.slice(0, 16)

  defp cell(:owner, %{owner: nil}), do: "-"
  defp cell(:owner, %{owner: owner}), do: Terminal.safe_line(owner)
  defp cell(:damaged, %{damaged: nil}), do: "-"
  defp cell(:damaged, %{damaged: count}), do: Numbers.number(count)
end
