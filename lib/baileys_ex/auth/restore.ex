defmodule BaileysEx.Auth.Restore do
  @option_list """
    * `:backend`: the form of the snapshot; by default the result of `BaileysEx.Auth.Inspection.detect/1`
    * `:aside`: where to keep the old content of the directory, a path that does not exist yet. The default is
      `.NAME.set-aside-TIME` beside the directory, a name that `--all` and `BaileysEx.Auth.Accounts` skip
  """

  @moduledoc """
  Restores a snapshot to an auth directory. `mix baileys.auth.restore` runs it.

      {:ok, %{set_aside: aside}} =
        BaileysEx.Auth.Restore.run("/backup/monday/ada", "/var/lib/my_app/auth/ada")

  The snapshot is verified first. Then everything in the directory, damaged or not, is copied to a separate
  directory, together with the journal, and the directory gets the content of the snapshot at once. After a
  failure or crash, the directory is as it was, or the next open completes it. If a failure leaves it as it
  was, nothing is set aside either. It remains the same directory, with its owner, group and mode, and may be
  a mount point. First stop the program that uses it: a store of the directory can no longer write
  (`BaileysEx.Auth.NotOwnerError`).

  A restored account has gone back in time: it cannot read messages again that have arrived since the
  snapshot.

  ## Options

  #{@option_list}
  ## Errors

    * those of the backend's `verify/2` for the snapshot: a damaged snapshot is not restored
    * `{:error, {:unreadable_snapshot, snapshot, posix}}`: the operating system refuses to read the snapshot
    * `{:error, {:invalid_restore_target, path, posix}}`: the operating system refuses to write to the
      directory or to the place for its old content, for example with `:enospc`
    * `{:error, {:no_credentials, snapshot}}`: the snapshot holds only keys
    * `{:error, {:other_form, path, module}}`: the directory belongs to the other backend, `module`
    * `{:error, {:target_not_empty, path}}`: the directory holds files that do not belong to an account
    * `{:error, {:overlap, path, other}}`: one of the directories is inside another
    * `{:error, {:set_aside_exists, aside}}`: the place for the old content already exists
    * `{:error, %BaileysEx.Auth.CorruptFileError{}}`: the directory contains a link, which cannot be kept
    * `{:error, {:recovery_required, module, path}}`: an error occurred after the new content was durable and
      before all of it was in place; see `recover/1` of the backend. The old content is at `:aside`
  """

  alias BaileysEx.Auth.Directory.{Busy, Forms, Owner}

  alias BaileysEx.Auth.{
    Directory,
    Inspection,
    Native,
    NativeError,
    Options
  }

  @type option() :: {:backend, module()} | {:aside, Path.t()}

  @typedoc "`:set_aside` is where the old content of the directory is now; `nil` if it was empty."
  @type t() :: %{
          backend: module(),
          snapshot: Path.t(),
          path: Path.t(),
          set_aside: Path.t() | nil
        }

  @doc """
  Restores `path` from `snapshot`.

      iex> alias BaileysEx.Auth.{NativeFilePersistence, Restore}
      iex> NativeFilePersistence.save_credentials("auth", BaileysEx.Auth.State.new())
      iex> NativeFilePersistence.snapshot("auth", "backup")
      iex> NativeFilePersistence.save_keys("auth", :"lid-mapping", "15550000000", "800000000")
      iex> {:ok, %{set_aside: aside}} = Restore.run("backup", "auth", aside: "aside")
      iex> {NativeFilePersistence.list_keys("auth"), NativeFilePersistence.list_keys(aside)}
      {{:ok, %{}}, {:ok, %{"lid-mapping": ["15550000000"]}}}

  Options:

  #{@option_list}
  The errors are listed in the module's documentation.
  """
  @spec run(snapshot :: Path.t(), Path.t(), [option()]) :: {:ok, t()} | {:error, term()}
  def run(snapshot, path, opts \\ []) do
    Options.check!(opts, [:backend, :aside])
    snapshot = Directory.absolute(snapshot)
    path = Directory.absolute(path)
    aside = opts |> Keyword.get_lazy(:aside, fn -> beside(path) end) |> Directory.absolute()

    with {:ok, module} <- snapshot |> backend(opts) |> of_snapshot(snapshot),
         {:ok, real_snapshot} <- snapshot |> Directory.real() |> of_snapshot(snapshot),
         {:ok, real} <- path |> Directory.real() |> of_target(path),
         {:ok, real_aside} <- aside |> Directory.real() |> of_target(aside),
         :ok <- apart(real, real_snapshot),
         :ok <- apart(real_aside, real_snapshot),
         :ok <- apart(real_aside, real),
         :ok <- path |> replaceable(module) |> of_target(path),
         :ok <- free(aside),
         {:ok, _report} <- snapshot |> module.verify() |> of_snapshot(snapshot),
         {:ok, kept?} <- restore(module, real_snapshot, real, real_aside) do
      set_aside = if kept?, do: aside
      {:ok, %{backend: module, snapshot: snapshot, path: path, set_aside: set_aside}}
    else
      {:error, {:source, reason}} -> of_snapshot({:error, reason}, snapshot)
      {:error, {:target, reason}} -> of_target({:error, reason}, path)
      {:error, {:aside, reason}} -> of_target({:error, reason}, aside)
      {:error, reason} -> {:error, reason}
    end
  end

  @doc """
  Whether `path` holds the same credentials and keys as `snapshot`, and no other files. `false` also if either
  of them is damaged or cannot be read.

      iex> alias BaileysEx.Auth.{NativeFilePersistence, Restore}
      iex> NativeFilePersistence.save_credentials("auth", BaileysEx.Auth.State.new())
      iex> NativeFilePersistence.snapshot("auth", "backup")
      iex> NativeFilePersistence.save_keys("auth", :"lid-mapping", "15550000000", "800000000")
      iex> before = Restore.restored?("backup", "auth")
      iex> Restore.run("backup", "auth", aside: "aside")
      iex> {before, Restore.restored?("backup", "auth")}
      {false, true}
  """
  @spec restored?(snapshot :: Path.t(), Path.t()) :: boolean()
  def restored?(snapshot, path) do
    with {:ok, module} <- Inspection.detect(snapshot),
         {:ok, snapshot} <- Directory.real(snapshot),
         {:ok, path} <- Directory.real(path),
         {:ok, same?} <- Native.store_same(snapshot, Forms.format(module), path) do
      same? and match?({:ok, _report}, module.verify(snapshot))
    else
      {:error, _reason} -> false
    end
  end

  # Errors of the operating system do not say which path they concern.
  defp of_snapshot({:error, posix}, snapshot) when is_atom(posix),
    do: {:error, {:unreadable_snapshot, snapshot, posix}}

  defp of_snapshot(answer, _snapshot), do: answer

  defp of_target({:error, posix}, path) when is_atom(posix),
    do: {:error, {:invalid_restore_target, path, posix}}

  defp of_target(answer, _path), do: answer

  defp backend(snapshot, opts) do
    with :error <- Forms.given!(opts), do: Inspection.detect(snapshot)
  end

  # Hidden, so that it is not taken for another account.
  defp beside(path) do
    time = DateTime.utc_now() |> DateTime.truncate(:millisecond) |> DateTime.to_iso8601(:basic)
    Path.join(Path.dirname(path), ".#{Path.basename(path)}.set-aside-#{time}")
  end

  defp apart(path, other) do
    if holds?(path, other) or holds?(other, path),
      do: {:error, {:overlap, path, other}},
      else: :ok
  end

  defp holds?(path, other), do: List.starts_with?(Path.split(other), Path.split(path))

  defp free(aside) do
    case File.lstat(aside) do
      {:error, :enoent} -> :ok
      {:ok, _there} -> {:error, {:set_aside_exists, aside}}
      {:error, posix} -> of_target({:error, posix}, aside)
    end
  end

  # Accepts the directory of an account, or of a former one. A mistaken path must not replace the content of
  # any other directory.
  defp replaceable(path, module) do
    case Inspection.detect(path) do
      {:ok, ^module} -> :ok
      {:ok, other} -> {:error, {:other_form, path, other}}
      {:error, :enoent} -> :ok
      {:error, {:ambiguous_auth_directory, _path}} -> :ok
      {:error, {:not_an_auth_directory, _path}} -> nobody_elses(path, module)
      {:error, posix} -> {:error, posix}
    end
  end

  defp nobody_elses(path, module) do
    case Native.directory_holds_others(path) do
      {:ok, false} -> :ok
      {:ok, true} -> {:error, {:target_not_empty, path}}
      {:error, reason} -> {:error, NativeError.to_public(reason, module)}
    end
  end

  defp restore(module, snapshot, path, aside) do
    format = Forms.format(module)
    # Locks both forms: the directory may also contain files of the other one.
    locks = for place <- [snapshot, path], {backend, _} <- Forms.all(), do: {backend, place}
    work = fn -> Native.store_restore(snapshot, format, path, aside) end

    case Owner.run(locks, fn call -> call.(fn -> Busy.wait(work) end) end) do
      {:ok, kept?} -> {:ok, kept?}
      {:error, {side, reason}} -> {:error, {side, NativeError.to_public(reason, module)}}
    end
  end
end
