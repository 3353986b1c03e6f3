defmodule BaileysEx.Auth.Adoption do
  @moduledoc """
  Changes a checkout of baileys_ex so that it uses this library. `mix baileys.auth.adopt` runs it.

  Both libraries define modules of the same names, and only one of each can stay. `plan/2` finds out what to
  do and changes nothing; `apply/1` does it:

    * a file of the checkout is removed if this library defines all its modules; from other files, only those
      modules are cut out, which are located in the file's syntax tree
    * the dependency on this library is added to `mix.exs`

  ## Example

      {:ok, plan} = BaileysEx.Auth.Adoption.plan("../baileys_ex", dependency: dependency)
      plan.missing
      :ok = BaileysEx.Auth.Adoption.apply(plan)
  """

  alias BaileysEx.Auth.Adoption.{Exports, MixFile, Source}
  alias BaileysEx.Auth.Options

  @typedoc "What a module exports; `:field` is a member of its struct, of arity 0."
  @type export() :: {:function | :macro | :callback | :field, atom(), arity()}

  @enforce_keys [:path, :edits, :removed, :missing, :by_hand, :dependency]
  defstruct @enforce_keys

  @typedoc """
    * `:path` is the checkout
    * `:edits` maps each file that changes, by its name in the checkout, to its new text, or to `nil` if it is
      removed
    * `:removed` are the removed modules, each with its file
    * `:missing` is what they export and this library does not: a function, macro or callback with its arity,
      or a field of a struct
    * `:by_hand` are texts that describe what must be done by hand
    * `:dependency` is what is added to `mix.exs`, or `nil` if it is already there
  """
  @type t() :: %__MODULE__{
          path: Path.t(),
          edits: %{optional(Path.t()) => String.t() | nil},
          removed: [{Path.t(), module()}],
          missing: [{module(), export()}],
          by_hand: [String.t()],
          dependency: String.t() | nil
        }

  @typedoc """
  Why there is no plan: there is no Mix project, files cannot be read, changes are not committed (or there is
  no git to check this), or the checkout is this library itself.
  """
  @type reason() ::
          {:not_a_mix_project, Path.t()}
          | {:this_library, Path.t()}
          | {:unreadable_source, Path.t(), String.t()}
          | {:uncommitted_changes, Path.t()}
          | {:no_version_control, Path.t()}

  @doc """
  Finds out what has to be done in the checkout at `path`. It only reads.

      dependency = ~s({:baileys_ex_auth, path: "../baileys_ex_auth"})
      {:ok, plan} = BaileysEx.Auth.Adoption.plan("../baileys_ex", dependency: dependency)
      plan.removed
      #=> [{"lib/baileys_ex/auth/state.ex", BaileysEx.Auth.State}]

  Options:

    * `:dependency` - required: the text to add to the `deps` of its `mix.exs`, such as
      `~s({:baileys_ex_auth, path: "../baileys_ex_auth"})`
    * `:force` - continue even if git does not confirm that everything is committed; `false` by default

  `t:reason/0` lists the errors. Raises `ArgumentError` if `:dependency` is not such a tuple.
  """
  @spec plan(Path.t(), dependency: String.t(), force: boolean()) ::
          {:ok, t()} | {:error, reason()}
  def plan(path, opts) do
    Options.check!(opts, [:dependency, :force])
    dependency = Keyword.fetch!(opts, :dependency)
    path = Path.expand(path)

    if not MixFile.dependency?(dependency) do
      raise ArgumentError,
            "expected :dependency to be a tuple of :baileys_ex_auth, as mix.exs has it"
    end

    with {:ok, mix_file} <- mix_file(path),
         {:ok, sources} <- sources(path),
         plan = add_dependency(remove(path, sources), mix_file, dependency),
         :ok <- check_committed(path, Keyword.get(opts, :force, false) or plan.edits == %{}) do
      {:ok, plan}
    end
  end

  @doc """
  Carries out the plan, and nothing else.

      {:ok, plan} = BaileysEx.Auth.Adoption.plan("../baileys_ex", dependency: dependency)
      :ok = BaileysEx.Auth.Adoption.apply(plan)

  If a file cannot be written or removed, the result is `{:error, {:file, path, posix}}`; the files before it
  have already been changed.
  """
  @spec apply(t()) :: :ok | {:error, {:file, Path.t(), File.posix()}}
  def apply(%__MODULE__{path: path, edits: edits}) do
    Enum.reduce_while(edits, :ok, fn {file, text}, :ok ->
      case change(Path.join(path, file), text) do
        :ok -> {:cont, :ok}
        {:error, posix} -> {:halt, {:error, {:file, Path.join(path, file), posix}}}
      end
    end)
  end

  defp change(file, nil), do: File.rm(file)
  defp change(file, text), do: File.write(file, text)

  defp mix_file(path) do
    case File.read(Path.join(path, "mix.exs")) do
      {:ok, text} ->
        if text =~ ~r/\bapp:\s*:baileys_ex_auth\b/,
          do: {:error, {:this_library, path}},
          else: {:ok, text}

      {:error, _posix} ->
        {:error, {:not_a_mix_project, path}}
    end
  end

  defp sources(path) do
    path
    |> Path.join("lib/**/*.ex")
    |> Path.wildcard()
    |> Enum.reduce_while({:ok, []}, fn file, {:ok, sources} ->
      name = Path.relative_to(file, path)

      with {:ok, text} <- File.read(file),
           {:ok, modules, other?} <- Source.read(text) do
        {:cont, {:ok, [%{name: name, text: text, modules: modules, other?: other?} | sources]}}
      else
        {:error, problem} -> {:halt, {:error, {:unreadable_source, file, problem(problem)}}}
      end
    end)
  end

  defp problem(posix) when is_atom(posix), do: to_string(:file.format_error(posix))
  defp problem(text), do: text

  defp remove(path, sources) do
    ours = Exports.modules()

    plan = %__MODULE__{
      path: path,
      edits: %{},
      removed: [],
      missing: [],
      by_hand: [],
      dependency: nil
    }

    sources |> Enum.reduce(plan, &remove_from(&1, ours, &2)) |> sort()
  end

  defp remove_from(source, ours, plan) do
    case outermost(source.modules, ours) do
      [] ->
        plan

      modules ->
        plan = %{
          plan
          | removed: for(%{module: module} <- modules, do: {source.name, module}) ++ plan.removed,
            missing: Enum.flat_map(modules, &Exports.missing/1) ++ plan.missing
        }

        edit(plan, source, modules)
    end
  end

  # Modules nested in one of ours are removed together with it.
  defp outermost(modules, ours) do
    Enum.flat_map(modules, fn source ->
      if source.module in ours, do: [source], else: outermost(source.inner, ours)
    end)
  end

  defp edit(plan, %{modules: modules, other?: false} = source, modules) do
    put_edit(plan, source.name, nil)
  end

  defp edit(plan, source, modules) do
    case Source.cut(source.text, modules) do
      {:ok, text} ->
        put_edit(plan, source.name, text)

      {:error, problem} ->
        names = Enum.map_join(modules, ", ", &inspect(&1.module))
        by_hand(plan, "remove #{names} from #{source.name}: #{problem}")
    end
  end

  defp add_dependency(plan, mix_file, dependency) do
    case MixFile.add(mix_file, dependency) do
      :unchanged -> plan
      {:ok, text} -> put_edit(%{plan | dependency: dependency}, "mix.exs", text)
      {:error, problem} -> by_hand(plan, "add #{dependency} to mix.exs: it #{problem}")
    end
  end

  defp put_edit(plan, file, text), do: %{plan | edits: Map.put(plan.edits, file, text)}
  defp by_hand(plan, text), do: %{plan | by_hand: plan.by_hand ++ [text]}

  defp sort(plan) do
    %{
      plan
      | removed: Enum.sort(plan.removed),
        missing: plan.missing |> Enum.uniq() |> Enum.sort()
    }
  end

  defp check_committed(_path, true), do: :ok

  defp check_committed(path, false) do
    case git(["-C", path, "status", "--porcelain", "--", "."]) do
      {"", 0} -> :ok
      {_changes, 0} -> {:error, {:uncommitted_changes, path}}
      _no_git -> {:error, {:no_version_control, path}}
    end
  end

  defp git(arguments) do
    System.cmd("git", arguments, stderr_to_stdout: true)
  rescue
    ErlangError -> :no_git
  end
end
