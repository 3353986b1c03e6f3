defmodule BaileysEx.Auth.PersistenceMigration.Received do
  @moduledoc false
  # The rows that a target gathers before it writes them all at once, without those that cannot be read.

  @enforce_keys [:source, :skip?]
  defstruct [:source, :skip?, rows: [], damaged: []]

  alias BaileysEx.Auth.PersistenceMigration.AccountSource

  @type t() :: %__MODULE__{}

  @spec put(t(), [BaileysEx.Auth.PersistenceMigration.Rows.row()]) :: t()
  def put(%__MODULE__{source: %AccountSource{} = source} = received, rows) do
    damaged = AccountSource.unreadable(source, rows)
    names = MapSet.new(damaged, &{&1.type || "creds", &1.id})
    sound = Enum.reject(rows, fn {type, id, _bytes} -> {type, id} in names end)
    %{received | rows: [sound | received.rows], damaged: [damaged | received.damaged]}
  end

  # A directory has looked at its files itself.
  def put(received, rows), do: %{received | rows: [rows | received.rows]}

  @doc "The credentials' bytes, if there are any, the keys, and what was left out; or all that must not be."
  @spec take(t()) :: {:ok, binary() | nil, [tuple()], [Exception.t()]} | {:error, Exception.t()}
  def take(received) do
    damaged = received.damaged |> Enum.reverse() |> Enum.concat()

    if damaged == [] or (received.skip? and Enum.all?(damaged, & &1.id)) do
      {creds, keys} =
        received.rows
        |> Enum.reverse()
        |> Enum.concat()
        |> Enum.split_with(fn {_type, id, _bytes} -> id == nil end)

      {:ok, with([{_type, nil, bytes}] <- creds, do: bytes, else: (_none -> nil)), keys, damaged}
    else
      {:error, AccountSource.damaged_error(received.source, damaged)}
    end
  end
end
