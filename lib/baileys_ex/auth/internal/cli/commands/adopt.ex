defmodule BaileysEx.Auth.CLI.Commands.Adopt do
  @moduledoc false

  @behaviour BaileysEx.Auth.CLI.Command

  alias BaileysEx.Auth.{Adoption, Numbers}
  alias BaileysEx.Auth.Adoption.MixFile
  alias BaileysEx.Auth.CLI.{Layout, Terminal}

  @impl true
  def usage do
    """
    Changes a checkout of baileys_ex so that it uses this library.

        mix baileys.auth.adopt PATH [--dry-run] [--force] [--dependency TUPLE]
                                    [--json]

    Removes the modules that this library defines from the checkout: a whole
    file if this library defines all of its modules, and otherwise only
    those modules. Adds this library to the dependencies in its mix.exs. A
    second run finds nothing to do.

    First lists the functions of the removed modules that this library
    lacks: code that calls them must be changed.

    ## Options

      * `--dry-run` - say what would be done, and change nothing
      * `--force` - continue although not everything is committed
      * `--dependency TUPLE` - what to add to mix.exs, such as
        `'{:baileys_ex_auth, "~> 0.1"}'`; by default a path to the current
        place of this library
      * `--json` - one JSON document on standard output, for scripts
      * `--help` - this text

    ## Exit codes

      * 0 - done, or nothing to do
      * 1 - something remains to be done by hand, or there is an error
      * 2 - wrong usage
    """
  end

  @impl true
  def switches, do: [dry_run: :boolean, force: :boolean, dependency: :string]

  @impl true
  def run([path], options, terminal) do
    with {:ok, dependency} <- dependency(path, options),
         {:ok, plan} <- Adoption.plan(path, dependency: dependency, force: force?(options)),
         :ok <- if(options[:dry_run], do: :ok, else: Adoption.apply(plan)) do
      status = if plan.by_hand == [], do: :ok, else: :problem
      {status, document(plan, options), text(plan, options, terminal)}
    end
  end

  def run(_arguments, _options, _terminal), do: {:usage, "expects one PATH"}

  # A dry run changes nothing, so uncommitted changes do not matter.
  defp force?(options), do: options[:force] == true or options[:dry_run] == true

  defp dependency(path, options) do
    case options[:dependency] || default_dependency(path) do
      nil ->
        {:usage, "outside of Mix --dependency is needed"}

      dependency ->
        if MixFile.dependency?(dependency),
          do: {:ok, dependency},
          else: {:usage, "--dependency expects a tuple such as {:baileys_ex_auth, \"~> 0.1\"}"}
    end
  end

  # Where Mix has this library: as the project itself, or as a dependency of it.
  defp default_dependency(path) do
    if Code.ensure_loaded?(Mix.Project) and Mix.Project.get() != nil do
      library = Map.get(Mix.Project.deps_paths(), :baileys_ex_auth, File.cwd!())
      ~s({:baileys_ex_auth, path: #{inspect(relative(library, Path.expand(path)))}})
    end
  end

  # `Path.relative_to/2` does not go up.
  defp relative(path, from) do
    {up, down} = differing(Path.split(path), Path.split(from))
    Path.join(List.duplicate("..", length(down)) ++ up ++ ["."]) |> String.trim_trailing("/.")
  end

  defp differing([same | path], [same | from]), do: differing(path, from)
  defp differing(path, from), do: {path, from}

  defp document(plan, options) do
    %{
      path: plan.path,
      dry_run: options[:dry_run] == true,
      files_removed: files(plan, &is_nil/1),
      files_changed: files(plan, &is_binary/1),
      modules_removed:
        for({file, module} <- plan.removed, do: %{file: file, module: inspect(module)}),
      missing: for({module, export} <- plan.missing, do: missing(module, export)),
      dependency: plan.dependency,
      by_hand: plan.by_hand
    }
  end

  defp files(plan, chosen), do: for({file, text} <- plan.edits, chosen.(text), do: file)

  defp text(%{edits: edits, by_hand: []} = plan, _options, terminal) when edits == %{} do
    done = Terminal.paint(terminal, [:green, "ok"])
    [done, "  #{Terminal.safe(plan.path)}: nothing to do, it uses this library already\n"]
  end

  defp text(plan, options, terminal) do
    [
      head(plan, options, terminal),
      Layout.list(
        terminal,
        "not in this library, change what calls it",
        Enum.map(plan.missing, &line/1)
      ),
      Layout.list(terminal, "files removed", files(plan, &is_nil/1)),
      Layout.list(terminal, "files changed", files(plan, &is_binary/1)),
      Layout.list(terminal, "left to do by hand", plan.by_hand),
      next(plan, Map.new(options))
    ]
  end

  defp head(plan, options, terminal) do
    {word, done} = if options[:dry_run], do: {"dry run", "would be"}, else: {"ok", "were"}
    count = plan.removed |> length() |> Numbers.count("module")
    head = Terminal.paint(terminal, [:green, word])
    dependency = if plan.dependency, do: ", mix.exs gets #{plan.dependency}", else: ""

    [
      head,
      "  #{Terminal.safe(plan.path)}: #{count} #{done} removed#{Terminal.safe(dependency)}\n"
    ]
  end

  defp next(_plan, %{dry_run: true}), do: []

  defp next(_plan, _options),
    do: "\nNext: mix deps.get && mix test, there. git diff shows all of it.\n"

  defp line({module, {:field, name, 0}}), do: "%#{inspect(module)}{#{name}: …}"

  defp line({module, {:callback, name, arity}}),
    do: "callback #{inspect(module)}.#{name}/#{arity}"

  defp line({module, {_kind, name, arity}}), do: "#{inspect(module)}.#{name}/#{arity}"

  defp missing(module, {kind, name, arity}) do
    %{module: inspect(module), kind: kind, name: name, arity: arity}
  end
end
