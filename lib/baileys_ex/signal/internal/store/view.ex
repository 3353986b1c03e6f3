defmodule BaileysEx.Signal.Store.View do
  @moduledoc false
  # The reads and writes of a running transaction, in an ETS table that its process owns. The table disappears
  # with that process. Processes that the callback starts may use it too.
  #
  # Rows: `{{type, id}, :read | :written, {:ok, value} | :absent}`; `:cleared`, once nothing outside counts
  # any more; and `{{:was, {type, id}}, :was, …}` for values that were read.

  alias BaileysEx.Signal.Store
  alias BaileysEx.Signal.Store.{Changes, Id}

  @type t() :: :ets.tid()

  @spec new() :: t()
  def new, do: :ets.new(__MODULE__, [:set, :public])

  @spec close(t()) :: :ok
  def close(view) do
    true = :ets.delete(view)
    :ok
  end

  @spec open?(t()) :: boolean()
  def open?(view), do: :ets.info(view, :type) != :undefined

  @doc "Reads through the view. `outside` returns the entries of ids that the view does not know yet."
  @spec get(t(), Store.data_type(), [String.t()], ([String.t()] -> Store.data_entries())) ::
          Store.data_entries()
  def get(view, type, ids, outside) do
    known = known(view, type, Enum.map(ids, &Id.text!/1))

    read =
      case for({id, :unknown} <- known, do: id) do
        [] -> %{}
        unknown -> read(view, type, unknown, outside)
      end

    for {id, {:ok, value}} <- Map.merge(known, read), into: %{}, do: {id, value}
  end

  @spec put(t(), Changes.t()) :: :ok
  def put(view, %Changes{clear?: clear?, entries: entries}) do
    rows = for {key, value} <- entries, do: {key, :written, entry(value)}

    alive!(fn ->
      if clear?, do: clear(view)
      :ets.insert(view, rows)
    end)

    :ok
  end

  @spec changes(t()) :: Changes.t()
  def changes(view) do
    written = :ets.select(view, [{{:"$1", :written, :"$2"}, [], [{{:"$1", :"$2"}}]}])

    Changes.new(
      :ets.member(view, :cleared),
      Map.new(written, fn
        {key, {:ok, value}} -> {key, value}
        {key, :absent} -> {key, nil}
      end)
    )
  end

  @doc "Returns what was read from outside, as it was then."
  @spec reads(t()) :: %{optional(Changes.key()) => {:ok, Store.data_value()} | :absent}
  def reads(view) do
    Map.new(:ets.select(view, [{{{:was, :"$1"}, :was, :"$2"}, [], [{{:"$1", :"$2"}}]}]))
  end

  defp clear(view) do
    :ets.delete_all_objects(view)
    :ets.insert(view, {:cleared})
  end

  defp known(view, type, ids) do
    alive!(fn -> Map.new(ids, &{&1, lookup(view, {type, &1})}) end)
  end

  defp lookup(view, key) do
    case :ets.lookup(view, key) do
      [{_key, _how, entry}] -> entry
      [] -> if :ets.member(view, :cleared), do: :absent, else: :unknown
    end
  end

  defp read(view, type, ids, outside) do
    entries = outside.(ids)
    read = Map.new(ids, &{&1, entry(entries[&1])})
    # This second row stays when the entry is written.
    rows =
      for {id, entry} <- read,
          row <- [{{type, id}, :read, entry}, {{:was, {type, id}}, :was, entry}],
          do: row

    # A row that another process of this transaction has written in the meantime stays.
    alive!(fn -> Enum.each(rows, &:ets.insert_new(view, &1)) end)
    read
  end

  defp entry(nil), do: :absent
  defp entry(value), do: {:ok, value}

  defp alive!(fun) do
    fun.()
  rescue
    ArgumentError -> raise ArgumentError, "the transaction of this handle is over"
  end
end
