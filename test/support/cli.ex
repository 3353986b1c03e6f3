defmodule BaileysEx.Test.Cli do
  @moduledoc """
  Runs a command of the library in this VM. Standard error is captured for the whole VM, so such tests are not
  `async`.
  """

  import ExUnit.CaptureIO

  alias BaileysEx.Auth.CLI
  alias BaileysEx.Auth.CLI.Terminal

  @doc "Returns the exit code, and the texts on standard output and standard error."
  @spec run([String.t()], Terminal.t()) :: {non_neg_integer(), String.t(), String.t()}
  def run(argv, terminal \\ Terminal.plain()) do
    parent = self()
    ref = make_ref()

    stderr =
      capture_io(:stderr, fn ->
        stdout = capture_io(fn -> send(parent, {ref, CLI.run(argv, terminal)}) end)
        send(parent, {ref, :stdout, stdout})
      end)

    receive do
      {^ref, code} ->
        receive do
          {^ref, :stdout, stdout} -> {code, stdout, stderr}
        end
    end
  end
end
