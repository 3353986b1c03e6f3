defmodule BaileysEx.Auth.CLI.MixTask do
  @moduledoc false
  # The common part of the Mix tasks.

  alias BaileysEx.Auth.CLI
  alias BaileysEx.Auth.CLI.Logs

  @doc "Runs a command as a Mix task: compiles what is needed, and exits with the command's code."
  @spec run(String.t(), [String.t()]) :: :ok
  def run(command, argv) do
    on_standard_error(fn -> Mix.Task.run("app.config") end)
    Logs.to_standard_error()

    case CLI.until_signal(fn -> CLI.run([command | argv]) end) do
      0 -> :ok
      code -> exit({:shutdown, code})
    end
  end

  # Output of compilers must not mix with the output of a task, which a script may read.
  defp on_standard_error(fun) do
    leader = Process.group_leader()
    Process.group_leader(self(), Process.whereis(:standard_error))

    try do
      fun.()
    after
      Process.group_leader(self(), leader)
    end
  end
end
