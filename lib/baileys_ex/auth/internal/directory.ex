defmodule BaileysEx.Auth.Directory do
  @moduledoc false
  # What the two file backends do with a directory: paths, locks, opening, changes and errors.
  #
  # A backend is `{module, format}`. The NIF takes absolute paths, and identifies directories by their real
  # path and format.

  alias BaileysEx.Auth.Directory.{Busy, Owner}

  alias BaileysEx.Auth
  alias BaileysEx.Auth.Telemetry.Watched

  alias BaileysEx.Auth.{
    Claims,
    InvalidKeyError,
    Keys,
    Native,
    NativeError,
    NotOwnerError,
    Persistence,
    Telemetry
  }

  @type backend() :: {module(), :json | :etf}
  @doc "Returns the file of a key, for messages."
  @spec file(Path.t(), Keys.key(), String.t()) :: Path.t()
  def file(path, {family, id}, extension) do
    stem = if id, do: "#{family}-#{id}", else: family
    name = stem |> String.replace("/", "__") |> String.replace(":", "-")
    Path.join(Path.expand(path), name <> extension)
  end

  @doc """
  Runs a NIF that reads, without a lock. The first access of this VM to a directory recovers an interrupted
  commit, under the lock.
  """
  @spec read(backend(), Path.t(), (Path.t() -> term())) :: {:ok, term()} | {:error, term()}
  def read({module, format}, path, nif) do
    with {:ok, path} <- text(absolute(path)) do
      case nif.(path) do
        :closed -> open_and_read({module, format}, path, nif)
        result -> result(result, module)
      end
    end
  end

  defp open_and_read({module, format} = backend, path, nif) do
    with :ok <- locked(backend, path, &Native.store_open(&1, format)) do
      case nif.(path) do
        # A write of another process failed in the meantime.
        :closed -> {:error, {:recovery_required, module, path}}
        result -> result(result, module)
      end
    end
  end

  @doc "As `read/3`, for one key or the credentials."
  @spec load(backend(), Path.t(), Keys.key(), (Path.t(), String.t(), String.t() | nil -> term())) ::
          {:ok, term()} | {:error, term()}
  def load({module, _format} = backend, path, {family, id}, nif) do
    with :ok <- text_types([{family, id}]) do
      Watched.load(module, fn -> absolute(path) end, family, fn ->
        read(backend, path, &nif.(&1, family, id))
      end)
    end
  end

  @doc "As `locked/3`, for changes `{family, id, change}`. Does nothing if there are none."
  @spec commit(backend(), Path.t(), [change], (Path.t(), [change] -> term())) ::
          :ok | {:error, term()}
        when change: {String.t(), String.t() | nil, term()}
  def commit(_backend, _path, [], _nif), do: :ok

  def commit({module, _format} = backend, path, changes, nif) do
    with :ok <- text_types(for {family, id, _change} <- changes, do: {family, id}) do
      module
      |> Watched.commit(fn -> absolute(path) end, changes, fn ->
        locked(backend, path, &nif.(&1, changes))
      end)
      |> tell_store(backend, path)
    end
  end

  # The store that uses the directory may have nothing to write, and would keep serving its cache.
  defp tell_store({:error, %NotOwnerError{} = error} = result, backend, path) do
    Claims.lost(place(backend, path), error)
    result
  end

  defp tell_store(result, _backend, _path), do: result

  @doc "Runs a NIF that needs exclusive access to the directory."
  @spec locked(backend(), Path.t(), (Path.t() -> term())) ::
          :ok | {:ok, term()} | {:error, term()}
  def locked({module, _format} = backend, path, nif) do
    with {:ok, path} <- real(path) do
      result =
        Owner.run([{module, path}], fn call ->
          call.(fn -> Busy.wait(fn -> nif.(path) end) end)
        end)

      done(backend, path, result)
    end
  end

  @doc "Brings the files up to date with the journal. Returns `{:error, _}` if somebody is writing at the moment."
  @spec tidy(backend(), Path.t()) :: :ok | {:error, term()}
  def tidy({_module, format} = backend, path) do
    done(backend, path, Native.store_tidy(path, format))
  end

  @doc "Makes a consistent copy. The target is locked too, and leftovers of a killed copy are removed from it."
  @spec snapshot(backend(), Path.t(), Path.t()) :: :ok | {:error, term()}
  def snapshot({module, format} = backend, path, target) do
    with {:ok, path} <- real(path), {:ok, real_target} <- real(target) do
      locks = [{module, path}, {module, real_target}]
      snapshot = fn -> Busy.wait(fn -> Native.store_snapshot(path, format, target) end) end

      case Owner.run(locks, fn call -> call.(snapshot) end) do
        {:error, {:target, {:io, _posix} = reason}} ->
          {:error, snapshot_target(NativeError.to_public(reason, module), target)}

        {:error, {_side, reason}} ->
          {:error, NativeError.to_public(reason, module)}

        result ->
          done(backend, path, result)
      end
    end
  end

  # These two errors cannot concern anything else.
  defp snapshot_target(posix, _target) when posix in [:einval, :enotempty], do: posix
  defp snapshot_target(posix, target), do: {:invalid_snapshot_target, absolute(target), posix}

  @doc "Claims the directory for this VM; see `c:BaileysEx.Auth.Persistence.claim/2`."
  @spec claim(backend(), Path.t(), Auth.Owner.t()) :: :ok | {:error, term()}
  def claim({_module, format} = backend, path, owner) do
    locked(backend, path, &Native.store_claim(&1, format, Auth.Owner.to_native(owner)))
  end

  @spec release(backend(), Path.t(), Auth.Owner.t()) :: :ok | {:error, term()}
  def release({_module, format} = backend, path, owner) do
    locked(backend, path, &Native.store_release(&1, format, owner.id))
  end

  @spec owner(backend(), Path.t()) :: {:ok, Auth.Owner.t() | nil} | {:error, term()}
  def owner(backend, path) do
    with {:ok, {owner, _directory}} <- look(backend, path) do
      {:ok, Auth.Owner.from_native(owner)}
    end
  end

  @doc "Returns what distinguishes a directory from others, whatever its path; `nil` if nobody has written to it yet."
  @spec place(backend(), Path.t()) :: term() | nil
  def place(backend, path) do
    case look(backend, path) do
      {:ok, {_owner, directory}} when directory != nil -> {:directory, directory}
      _nothing_there -> nil
    end
  end

  defp look({module, format}, path) do
    with {:ok, path} <- real(path), do: result(Native.store_owner(path, format), module)
  end

  @doc "Returns how many times somebody other than the store was seen to change keys."
  @spec changes_seen(backend(), Path.t()) :: {:ok, non_neg_integer()} | {:error, term()}
  def changes_seen({module, format}, path) do
    with {:ok, path} <- real(path), do: result(Native.store_changes(path, format), module)
  end

  @spec list_keys(backend(), Path.t()) :: {:ok, Persistence.key_list()} | {:error, term()}
  def list_keys({_module, format} = backend, path) do
    with {:ok, keys} <- read(backend, path, &Native.store_list(&1, format)) do
      {:ok, Map.new(keys, fn {family, ids} -> {Keys.type(family), ids} end)}
    end
  end

  @doc """
  As `Path.expand/1`, which however asks the file server for the current directory even if the path needs no
  change.
  """
  @spec absolute(Path.t()) :: Path.t()
  def absolute("/" <> relative = path) do
    parts = :binary.split(relative, "/", [:global])
    if Enum.any?(parts, &(&1 in ["", ".", ".."])), do: Path.expand(path), else: path
  end

  # A variable that is not set; it would be the current directory.
  def absolute(path) when path in ["", []],
    do: raise(ArgumentError, "expected the path of a directory, and not an empty text")

  def absolute(path), do: Path.expand(path)

  @doc """
  Returns the one real path of a directory, whatever links lead to it. Locks and the NIF's knowledge belong to
  that path. Once the directory is known by it, the disk is not asked again.
  """
  @spec real(Path.t()) :: {:ok, Path.t()} | {:error, :einval}
  def real(path) do
    with {:ok, path} <- text(absolute(path)),
         nil <- Native.directory_known_path(path),
         nil <- Native.directory_real_path(path) do
      {:error, :einval}
    else
      {:error, _reason} = error -> error
      real -> {:ok, real}
    end
  end

  # Rust accepts only text, and raising there would show the values to save. It checks ids itself.
  defp text_types(keys) do
    Enum.find_value(keys, :ok, fn {family, id} ->
      problem = "the type is not UTF-8 text"

      if not String.valid?(family) do
        {:error, %InvalidKeyError{type: inspect(family), id: to_string(id), problem: problem}}
      end
    end)
  end

  @doc "A path as Rust takes it: text."
  @spec text(Path.t()) :: {:ok, Path.t()} | {:error, :einval}
  def text(path), do: if(String.valid?(path), do: {:ok, path}, else: {:error, :einval})

  defp done({module, _format}, path, result) do
    case result do
      {:happened, checkpoints, recoveries} -> report(module, path, checkpoints, recoveries)
      result -> result(result, module)
    end
  end

  defp report(module, path, {checkpoints, checkpoint_ns}, {recoveries, recovery_ns, commits}) do
    metadata = %{backend: module, path: absolute(path)}

    if checkpoints > 0 do
      measurements = %{count: checkpoints, duration: native_time(checkpoint_ns)}
      Telemetry.execute([:checkpoint], measurements, metadata)
    end

    if recoveries > 0 do
      measurements = %{count: recoveries, duration: native_time(recovery_ns), commits: commits}
      Telemetry.execute([:recovery], measurements, metadata)
    end

    :ok
  end

  defp native_time(ns), do: System.convert_time_unit(ns, :nanosecond, :native)

  defp result({:error, reason}, module), do: {:error, NativeError.to_public(reason, module)}
  defp result(result, _module), do: result
end
