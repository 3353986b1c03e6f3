defmodule BaileysEx.Test.KillWorkload do
  @moduledoc false
  # The work of the VMs that the restart tests kill.

  alias BaileysEx.Auth.KeyStore
  alias BaileysEx.Test.{Guide, Values}

  @callers 4
  @ids ["1", "2", "3"]

  @doc "Returns the keys of a caller, which all hold the same number, and the number; `nil` before the first."
  @spec read(KeyStore.Ref.t(), pos_integer()) :: non_neg_integer() | nil
  def read(ref, caller) do
    ids = ids(caller)
    pre_keys = KeyStore.get(ref, :"pre-key", ids)
    texts = KeyStore.get(ref, :"lid-mapping", ids)

    case Enum.uniq(Map.values(texts)) do
      [] when pre_keys == %{} ->
        nil

      [number] when map_size(texts) == 3 ->
        number = String.to_integer(number)
        ^pre_keys = Map.new(ids, &{&1, Values.value(:"pre-key", number)})
        number
    end
  end

  @spec callers() :: pos_integer()
  def callers, do: @callers

  @doc "Counts up in transactions of six keys, and prints each number once it is committed."
  @spec run(module(), Path.t()) :: no_return()
  def run(backend, path) do
    {:ok, _} = Application.ensure_all_started(:baileys_ex_auth)
    Guide.define_modules("guides/custom-backends.md")
    {:ok, pid} = KeyStore.start_link(persistence_module: backend, persistence_context: path)
    ref = KeyStore.wrap(pid)

    for caller <- 1..@callers,
        do: spawn_link(fn -> count(ref, caller, (read(ref, caller) || 0) + 1) end)

    # The other end of the standard input is the test.
    IO.read(:line)
    System.halt(0)
  end

  defp count(ref, caller, number) do
    ids = ids(caller)

    KeyStore.transaction(ref, "caller #{caller}", fn tx ->
      KeyStore.set(tx, %{
        "pre-key": Map.new(ids, &{&1, Values.value(:"pre-key", number)}),
        "lid-mapping": Map.new(ids, &{&1, Integer.to_string(number)})
      })
    end)

    IO.puts("#{caller} #{number}")
    count(ref, caller, number + 1)
  end

  defp ids(caller), do: Enum.map(@ids, &"#{caller}#{&1}")
end
