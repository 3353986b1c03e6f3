defmodule BaileysEx.Test.Package do
  @moduledoc false
  # The unpacked files of the Hex package, and projects that use them.

  @root Path.expand("../..", __DIR__)

  @doc "Returns what Hex would pack: the files that `package: [files: …]` names, relative to the project's root."
  @spec files() :: [Path.t()]
  def files do
    for pattern <- Mix.Project.config()[:package][:files],
        path <- Path.wildcard(Path.join(@root, pattern)),
        file <- regular_files(path),
        do: Path.relative_to(file, @root)
  end

  defp regular_files(path) do
    if File.dir?(path) do
      path
      |> Path.join("**")
      |> Path.wildcard(match_dot: true)
      |> Enum.filter(&File.regular?/1)
    else
      [path]
    end
  end

  @doc """
  Copies only the package's files, to a directory that is emptied first.

  The directory is always the same, and files keep their times, so that cargo rebuilds the package's crates
  only if they have changed.
  """
  @spec unpack() :: Path.t()
  def unpack do
    package = Path.join(@root, "_build/package/baileys_ex_auth")
    File.rm_rf!(package)

    for file <- files() do
      target = Path.join(package, file)
      File.mkdir_p!(Path.dirname(target))
      File.cp!(Path.join(@root, file), target)
      File.touch!(target, File.stat!(Path.join(@root, file)).mtime)
    end

    package
  end

  @doc "Copies the project `test/NAME` under `directory`."
  @spec copy_project(String.t(), Path.t()) :: Path.t()
  def copy_project(name, directory) do
    project = Path.join(directory, name)
    File.mkdir_p!(directory)
    File.cp_r!(Path.join([@root, "test", name]), project)
    project
  end

  @doc """
  Runs Mix as a user would, with its own environment, in a project that depends on `package`. With
  `stderr_to_stdout: false` the output is only that on standard output.
  """
  @spec mix(Path.t(), Path.t(), [String.t()], [{String.t(), String.t() | nil}], keyword()) ::
          {String.t(), non_neg_integer()}
  def mix(project, package, args, env \\ [], opts \\ []) do
    # Avoids compiling the crates that this build has already compiled.
    target = System.get_env("CARGO_TARGET_DIR", Path.join(@root, "_build/cargo"))

    inherited =
      for {name, _} <- System.get_env(), String.starts_with?(name, "MIX_"), do: {name, nil}

    System.cmd("mix", args,
      cd: project,
      env:
        inherited ++
          [{"MIX_ENV", "prod"}, {"PACKAGE", package}, {"CARGO_TARGET_DIR", target}] ++ env,
      stderr_to_stdout: Keyword.get(opts, :stderr_to_stdout, true)
    )
  end
end
