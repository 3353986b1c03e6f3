defmodule BaileysEx.Test.FirstCall do
  @moduledoc "Calls for a separate VM, before anything else of this project is loaded."

  @doc "Loads one key or the credentials, and prints a hash of the term."
  @spec load(String.t(), Path.t(), String.t(), String.t()) :: :ok
  def load(backend, path, type, id) do
    {:ok, _} = :application.ensure_all_started(:baileys_ex_auth)
    backend = String.to_atom(backend)

    result =
      case type do
        "creds" -> backend.load_credentials(path)
        # The atom of a type exists in any program that contains its name.
        type -> backend.load_keys(path, String.to_atom(type), id)
      end

    IO.puts(summary(result))
  end

  @doc "Loads everything in a directory, and prints a hash of each term."
  @spec load_all(String.t(), Path.t()) :: :ok
  def load_all(backend, path) do
    {:ok, _} = :application.ensure_all_started(:baileys_ex_auth)
    backend = String.to_atom(backend)
    {:ok, keys} = backend.list_keys(path)
    IO.puts(":creds " <> summary(backend.load_credentials(path)))

    for {type, ids} <- keys, id <- ids do
      IO.puts("#{inspect({type, id})} #{summary(backend.load_keys(path, type, id))}")
    end

    :ok
  end

  @doc "Returns what distinguishes a result from others, in whatever VM it was made."
  @spec summary({:ok, term()} | {:error, term()}) :: String.t()
  def summary({:ok, term}), do: "ok #{term |> canonical() |> :erlang.md5() |> Base.encode16()}"
  def summary({:error, reason}), do: "error " <> inspect(reason)

  # The order of maps of more than 32 keys depends on the VM's atoms.
  defp canonical(term), do: term |> ordered() |> :erlang.term_to_binary()

  defp ordered(%_{} = struct), do: ordered(Map.from_struct(struct))

  defp ordered(map) when is_map(map) do
    pairs = for {key, value} <- map, do: {inspect(key), ordered(value)}
    Enum.sort(pairs)
  end

  defp ordered(list) when is_list(list), do: Enum.map(list, &ordered/1)
  defp ordered(atom) when is_atom(atom), do: "atom " <> Atom.to_string(atom)
  defp ordered(other), do: other
end
