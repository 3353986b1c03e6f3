defmodule BaileysEx.Test.Terminal do
  @moduledoc """
  Runs commands as a user would: in another operating system process, with or without a pseudo-terminal.

  The pseudo-terminal comes from `script` of util-linux, which Debian always has.
  """

  @root Path.expand("../..", __DIR__)

  @doc "Whether commands can run on a pseudo-terminal here."
  @spec available?() :: boolean()
  def available? do
    case System.find_executable("script") do
      nil -> false
      script -> match?({_, 0}, System.cmd(script, ["--version"], stderr_to_stdout: true))
    end
  end

  @doc "Runs a shell command without a terminal, and returns its output, its errors and its exit code."
  @spec run(String.t(), [{String.t(), String.t() | nil}]) :: {String.t(), String.t(), integer()}
  def run(command, env \\ []) do
    errors = Path.join(System.tmp_dir!(), "stderr_#{System.unique_integer([:positive])}")

    try do
      {output, status} = shell("(#{command}) 2>#{errors} </dev/null", env)
      {output, File.read!(errors), status}
    after
      File.rm(errors)
    end
  end

  @doc "Runs a shell command on a pseudo-terminal, and returns everything it shows, and its exit code."
  @spec run_on_terminal(String.t(), [{String.t(), String.t() | nil}], pos_integer()) ::
          {String.t(), integer()}
  def run_on_terminal(command, env \\ [], columns \\ 100) do
    command = quoted("stty cols #{columns} rows 30; exec " <> command)
    shell("exec script -qec #{command} /dev/null </dev/null", env)
  end

  @doc """
  Starts a shell command on a pseudo-terminal and calls `react` with the operating system pid of the VM in it
  once it has shown `text`. Returns everything that was shown, and the exit code.

  `react` also receives a function that types.
  """
  @spec interrupt(String.t(), String.t(), ((String.t() -> true) -> term()), keyword()) ::
          {String.t(), integer()}
  def interrupt(command, text, react, opts \\ []) do
    line = "exec script -qec #{quoted("exec " <> command)} /dev/null"
    port = Port.open({:spawn_executable, "/bin/sh"}, port_options(["-c", line], opts))
    wait_for(port, text, "", fn -> react.(&Port.command(port, &1)) end)
  end

  @doc "Returns the shell equivalent of `bin/app eval` for our code: it is available, and no application is started."
  @spec eval([String.t()]) :: String.t()
  def eval(argv) do
    ebin = BaileysEx.Auth.CLI |> :code.which() |> Path.dirname()
    "elixir -pa #{quoted(ebin)} -e #{quoted("BaileysEx.Auth.CLI.main(#{inspect(argv)})")}"
  end

  @doc "Quotes a word for the shell."
  @spec quoted(String.t()) :: String.t()
  def quoted(word), do: "'" <> String.replace(word, "'", "'\\''") <> "'"

  defp shell(command, env) do
    System.cmd("/bin/sh", ["-c", command], cd: @root, env: environment(env))
  end

  defp environment(env), do: [{"NO_COLOR", nil}, {"TERM", "xterm"} | env]

  defp port_options(args, opts) do
    env = for {name, value} <- environment(opts[:env] || []), do: {~c"#{name}", value(value)}
    [:binary, :exit_status, :stderr_to_stdout, args: args, cd: @root, env: env]
  end

  defp value(nil), do: false
  defp value(value), do: String.to_charlist(value)

  defp wait_for(port, text, shown, react) do
    receive do
      {^port, {:data, data}} ->
        shown = shown <> data

        if String.contains?(shown, text) do
          react.()
          rest(port, shown)
        else
          wait_for(port, text, shown, react)
        end

      {^port, {:exit_status, status}} ->
        raise "ended with #{status} before it showed #{inspect(text)}:\n#{shown}"
    after
      60_000 -> raise "did not show #{inspect(text)}:\n#{shown}"
    end
  end

  defp rest(port, shown) do
    receive do
      {^port, {:data, data}} -> rest(port, shown <> data)
      {^port, {:exit_status, status}} -> {shown, status}
    after
      60_000 -> raise "did not end:\n#{shown}"
    end
  end
end
