defmodule BaileysEx.Test.OwnerWorkload do
  @moduledoc """
  What a separate VM does to a directory that others use too. Arguments are texts; each printed line is an
  answer.
  """

  alias BaileysEx.Auth.{
    FilePersistence,
    KeyStore,
    NativeFilePersistence,
    PersistenceMigration,
    State
  }

  alias BaileysEx.Auth.KeyStore.OperationError
  alias BaileysEx.Auth.NotOwnerError

  @doc "Commits three keys at a time with plain functions; all three name the commit and its author."
  def commit(backend, path, name, count) do
    start()
    backend = String.to_existing_atom(backend)

    for n <- 1..String.to_integer(count) do
      value = "#{name}:#{n}"
      keys = Map.new(~w(a b c), &{&1, value})
      own = %{"own-#{name}" => value}

      case backend.commit_keys(path, %{"lid-mapping": Map.merge(keys, own)}) do
        :ok -> IO.puts("ok #{n}")
        {:error, reason} -> IO.puts("error #{inspect(reason)}")
      end
    end
  end

  @doc "Saves ids whose files only the manifest distinguishes, one at a time."
  def commit_irregular(backend, path, name, count) do
    start()
    backend = String.to_existing_atom(backend)

    for n <- 1..String.to_integer(count) do
      id = irregular_id(name, n)
      :ok = backend.save_keys(path, :"lid-mapping", id, id)
      IO.puts("ok #{n}")
    end
  end

  @doc "Returns an id whose file name would be read as that of another id."
  def irregular_id(name, n), do: "#{name}:#{n}"

  @doc """
  Owns the directory through a store, and commits until it is told that it no longer owns it. Each commit also
  changes the credentials, through `save_creds`.
  """
  def own(backend, path, name) do
    start()
    backend = String.to_existing_atom(backend)
    {:ok, auth} = use_auth_state(backend, path)
    {:ok, store} = KeyStore.start_link(auth.connect_opts[:signal_store_opts])
    IO.puts("claimed #{System.pid()}")
    own(KeyStore.wrap(store), auth, name, 1)
  end

  defp own(store, auth, name, n) do
    value = "#{name}:#{n}"
    keys = Map.new(~w(a b c), &{&1, value})
    KeyStore.set(store, %{"lid-mapping": Map.put(keys, "own-#{name}", value)})
    IO.puts("ok #{n}")

    case auth.save_creds.(%{auth.state | platform: value}) do
      :ok ->
        IO.puts("creds #{n}")
        own(store, auth, name, n + 1)

      {:error, %NotOwnerError{} = error} ->
        lost(store, auth, error)
    end
  rescue
    error in OperationError -> lost(store, auth, error.reason)
  end

  # From now on every operation reports the same.
  defp lost(store, auth, %NotOwnerError{} = error) do
    IO.puts("lost #{error.owner && error.owner.os_process}")

    for call <- [
          fn -> KeyStore.get(store, :"lid-mapping", ["a"]) end,
          fn -> KeyStore.set(store, %{"lid-mapping": %{"a" => "stale"}}) end,
          fn -> KeyStore.transaction(store, "a", fn _tx -> :ran end) end
        ] do
      try do
        call.()
        IO.puts("wrote")
      rescue
        error in OperationError ->
          match?(%NotOwnerError{}, error.reason) || IO.puts("other #{inspect(error)}")
      end
    end

    case auth.save_creds.(%{auth.state | platform: "stale"}) do
      {:error, %NotOwnerError{}} -> IO.puts("silent")
      other -> IO.puts("creds #{inspect(other)}")
    end

    IO.gets("")
  end

  defp use_auth_state(NativeFilePersistence, path),
    do: NativeFilePersistence.use_native_file_auth_state(path)

  defp use_auth_state(FilePersistence, path), do: FilePersistence.use_multi_file_auth_state(path)

  @doc "Increments a number as a store does, in transactions, or without a store, with `commit_keys`."
  def increment(path, "store", count) do
    start()
    {:ok, store} = KeyStore.start_link(persistence_context: path)
    ref = KeyStore.wrap(store)
    IO.puts("claimed")
    for _ <- 1..String.to_integer(count), do: increment_once(ref)
    IO.puts("done")
    IO.gets("")
  end

  def increment(path, "plain", count) do
    start()

    for _ <- 1..String.to_integer(count) do
      {:ok, value} = NativeFilePersistence.load_keys(path, :"lid-mapping", "n")
      next = Integer.to_string(String.to_integer(value) + 1)
      :ok = NativeFilePersistence.save_keys(path, :"lid-mapping", "n", next)
      Process.sleep(20)
    end

    IO.puts("done")
  end

  defp increment_once(ref) do
    KeyStore.transaction(ref, "n", fn tx ->
      %{"n" => value} = KeyStore.get(tx, :"lid-mapping", ["n"])
      next = Integer.to_string(String.to_integer(value) + 1)
      KeyStore.set(tx, %{"lid-mapping": %{"n" => next}})
    end)
  rescue
    error in OperationError ->
      {:changed_meanwhile, _module, _path} = error.reason
      increment_once(ref)
  end

  @doc "Migrates, or takes a snapshot, and prints the answer."
  def publish("migrate", source, target) do
    start()
    report(PersistenceMigration.migrate_compat_json_to_native(source, target))
  end

  def publish("overwrite", source, target) do
    start()
    report(PersistenceMigration.migrate_compat_json_to_native(source, target, overwrite?: true))
  end

  def publish("snapshot", source, target) do
    start()
    report(FilePersistence.snapshot(source, target))
  end

  defp report(:ok), do: IO.puts("ok")
  defp report({:ok, %{migrated_keys: keys}}), do: IO.puts("ok #{keys}")
  defp report({:error, reason}), do: IO.puts("error #{inspect(reason)}")

  # Without Mix, nothing is started yet.
  defp start, do: {:ok, _} = Application.ensure_all_started(:baileys_ex_auth)

  @doc false
  def fresh_state, do: State.new()
end
