defmodule BaileysEx.Signal.Store.Changes do
  @moduledoc false
  # The effect of a `set`, a `clear` or a transaction on a store: possibly deletes everything, and then saves
  # entries or deletes them (`nil`).

  alias BaileysEx.Signal.Store
  alias BaileysEx.Signal.Store.Id

  @derive {Inspect, only: [:clear?]}
  @enforce_keys [:clear?, :entries]
  defstruct [:clear?, :entries]

  @type key() :: {Store.data_type() | String.t(), String.t()}
  @type entries() :: %{optional(key()) => Store.data_value() | nil}
  @type t() :: %__MODULE__{clear?: boolean(), entries: entries()}

  @spec new(boolean(), entries()) :: t()
  def new(clear?, entries), do: %__MODULE__{clear?: clear?, entries: entries}

  @spec from_data_set!(Store.data_set()) :: t()
  def from_data_set!(data) when is_map(data) and not is_struct(data) do
    new(
      false,
      for(
        {type, of_type} <- data,
        {id, value} <- ids!(type, of_type),
        into: %{},
        do: {{type, Id.text!(id)}, value}
      )
    )
  end

  def from_data_set!(_data), do: no_data_set!()

  defp ids!(type, of_type) when is_atom(type) and is_map(of_type) and not is_struct(of_type) do
    of_type
  end

  defp ids!(type, _of_type) when is_atom(type) do
    raise ArgumentError, "expected the changes of #{inspect(type)} as %{id => value | nil}"
  end

  defp ids!(_type, _of_type), do: no_data_set!()

  # The message leaves out the argument, which may contain keys.
  @spec no_data_set!() :: no_return()
  defp no_data_set! do
    raise ArgumentError, "expected a map of changes, %{type => %{id => value | nil}}"
  end

  @doc "Returns the entries by type, as a backend's `commit_keys` takes them."
  @spec to_data_set(entries()) :: Store.data_set()
  def to_data_set(entries) do
    Enum.reduce(entries, %{}, fn {{type, id}, value}, data ->
      Map.update(data, type, %{id => value}, &Map.put(&1, id, value))
    end)
  end

  @spec empty?(t()) :: boolean()
  def empty?(%__MODULE__{clear?: clear?, entries: entries}), do: not clear? and entries == %{}

  @doc "Combines two changes, the second applied after the first."
  @spec merge(t(), t()) :: t()
  def merge(_earlier, %__MODULE__{clear?: true} = later), do: later

  def merge(%__MODULE__{} = earlier, %__MODULE__{} = later) do
    %{earlier | entries: Map.merge(earlier.entries, later.entries)}
  end

  @doc """
  Returns a function that returns `changes`, for sending them to another process. Crash reports, system status
  and exit reasons print messages, but not what a function closes over.
  """
  @spec hide(t()) :: (() -> t())
  def hide(%__MODULE__{} = changes), do: fn -> changes end
end
