defmodule BaileysEx.Test.Gate do
  @moduledoc false
  # Stops calls of a test backend until the test lets them continue.

  import ExUnit.Assertions

  alias BaileysEx.Test.Backends.Table

  @doc "Makes calls of `callbacks` wait for `open/2`; other calls pass."
  @spec close(Table.t(), [atom()]) :: Table.t()
  def close(table, callbacks) do
    test = self()

    Table.before_calls(table, fn callback, args ->
      if callback in callbacks, do: wait(test, callback, args), else: :ok
    end)
  end

  @doc "Waits until a call of `callback` is at the gate, and returns the process that waits there."
  @spec arrived(atom()) :: pid()
  def arrived(callback) do
    assert_receive {:at_gate, ^callback, _args, pid}
    pid
  end

  @doc "Lets the process continue, with an answer of the backend if one is given."
  @spec open(pid(), :ok | term()) :: :ok
  def open(pid, answer \\ :ok) do
    send(pid, {:go, answer})
    :ok
  end

  defp wait(test, callback, args) do
    send(test, {:at_gate, callback, args, self()})
    receive do: ({:go, answer} -> answer)
  end
end
