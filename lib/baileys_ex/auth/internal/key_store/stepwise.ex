defmodule BaileysEx.Auth.KeyStore.Stepwise do
  @moduledoc false
  # A commit on a backend without `commit_keys`: key by key, and undone if one of them fails.
  #
  # Until it is over, the cache serves the previous entries to readers, so that nobody reads and caches a
  # value that is undone later.

  alias BaileysEx.Auth.KeyStore.{Backend, Cache}
  alias BaileysEx.Signal.Store.Changes

  @spec commit(Backend.t(), Cache.table(), Changes.entries()) :: :ok | {:error, term()}
  def commit(backend, cache, entries) when map_size(entries) == 1 do
    [{key, value}] = Map.to_list(entries)
    with :ok <- Backend.save(backend, key, value), do: Cache.put(cache, entries)
  end

  def commit(backend, cache, entries) do
    with {:ok, previous, unreadable} <- previous(backend, cache, entries) do
      Cache.pin(cache, previous)

      # Keys that cannot be restored are written last: after them, nothing can fail that would have to be
      # undone.
      {last, first} = Map.split(entries, unreadable)

      case save_all(backend, Map.to_list(first) ++ Map.to_list(last), []) do
        :ok -> Cache.put(cache, entries)
        {:error, reason, saved} -> roll_back(backend, cache, previous, saved, reason)
      end
    end
  end

  # An unreadable key can be deleted, but not replaced together with others.
  defp previous(backend, cache, entries) do
    Enum.reduce_while(entries, {:ok, %{}, []}, fn {key, value}, {:ok, previous, unreadable} ->
      case Cache.load(cache, key, fn -> Backend.load(backend, key) end) do
        {:ok, old} -> {:cont, {:ok, Map.put(previous, key, old), unreadable}}
        :absent -> {:cont, {:ok, Map.put(previous, key, nil), unreadable}}
        {:error, _reason} when is_nil(value) -> {:cont, {:ok, previous, [key | unreadable]}}
        {:error, reason} -> {:halt, {:error, reason}}
      end
    end)
  end

  defp save_all(_backend, [], _saved), do: :ok

  defp save_all(backend, [{key, value} | rest], saved) do
    case Backend.save(backend, key, value) do
      :ok -> save_all(backend, rest, [key | saved])
      # The key that failed may be half written.
      {:error, reason} -> {:error, reason, [key | saved]}
    end
  end

  defp roll_back(backend, cache, previous, saved, reason) do
    failed =
      for key <- saved,
          is_map_key(previous, key),
          {:error, key_reason} <- [Backend.save(backend, key, previous[key])],
          do: {key, key_reason}

    Cache.put(cache, previous)
    Cache.delete(cache, Enum.map(failed, fn {key, _reason} -> key end))

    case failed do
      [] -> {:error, reason}
      _ -> {:error, {:rollback_failed, reason, failed}}
    end
  end
end
