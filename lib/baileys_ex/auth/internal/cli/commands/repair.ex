defmodule BaileysEx.Auth.CLI.Commands.Repair do
  @moduledoc false

  @behaviour BaileysEx.Auth.CLI.Command

  alias BaileysEx.Auth.CLI.{Backends, Damage, Layout, Terminal}
  alias BaileysEx.Auth.{Numbers, Repair}

  @impl true
  def usage do
    """
    Says how a damaged auth directory can be repaired, and with --apply repairs it
    in one commit, after copying the files that it changes to a hidden directory in
    it. Without --apply nothing is changed.

        mix baileys.auth.repair PATH [--apply] [--backend native|json] [--json]

    ## Options

      * `--apply` - carry the plan out; first stop the program that uses the
        directory
      * `--backend native|json` - which files to look at, if the directory holds
        both kinds
      * `--json` - one JSON document on standard output, for scripts
      * `--help` - this text

    ## Exit codes

      * 0 - nothing is damaged, or everything was repaired
      * 1 - there is something to repair, or something that cannot be repaired
      * 2 - wrong usage

    A whole document followed by the rest of an older write is kept. Credentials are
    taken from another file that holds all of them (`creds.json.bak`, an unfinished
    write). A damaged key is removed, so that its session is negotiated again. A
    manifest is rebuilt. From a journal, the part that can be trusted is applied. If
    no file holds the whole credentials, they cannot be repaired; none are invented.
    """
  end

  @impl true
  def switches, do: [apply: :boolean, backend: :string]

  @impl true
  def run([path], options, terminal) do
    run = if options[:apply], do: &Repair.run/2, else: &Repair.plan/2

    with {:ok, backend} <- Backends.of(path, options),
         {:ok, plan} <- run.(path, backend: backend) do
      {status(plan), document(plan), text(plan, terminal)}
    end
  end

  def run(_arguments, _options, _terminal), do: {:usage, "expects one PATH"}

  defp status(%{steps: [], left: []}), do: :ok
  defp status(%{set_aside: set_aside, left: []}) when set_aside != nil, do: :ok
  defp status(_plan), do: :problem

  defp document(plan) do
    steps =
      for step <- plan.steps do
        step
        |> Map.take([:file, :member, :problem, :cost])
        |> Map.put(:remedy, remedy(step.remedy))
      end

    %{
      path: plan.path,
      backend: Backends.name(plan.backend),
      steps: steps,
      left: Damage.files(plan.left),
      hopeless?: plan.hopeless?,
      applied?: plan.set_aside != nil,
      set_aside: plan.set_aside
    }
  end

  defp text(plan, terminal) do
    [
      Terminal.paint(terminal, [:bright, Terminal.safe(plan.path)]),
      "\n",
      verdict(plan, terminal),
      Layout.list(terminal, "to repair", Enum.flat_map(plan.steps, &lines/1)),
      Layout.list(terminal, "left as it is", Enum.map(plan.left, &Exception.message/1))
    ]
  end

  defp verdict(%{steps: [], left: []}, terminal) do
    [Terminal.paint(terminal, [:green, "ok"]), "  nothing is damaged\n"]
  end

  defp verdict(%{hopeless?: true}, terminal) do
    [
      Terminal.paint(terminal, [:red, "no remedy"]),
      "  no file holds the credentials whole. Restore a backup, or pair again. Nothing was changed.\n"
    ]
  end

  defp verdict(%{set_aside: nil, steps: [_ | _]}, _terminal) do
    "nothing was changed yet: --apply does the following\n"
  end

  defp verdict(%{set_aside: nil}, _terminal), do: "nothing here can be repaired\n"

  defp verdict(%{set_aside: set_aside}, terminal) do
    [
      Terminal.paint(terminal, [:green, "repaired"]),
      "  the files as they were before are in #{Terminal.safe(set_aside)}\n"
    ]
  end

  defp lines(step) do
    problem = [step.member, step.problem] |> Enum.reject(&is_nil/1) |> Enum.join(": ")
    ["#{step.file}: #{problem}", "  #{remedy(step.remedy)}", "  loses #{step.cost}"]
  end

  defp remedy({:keep_document, kept, dropped}),
    do: "keep the first #{kept} bytes, drop the #{dropped} after them"

  defp remedy({:take, file, _modified, []}), do: "take the credentials in #{file}"

  defp remedy({:take, file, _modified, others}),
    do: "take the credentials in #{file} (there are some in #{Enum.join(others, ", ")} too)"

  defp remedy({:remove_key, _type, _id}), do: "remove the key"
  defp remedy(:rebuild_manifest), do: "write a new one"

  defp remedy({:apply_journal, commits, _trusted, _bytes}),
    do: "apply its first #{Numbers.count(commits, "commit")}, and start a new one"

  defp remedy(:none), do: "none: no file holds the credentials whole"
end
