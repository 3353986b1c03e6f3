defmodule BaileysEx.Auth.PersistenceMigration.Received do
  @moduledoc false
  # The rows that a target has received and not yet written, without the unreadable ones.

  alias BaileysEx.Auth.PersistenceMigration.{AccountSource, Rows}
  alias BaileysEx.Auth.Postgres.Value

  @enforce_keys [:source, :skip?]
  defstruct [
    :source,
    :skip?,
    :creds,
    # In batches, the last one first, with the number of keys and bytes in them.
    batches: [],
    held: {0, 0},
    # Counts all keys so far, including those already written.
    total: %{migrated_keys: 0, families: %{}, bytes_written: 0},
    damaged: []
  ]

  @type t() :: %__MODULE__{}

  @spec put(t(), [Rows.row()]) :: t()
  def put(%__MODULE__{source: %AccountSource{} = source} = received, rows) do
    damaged = AccountSource.unreadable(source, rows)
    names = MapSet.new(damaged, &{&1.type || "creds", &1.id})
    sound = Enum.reject(rows, fn {type, id, _bytes} -> {type, id} in names end)
    add(%{received | damaged: [damaged | received.damaged]}, sound)
  end

  # A directory has already checked its files itself.
  def put(received, rows), do: add(received, rows)

  defp add(received, [{_type, nil, bytes} | keys]) do
    total = Map.update!(received.total, :bytes_written, &(&1 + byte_size(bytes)))
    add(%{received | creds: bytes, total: total}, keys)
  end

  defp add(%{held: {count, size}, total: total} = received, keys) do
    {more, bytes} = {length(keys), Value.bytes(keys)}

    %{
      received
      | batches: [keys | received.batches],
        held: {count + more, size + bytes},
        total: %{
          migrated_keys: total.migrated_keys + more,
          families: Value.add_families(total.families, keys),
          bytes_written: total.bytes_written + bytes
        }
    }
  end

  @doc "Returns the keys that are held, in order, and the rest without them."
  @spec drain(t()) :: {[Rows.row()], t()}
  def drain(received) do
    keys = received.batches |> Enum.reverse() |> Enum.concat()
    {keys, %{received | batches: [], held: {0, 0}}}
  end

  @doc "Returns what was left out, or an error with all damage if some of it must not be left out."
  @spec skipped(t()) :: {:ok, [Exception.t()]} | {:error, Exception.t()}
  def skipped(received) do
    damaged = received.damaged |> Enum.reverse() |> Enum.concat()

    if damaged == [] or (received.skip? and Enum.all?(damaged, & &1.id)),
      do: {:ok, damaged},
      else: {:error, AccountSource.damaged_error(received.source, damaged)}
  end
end
