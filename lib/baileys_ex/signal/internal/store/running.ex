defmodule BaileysEx.Signal.Store.Running do
  @moduledoc false
  # Which store a process is, by one call that all stores of this library answer and its other servers
  # refuse: a wrong one is an error of the caller, and never the end of the process that was asked.

  @type answer() :: {:ok, module(), pid(), :ets.tid()}

  @doc "What a store of `module` answers the call `{#{inspect(__MODULE__)}, :describe}`."
  @spec answer(module(), :ets.tid()) :: answer()
  def answer(module, table), do: {:ok, module, self(), table}

  @doc "The process and the table of a running store of `module`."
  @spec fetch!(module(), GenServer.server()) :: {pid(), :ets.tid()}
  def fetch!(module, server) do
    case ask(server) do
      {:ok, ^module, pid, table} -> {pid, table}
      _other -> raise ArgumentError, "expected the pid or name of a running #{inspect(module)}"
    end
  end

  @doc "The module that a running store is of."
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
  Ends the clauses of a store's functions that take a reference from `wrap/1`. What they were given
  instead may come with keys, and a `FunctionClauseError` has all arguments in its stack trace.
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
