defmodule BaileysEx.Auth.KeyStore.Callers do
  @moduledoc false
  # On whose behalf a process works, as `Task` notes it: Ecto's sandbox finds a test's connection by that.

  @key :"$callers"

  @doc "The calling process, and on whose behalf it works."
  @spec chain() :: [pid(), ...]
  def chain, do: [self() | Process.get(@key, [])]

  @doc "From here on the calling process works on behalf of these."
  @spec inherit([pid()]) :: :ok
  def inherit(callers) do
    Process.put(@key, callers)
    :ok
  end
end
