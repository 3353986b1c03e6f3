defmodule BaileysEx.Auth.KeyStore.Callers do
  @moduledoc false
  # The processes for which a process works, as `Task` records them. Ecto's sandbox finds a test's connection
  # by that.

  @key :"$callers"

  @doc "Returns the calling process and the processes for which it works."
  @spec chain() :: [pid(), ...]
  def chain, do: [self() | Process.get(@key, [])]

  @doc "Makes the calling process work for these from now on."
  @spec inherit([pid()]) :: :ok
  def inherit(callers) do
    Process.put(@key, callers)
    :ok
  end
end
