defmodule BaileysEx.Auth.CLI.All do
  @moduledoc false
  # `--all`: runs a command on every account directly under a directory. It continues after a failure, and
  # lists the failures at the end.

  alias BaileysEx.Auth.CLI.{Command, Failure, Place, Progress, Terminal}
  alias BaileysEx.Auth.{Inspection, Numbers, SideBySide}

  @type account() :: %{name: String.t(), path: Path.t()}

  # Up to this many skipped accounts are listed by name.
  @named 10

  @doc "Runs a command in one of two ways: with `--all`, or on one directory, whose backend may be given."
  @spec or_one(keyword(), (() -> Command.outcome()), (() -> Command.outcome())) ::
          Command.outcome()
  def or_one(options, all, one) do
    case {options[:all], options[:backend]} do
      {true, nil} -> with(:ok <- Place.directory_only(options), do: all.())
      {true, _backend} -> {:usage, "--backend is for one directory, not for --all"}
      _one -> one.()
    end
  end

  @doc "Runs `work` for each account. `done` is the word for a success, such as `verified`."
  @spec run(
          Path.t(),
          {command :: String.t(), done :: String.t()},
          Terminal.t(),
          (account() -> Command.outcome() | {:skipped, why :: String.t()})
        ) :: Command.outcome()
  def run(root, names, terminal, work) do
    with {:ok, accounts} <- accounts(root), do: run_all(root, accounts, names, terminal, work)
  end

  @doc "As `run/4`, into one directory that contains a directory for each account under the account's name."
  @spec into(
          Path.t(),
          Path.t(),
          {String.t(), String.t()},
          Terminal.t(),
          (account(), target :: Path.t() -> Command.outcome() | {:skipped, String.t()})
        ) :: Command.outcome()
  def into(root, target, names, terminal, work) do
    target = Path.expand(target)

    with {:ok, accounts} <- accounts(root),
         :ok <- make(target) do
      run_all(root, accounts, names, terminal, &work.(&1, Path.join(target, &1.name)))
    end
  end

  defp run_all(root, accounts, {command, done}, terminal, work) do
    results =
      Progress.run(terminal, done, fn on_progress ->
        SideBySide.map(
          accounts,
          &result(&1, command, work),
          &on_progress.(Map.put(&1, :unit, "accounts"))
        )
      end)

    totals = totals(results)
    status = if totals.failed == 0, do: :ok, else: :problem
    document = %{root: Path.expand(root), accounts: results, totals: totals}
    {status, document, text(results, totals, done, terminal)}
  end

  # A new directory is private to the user.
  defp make(target) do
    made = if File.dir?(target), do: :ok, else: File.mkdir_p(target)

    with :ok <- made do
      if File.ls(target) == {:ok, []}, do: File.chmod(target, 0o700), else: :ok
    else
      {:error, posix} -> {:error, {posix, [target]}}
    end
  end

  defp accounts(root) do
    root = Path.expand(root)

    with {:ok, names} <- found(Inspection.directories(root), root),
         do: {:ok, for(name <- names, do: %{name: name, path: Path.join(root, name)})}
  end

  @doc "Returns what was found under a root, or an error if there is nothing."
  @spec found({:ok, [item]} | {:error, File.posix()}, Path.t()) ::
          {:ok, [item]} | {:error, term()}
        when item: term()
  def found({:ok, []}, root), do: {:error, {:no_accounts, root}}
  def found({:ok, found}, _root), do: {:ok, found}
  def found({:error, posix}, root), do: {:error, {posix, [root]}}

  defp result(account, command, work) do
    case work.(account) do
      {:ok, _document, _text} ->
        Map.merge(account, %{status: "ok", problem: nil})

      {:skipped, why} ->
        Map.merge(account, %{status: "skipped", problem: nil, reason: why})

      {:error, reason} ->
        Map.merge(account, %{status: "failed", problem: problem(reason, account, command)})
    end
  end

  @doc "Describes the problem of an account in one line."
  @spec problem(term(), %{:path => Path.t(), optional(atom()) => term()}, String.t()) ::
          String.t()
  def problem(posix, account, command) when is_atom(posix),
    do: problem({posix, [account.path]}, account, command)

  def problem(reason, _account, command) do
    %{message: message} = Failure.describe(reason, command)
    message |> String.split("\n") |> Enum.map_join(" ", &String.trim/1)
  end

  defp totals(results) do
    count = fn status -> Enum.count(results, &(&1.status == status)) end

    %{
      accounts: length(results),
      ok: count.("ok"),
      skipped: count.("skipped"),
      failed: count.("failed")
    }
  end

  defp text(results, totals, done, terminal) do
    [
      Terminal.paint(
        terminal,
        if(totals.failed == 0, do: [:green, "ok"], else: [:red, "failed"])
      ),
      "  #{Numbers.count(totals.accounts, "account")}: #{Numbers.number(totals.ok)} #{done}",
      if(totals.skipped > 0, do: ", #{Numbers.number(totals.skipped)} skipped", else: ""),
      if(totals.failed > 0, do: ", #{Numbers.number(totals.failed)} failed", else: ""),
      "\n",
      skipped(terminal, for(%{status: "skipped"} = of <- results, do: {of.name, of.reason})),
      problems(
        terminal,
        "failed",
        for(%{status: "failed"} = of <- results, do: {of.name, of.problem})
      )
    ]
  end

  # In a second run, most accounts are skipped for the same reason.
  defp skipped(terminal, skipped) when length(skipped) <= @named,
    do: problems(terminal, "skipped", skipped)

  defp skipped(terminal, skipped) do
    by_reason = skipped |> Enum.frequencies_by(&elem(&1, 1)) |> Enum.sort()

    [
      title(terminal, "skipped", length(skipped)),
      for {reason, count} <- by_reason do
        ["  ", Terminal.safe_line(reason), ": ", Numbers.count(count, "account"), "\n"]
      end,
      "  --json names each of them\n"
    ]
  end

  @doc "A title and all accounts that it concerns, each with a remark."
  @spec problems(Terminal.t(), String.t(), [{String.t(), String.t()}]) :: iodata()
  def problems(_terminal, _title, []), do: []

  def problems(terminal, title, problems) do
    [
      title(terminal, title, length(problems)),
      for(
        {name, text} <- problems,
        do: ["  ", Terminal.safe_line(name), ": ", Terminal.safe_line(text), "\n"]
      )
    ]
  end

  defp title(terminal, title, count),
    do: Terminal.paint(terminal, [:bright, "\n#{title} (#{Numbers.number(count)})\n"])
end
