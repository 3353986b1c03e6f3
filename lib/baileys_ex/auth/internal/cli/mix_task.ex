defmodule BaileysEx.Auth.CLI.MixTask do
  @moduledoc false
  # What the Mix tasks have in common.

  alias BaileysEx.Auth.CLI
  alias BaileysEx.Auth.CLI.Logs

  @doc "Runs a command as a Mix task: compiles what must be, and exits with the command's code."
  @spec run(String.t(), [String.t()]) :: :ok
  def run(command, argv) do
    on_standard_error(fn -> Mix.Task.run("app.config") end)
    Logs.to_standard_error()

    case CLI.until_signal(fn -> CLI.run([command | argv]) end) do
      0 -> :ok
      code -> exit({:shutdown, code})
    end
  end

  # What compilers have to say is no part of a task's output, which a script may read.
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
