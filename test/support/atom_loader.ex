defmodule BaileysEx.Test.AtomLoader do
  @moduledoc "For a separate VM: loads every key, and reports how often and how many atoms that created."

  alias BaileysEx.Auth.NativeFilePersistence

  @spec run(Path.t(), String.t()) :: :ok
  def run(path, times) do
    {:ok, _} = Application.ensure_all_started(:baileys_ex_auth)
    {:ok, %{"sender-key-memory": ids}} = NativeFilePersistence.list_keys(path)
    before = :erlang.system_info(:atom_count)

    results =
      for _ <- 1..String.to_integer(times), id <- ids do
        NativeFilePersistence.load_keys(path, :"sender-key-memory", id)
      end

    IO.puts("loaded #{Enum.count(results, &match?({:ok, _}, &1))}")
    IO.puts("refused #{Enum.count(results, &match?({:error, _}, &1))}")
    IO.puts("atoms #{:erlang.system_info(:atom_count) - before}")
  end
end
