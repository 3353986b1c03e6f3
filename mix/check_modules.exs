defmodule Mix.Tasks.Compile.BaileysExAuthModules do
  @moduledoc """
  Fails where another dependency of the project defines modules of this library.

  Elixir only warns of it ("redefining module"), and then the modules of the other one may be those
  that are loaded. It looks at what the project has built, and at the sources in its `deps`; the
  application looks again when it starts.
  """

  use Mix.Task.Compiler

  @root Path.expand("..", __DIR__)
  @definition ~r/^\s*defmodule\s+(BaileysEx\.[\w.]+)/m

  @impl true
  def run(_args) do
    ours = @root |> sources() |> Enum.flat_map(&defined/1) |> MapSet.new()

    case Enum.find(built() ++ fetched(), fn {_app, names} -> any?(ours, names) end) do
      nil -> {:noop, []}
      {app, names} -> fail(app, Enum.filter(names, &(&1 in ours)))
    end
  end

  defp any?(ours, names), do: Enum.any?(names, &(&1 in ours))

  # A module that was built and whose source no longer has it goes with the next build of its own.
  defp built do
    for ebin <- Path.wildcard(Path.join(Mix.Project.build_path(), "lib/*/ebin")),
        app = ebin |> Path.dirname() |> Path.basename(),
        app != "baileys_ex_auth" do
      {app, for(beam <- beams(ebin), name <- still_defined(beam), do: name)}
    end
  end

  defp beams(ebin), do: Path.wildcard(Path.join(ebin, "Elixir.BaileysEx.*.beam"))

  defp still_defined(beam) do
    name = beam |> Path.basename(".beam") |> String.replace_prefix("Elixir.", "")
    if name in defined(source_of(beam)), do: [name], else: []
  end

  defp source_of(beam) do
    with {:ok, {_, [compile_info: info]}} <-
           :beam_lib.chunks(String.to_charlist(beam), [:compile_info]),
         source when is_list(source) <- info[:source] do
      List.to_string(source)
    else
      _ -> ""
    end
  end

  defp fetched do
    for dep <- Path.wildcard(Path.join(Mix.Project.deps_path(), "*")),
        Path.expand(dep) != @root do
      {Path.basename(dep), dep |> sources() |> Enum.flat_map(&defined/1)}
    end
  end

  # Where the modules of these names stand in both.
  defp sources(root), do: Path.wildcard(Path.join(root, "lib/baileys_ex/**/*.ex"))

  defp defined(source) do
    case File.read(source) do
      {:ok, text} -> for [_, name] <- Regex.scan(@definition, text), do: name
      {:error, _posix} -> []
    end
  end

  defp fail(app, names) do
    shown = names |> Enum.sort() |> Enum.take(3) |> Enum.join(", ")

    message =
      "#{app} defines modules that baileys_ex_auth defines too (#{length(names)}, such as " <>
        "#{shown}), and which of them a VM loads is chance. Let `mix baileys.auth.adopt` take " <>
        "them out of a checkout of #{app}, and depend on that checkout: guides/with-baileys-ex.md"

    Mix.shell().error("baileys_ex_auth: " <> message)

    {:error,
     [
       %Mix.Task.Compiler.Diagnostic{
         compiler_name: "baileys_ex_auth_modules",
         file: Path.join(@root, "mix.exs"),
         message: message,
         position: 0,
         severity: :error
       }
     ]}
  end
end
