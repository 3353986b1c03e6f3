defmodule BaileysEx.Signal.Store.Running do
  @moduledoc false
  # Finds out which store a process is. One call does this: all stores of this library answer it, and the
  # library's other servers refuse it. A wrong process is thus an error of the caller, and never ends the
  # process that was asked.

  @type answer() :: {:ok, module(), pid(), :ets.tid()}

  @doc "The answer of a store of `module` to the call `{#{inspect(__MODULE__)}, :describe}`."
  @spec answer(module(), :ets.tid()) :: answer()
  def answer(module, table), do: {:ok, module, self(), table}

  @doc "Returns the process and the table of a running store of `module`."
  @spec fetch!(module(), GenServer.server()) :: {pid(), :ets.tid()}
  def fetch!(module, server) do
    case ask(server) do
      {:ok, ^module, pid, table} -> {pid, table}
      _other -> raise ArgumentError, "expected the pid or name of a running #{inspect(module)}"
    end
  end

  @doc "Returns the module of a running store."
  @spec module!(GenServer.server()) :: module()
  def module!(server) do
    case ask(server) do
      {:ok, module, _pid, _table} -> module
      _other -> raise ArgumentError, "expected the pid or name of a running store"
    end
  end

  @doc "As `GenServer.whereis/1`."
  @spec whereis!(GenServer.server()) :: pid() | {atom(), node()} | nil
  def whereis!(server) do
    GenServer.whereis(server)
  rescue
    FunctionClauseError -> raise ArgumentError, "expected the pid or name of a running store"
  end

  @doc """
  The last clause of each function that takes a reference from `wrap/1`. The wrong argument may be accompanied
  by keys, and a `FunctionClauseError` has all arguments in its stack trace.
  """
  @spec no_reference!(module()) :: no_return()
  @spec no_reference!(module(), String.t()) :: no_return()
  def no_reference!(module, others \\ "") do
    raise ArgumentError, "expected a reference from wrap/1 of #{inspect(module)}#{others}"
  end

  defp ask(server) do
    whereis!(server)
    GenServer.call(server, {__MODULE__, :describe})
  end
end
