defmodule BaileysEx.Auth.CLI do
  @moduledoc """
  Runs the commands of this library without Mix, for releases:

      bin/my_app eval 'BaileysEx.Auth.CLI.main(["inspect", "/var/lib/my_app/auth"])'

  The first argument is the command, such as `inspect` or `migrate` (`--help` lists them). The other arguments
  are those of the Mix task of that name (`mix help baileys.auth.inspect`). Programs should call the functions
  behind the commands instead: `BaileysEx.Auth.Inspection.inspect_directory/2`,
  `BaileysEx.Auth.PersistenceMigration`, and `verify/2` and `snapshot/2` of each backend.

  Exit codes: 0, success; 1, the directory or the migration has a problem; 2, wrong usage; 130 and 143, ended
  by Ctrl-C and by SIGTERM.

  With `--json`, standard output holds one JSON document and nothing else. This applies to errors too:
  `{"error": {"code": …, "message": …, "advice": …}}`. Without it, errors go to standard error. Only terminals
  get colours and progress bars, and `NO_COLOR` turns colours off. (When Mix compiles dependencies before it
  runs a task, it writes to standard output: in a script, compile them first.)
  """

  alias BaileysEx.Auth.CLI.{Failure, Logs, Terminal}
  alias BaileysEx.Auth.{JSON, Native}

  @typedoc "0: all is well; 1: a problem; 2: wrong usage."
  @type exit_code() :: 0 | 1 | 2

  @commands %{
    "adopt" => BaileysEx.Auth.CLI.Commands.Adopt,
    "delete" => BaileysEx.Auth.CLI.Commands.Delete,
    "export" => BaileysEx.Auth.CLI.Commands.Export,
    "import" => BaileysEx.Auth.CLI.Commands.Import,
    "inspect" => BaileysEx.Auth.CLI.Commands.Inspect,
    "migrate" => BaileysEx.Auth.CLI.Commands.Migrate,
    "repair" => BaileysEx.Auth.CLI.Commands.Repair,
    "restore" => BaileysEx.Auth.CLI.Commands.Restore,
    "verify" => BaileysEx.Auth.CLI.Commands.Verify,
    "snapshot" => BaileysEx.Auth.CLI.Commands.Snapshot
  }

  @doc """
  Runs a command, and ends the VM with the exit code.

      BaileysEx.Auth.CLI.main(["verify", "/var/lib/my_app/auth"])
  """
  @spec main([String.t()]) :: no_return()
  def main(argv) do
    Logs.to_standard_error()
    fn -> run(argv) end |> until_signal() |> System.halt()
  end

  @doc false
  # For callers that own the VM: if Ctrl-C or SIGTERM cuts the work short, the exit code is not 0.
  @spec until_signal((() -> result)) :: result when result: var
  def until_signal(fun) do
    Native.process_end_by_signals(true)
    fun.()
  after
    Native.process_end_by_signals(false)
  end

  @doc """
  Runs a command, prints its output and returns its exit code.

      BaileysEx.Auth.CLI.run(["verify", "/var/lib/my_app/auth"])
      #=> 0
  """
  @spec run([String.t()]) :: exit_code()
  def run(argv), do: run(argv, Terminal.detect())

  @doc false
  @spec run([String.t()], Terminal.t()) :: exit_code()
  def run([name | argv], terminal) when is_map_key(@commands, name) do
    command = Map.fetch!(@commands, name)
    switches = [help: :boolean, json: :boolean] ++ command.switches()

    {options, arguments, invalid} =
      OptionParser.parse(argv, strict: switches, aliases: [h: :help])

    json? = Keyword.get(options, :json, false)
    terminal = if json?, do: Terminal.plain(terminal), else: terminal

    cond do
      options[:help] ->
        Terminal.print(command.usage())
        0

      invalid != [] ->
        finish({:usage, mistake(hd(invalid), switches)}, name, json?, terminal)

      # It would be the current directory: a variable that a script has not set, as in `delete "$DIR" --yes`.
      "" in arguments ->
        finish({:usage, "an argument is empty"}, name, json?, terminal)

      true ->
        {:ok, _started} = Application.ensure_all_started(:baileys_ex_auth)

        arguments
        |> command.run(options, terminal)
        |> with_paths(arguments)
        |> finish(name, json?, terminal)
    end
  end

  def run([help], _terminal) when help in ["help", "--help", "-h"] do
    Terminal.print(usage())
    0
  end

  def run(_argv, _terminal) do
    Terminal.print_error(usage())
    2
  end

  @doc """
  Returns the text of `--help` for a command. Raises `KeyError` for an unknown command.

      IO.puts(BaileysEx.Auth.CLI.usage("verify"))
  """
  @spec usage(String.t()) :: String.t()
  def usage(name), do: Map.fetch!(@commands, name).usage()

  defp usage do
    names = @commands |> Map.keys() |> Enum.sort()

    """
    BaileysEx.Auth.CLI.main([COMMAND, ARGUMENT...])

    Commands: #{Enum.join(names, ", ")}; each takes --help.
    """
  end

  # Errors of the operating system do not say which path they concern.
  defp with_paths({:error, posix}, paths) when is_atom(posix), do: {:error, {posix, paths}}
  defp with_paths(outcome, _paths), do: outcome

  defp finish({status, document, _text}, _name, true, _terminal) do
    Terminal.print([JSON.encode(document), "\n"])
    exit_code(status)
  end

  defp finish({status, _document, text}, _name, false, _terminal) do
    Terminal.print(text)
    exit_code(status)
  end

  defp finish({:error, reason}, name, json?, terminal) do
    report(Failure.describe(reason, name), json?, terminal)
    1
  end

  defp finish({:usage, message}, name, json?, terminal) do
    hint = "see --help"
    report(%{code: "usage", message: "#{name}: #{message}", advice: hint}, json?, terminal)
    2
  end

  defp report(failure, true, _terminal) do
    Terminal.print([JSON.encode(%{error: failure}), "\n"])
  end

  defp report(failure, false, terminal) do
    Terminal.print_error([
      Terminal.paint(terminal, [:red, "error: "]),
      Terminal.safe(failure.message),
      if(failure[:advice], do: ["\n", Terminal.safe(failure.advice)], else: []),
      "\n"
    ])
  end

  defp exit_code(:ok), do: 0
  defp exit_code(:problem), do: 1

  defp mistake({option, nil}, switches) do
    valued = for {name, :string} <- switches, do: "--" <> String.replace("#{name}", "_", "-")
    if option in valued, do: "#{option} needs a value", else: "unknown option #{option}"
  end

  defp mistake({option, _value}, _switches), do: "#{option} does not take that value"
end
