defmodule BaileysEx.Test.Backends.Batch do
  @moduledoc false
  # Context-aware, with `commit_keys` and `list_keys`. The context is a `Backends.Table`.

  @behaviour BaileysEx.Auth.Persistence

  alias BaileysEx.Test.Backends.Table

  @impl true
  def load_keys(table, type, id), do: Table.answer(table, :load_keys, [type, id])
  @impl true
  def save_keys(table, type, id, value), do: Table.answer(table, :save_keys, [type, id, value])
  @impl true
  def delete_keys(table, type, id), do: Table.answer(table, :delete_keys, [type, id])
  @impl true
  def list_keys(table), do: Table.answer(table, :list_keys, [])
  @impl true
  def commit_keys(table, changes), do: Table.answer(table, :commit_keys, [changes])
end

defmodule BaileysEx.Test.Backends.Database do
  @moduledoc false
  # As `Batch`, with a context that holds a password: `%{table: table, password: text}`.

  @behaviour BaileysEx.Auth.Persistence

  alias BaileysEx.Test.Backends.Batch

  @impl true
  def load_keys(context, type, id), do: Batch.load_keys(context.table, type, id)
  @impl true
  def save_keys(context, type, id, value), do: Batch.save_keys(context.table, type, id, value)
  @impl true
  def delete_keys(context, type, id), do: Batch.delete_keys(context.table, type, id)
  @impl true
  def list_keys(context), do: Batch.list_keys(context.table)
  @impl true
  def commit_keys(context, changes), do: Batch.commit_keys(context.table, changes)
end

defmodule BaileysEx.Test.Backends.Recovering do
  @moduledoc false
  # As `Batch`, with `recover`.

  @behaviour BaileysEx.Auth.Persistence

  alias BaileysEx.Test.Backends.{Batch, Table}

  @impl true
  defdelegate load_keys(table, type, id), to: Batch
  @impl true
  defdelegate save_keys(table, type, id, value), to: Batch
  @impl true
  defdelegate delete_keys(table, type, id), to: Batch
  @impl true
  defdelegate list_keys(table), to: Batch
  @impl true
  defdelegate commit_keys(table, changes), to: Batch
  @impl true
  def recover(table), do: Table.answer(table, :recover, [])
end

defmodule BaileysEx.Test.Backends.KeyByKey do
  @moduledoc false
  # Context-aware, without `commit_keys`.

  @behaviour BaileysEx.Auth.Persistence

  alias BaileysEx.Test.Backends.Table

  @impl true
  def load_keys(table, type, id), do: Table.answer(table, :load_keys, [type, id])
  @impl true
  def save_keys(table, type, id, value), do: Table.answer(table, :save_keys, [type, id, value])
  @impl true
  def delete_keys(table, type, id), do: Table.answer(table, :delete_keys, [type, id])
  @impl true
  def list_keys(table), do: Table.answer(table, :list_keys, [])
end

defmodule BaileysEx.Test.Backends.Minimal do
  @moduledoc false
  # The callbacks that every backend must have, and no others, without a context: one per VM.

  @behaviour BaileysEx.Auth.Persistence

  alias BaileysEx.Test.Backends.Table

  @spec use_table(Table.t()) :: :ok
  def use_table(table), do: :persistent_term.put(__MODULE__, table)

  @impl true
  def load_credentials, do: {:error, :not_kept_here}
  @impl true
  def save_credentials(_state), do: {:error, :not_kept_here}
  @impl true
  def load_keys(type, id), do: Table.answer(table(), :load_keys, [type, id])
  @impl true
  def save_keys(type, id, value), do: Table.answer(table(), :save_keys, [type, id, value])
  @impl true
  def delete_keys(type, id), do: Table.answer(table(), :delete_keys, [type, id])

  defp table, do: :persistent_term.get(__MODULE__)
end

defmodule BaileysEx.Test.Backends.BothArities do
  @moduledoc false
  # Every callback with and without a context; reports which one was called.

  @behaviour BaileysEx.Auth.Persistence

  @impl true
  def load_keys(_type, _id), do: {:ok, :context_free}
  @impl true
  def load_keys(_context, _type, _id), do: {:ok, :context_aware}
  @impl true
  def save_keys(_type, _id, _value), do: {:error, :context_free}
  @impl true
  def save_keys(_context, _type, _id, _value), do: {:error, :context_aware}
  @impl true
  def delete_keys(_type, _id), do: {:error, :context_free}
  @impl true
  def delete_keys(_context, _type, _id), do: {:error, :context_aware}
  @impl true
  def list_keys, do: {:error, :context_free}
  @impl true
  def list_keys(_context), do: {:error, :context_aware}
  @impl true
  def commit_keys(_changes), do: {:error, :context_free}
  @impl true
  def commit_keys(_context, _changes), do: {:error, :context_aware}
end
