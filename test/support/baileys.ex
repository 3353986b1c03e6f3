defmodule BaileysEx.Test.Baileys do
  @moduledoc false
  # Runs the scripts of test/interop, which use the real Baileys.

  alias BaileysEx.Test.JSON

  @directory Path.expand("../interop", __DIR__)
  @oldest_node 20
  @patience 120_000

  @doc "Whether this machine has what the scripts need."
  @spec available() :: :ok | {:error, String.t()}
  def available do
    with {:ok, node} <- executable("node"),
         {:ok, _npm} <- executable("npm") do
      recent_enough(node)
    end
  end

  defp executable(name) do
    case System.find_executable(name) do
      nil -> {:error, "#{name} was not found: install Node.js #{@oldest_node} or later"}
      path -> {:ok, path}
    end
  end

  defp recent_enough(node) do
    {"v" <> version, 0} = System.cmd(node, ["--version"])

    case Integer.parse(version) do
      {major, _} when major >= @oldest_node -> :ok
      _ -> {:error, "Node.js #{String.trim(version)} is older than #{@oldest_node}"}
    end
  end

  @doc "Installs the pinned packages, unless those of this lock file are already installed."
  @spec install() :: :ok
  def install, do: :global.trans({__MODULE__, self()}, &install_once/0, [node()])

  defp install_once do
    stamp = Path.join(@directory, "node_modules/.installed-lock")
    lock = File.read!(Path.join(@directory, "package-lock.json"))

    if File.read(stamp) != {:ok, lock} do
      {output, status} = System.cmd("npm", ["ci"], cd: @directory, stderr_to_stdout: true)

      if status != 0 do
        raise "npm ci failed in test/interop (leave these tests out with --exclude interop):\n" <>
                output
      end

      File.write!(stamp, lock)
    end

    :ok
  end

  @doc "Runs a script of test/interop and returns what it reports."
  @spec run(String.t(), [String.t()]) :: map()
  def run(script, args) do
    [report] = run_all([{script, args}])
    report
  end

  @doc "Runs several scripts side by side and returns what they report."
  @spec run_all([{String.t(), [String.t()]}]) :: [map()]
  def run_all(scripts) do
    scripts
    |> Enum.map(fn {script, args} ->
      {script, Task.async(fn -> System.cmd("node", [Path.join(@directory, script) | args]) end)}
    end)
    |> Enum.map(fn {script, task} -> {script, Task.await(task, @patience)} end)
    |> Enum.map(&report!/1)
  end

  defp report!({_script, {output, 0}}), do: JSON.decode!(output)

  defp report!({script, {_output, status}}) do
    raise "#{script} failed with status #{status}, its message is above"
  end
end
