defmodule BaileysEx.Test.Backends.CredentialsToo do
  @moduledoc false
  # As `Batch`, with credentials.

  @behaviour BaileysEx.Auth.Persistence

  alias BaileysEx.Test.Backends.{Batch, Table}

  @impl true
  def load_credentials(table), do: {:ok, :ets.lookup_element(table.rules, :credentials, 2)}

  @impl true
  def save_credentials(table, state) do
    :ets.insert(table.rules, {:credentials, state})
    :ok
  end

  @impl true
  defdelegate load_keys(table, type, id), to: Batch
  @impl true
  defdelegate save_keys(table, type, id, value), to: Batch
  @impl true
  defdelegate delete_keys(table, type, id), to: Batch
  @impl true
  defdelegate list_keys(table), to: Batch
  @impl true
  def commit_keys(table, changes), do: Table.answer(table, :commit_keys, [changes])
end
