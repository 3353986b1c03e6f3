defmodule BaileysEx.Test.Backends.Table do
  @moduledoc false
  # Where the test backends keep their keys: a public ETS table that outlives the store and is the "disk" for
  # its restarts. It also counts, delays and fails calls as instructed.

  defstruct [:keys, :calls, :rules]

  @type t() :: %__MODULE__{keys: :ets.tid(), calls: :ets.tid(), rules: :ets.tid()}

  @spec new() :: t()
  def new do
    [keys, calls, rules] =
      for type <- [:set, :ordered_set, :set], do: :ets.new(__MODULE__, [type, :public])

    %__MODULE__{keys: keys, calls: calls, rules: rules}
  end

  @doc """
  Calls `fun` with the callback's name and arguments before each call. A result other than `:ok` becomes the answer.
  """
  @spec before_calls(t(), (atom(), [term()] -> :ok | term())) :: t()
  def before_calls(%__MODULE__{} = table, fun) do
    :ets.insert(table.rules, {:before, fun})
    table
  end

  @doc "The calls so far, in order."
  @spec calls(t()) :: [{atom(), [term()]}]
  def calls(%__MODULE__{calls: calls}), do: for({_n, call} <- :ets.tab2list(calls), do: call)

  @spec count(t(), atom()) :: non_neg_integer()
  def count(table, callback), do: Enum.count(calls(table), &match?({^callback, _args}, &1))

  @spec forget_calls(t()) :: true
  def forget_calls(%__MODULE__{calls: calls}), do: :ets.delete_all_objects(calls)

  @doc "Returns everything on the disk, as `%{{type, id} => value}`."
  @spec contents(t()) :: map()
  def contents(%__MODULE__{keys: keys}), do: Map.new(:ets.tab2list(keys))

  @spec delete(t()) :: :ok
  def delete(%__MODULE__{keys: keys, calls: calls, rules: rules}) do
    Enum.each([keys, calls, rules], &:ets.delete/1)
  end

  @spec put(t(), atom(), String.t(), term()) :: true
  def put(table, type, id, value), do: :ets.insert(table.keys, {{type, id}, value})

  @doc "Answers a callback of `BaileysEx.Auth.Persistence`."
  @spec answer(t(), atom(), [term()]) :: term()
  def answer(%__MODULE__{} = table, callback, args) do
    :ets.insert(table.calls, {System.unique_integer([:monotonic]), {callback, args}})

    case :ets.lookup(table.rules, :before) do
      [{:before, fun}] ->
        with :ok <- fun.(callback, args), do: perform(table.keys, callback, args)

      [] ->
        perform(table.keys, callback, args)
    end
  end

  defp perform(keys, :load_keys, [type, id]) do
    case :ets.lookup(keys, {type, id}) do
      [{_key, value}] -> {:ok, value}
      [] -> {:error, :not_found}
    end
  end

  defp perform(keys, :save_keys, [type, id, value]) do
    :ets.insert(keys, {{type, id}, value})
    :ok
  end

  defp perform(keys, :delete_keys, [type, id]) do
    :ets.delete(keys, {type, id})
    :ok
  end

  defp perform(_keys, :recover, []), do: :ok

  defp perform(keys, :list_keys, []) do
    {:ok, Enum.group_by(:ets.tab2list(keys), &elem(elem(&1, 0), 0), &elem(elem(&1, 0), 1))}
  end

  defp perform(keys, :commit_keys, [changes]) do
    for {type, of_type} <- changes, {id, value} <- of_type do
      if value == nil,
        do: :ets.delete(keys, {type, id}),
        else: :ets.insert(keys, {{type, id}, value})
    end

    :ok
  end
end
