defmodule BaileysEx.Auth.Restore do
  @moduledoc """
  Puts a snapshot back in the place of an auth directory. `mix baileys.auth.restore` does it.

      {:ok, %{set_aside: aside}} =
        BaileysEx.Auth.Restore.run("/backup/monday/ada", "/var/lib/my_app/auth/ada")

  The snapshot is verified first. What the directory holds, damaged or not, is copied aside, whole, with its
  journal; then it gets the snapshot's content, all at once. After any failure or crash the directory is as it
  was, or is complete when it is next opened. It stays the directory that it is, with its owner, group and mode,
  and may be a mount point. Stop what uses it first: whoever has it loses it
  (`BaileysEx.Auth.NotOwnerError`).

  A restored account is back in time: messages that arrived since the snapshot cannot be read again.

  ## Options

    * `:backend`: the form of the snapshot, by default as `BaileysEx.Auth.Inspection.detect/1` says
    * `:aside`: where what the directory holds goes, a path where nothing is; by default
      `.NAME.set-aside-TIME` beside it, a name that `--all` and `BaileysEx.Auth.Accounts` pass over

  ## Errors

    * those of `verify/2` of the backend for the snapshot: what is damaged is not put back
    * `{:error, {:unreadable_snapshot, snapshot, posix}}`: what the operating system refuses of it
    * `{:error, {:invalid_restore_target, path, posix}}`: what it refuses of the directory, such as `:enospc`, or
      of where its content was to be kept
    * `{:error, {:no_credentials, snapshot}}`
    * `{:error, {:other_form, path, module}}`: the directory is of the other backend, the application's
    * `{:error, {:target_not_empty, path}}`: the directory is not empty, and no auth directory
    * `{:error, {:overlap, path, other}}`: one of the directories holds another
    * `{:error, {:set_aside_exists, aside}}`: something is there already
    * `{:error, %BaileysEx.Auth.CorruptFileError{}}` for a link in the directory, which cannot be kept
    * `{:error, {:recovery_required, module, path}}`: the new content was decided on, and an error came before
      it was all in place; see `recover/1` of the backend
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

  @typedoc "`:set_aside` is where what the directory held is now; `nil` where it held nothing."
  @type t() :: %{
          backend: module(),
          snapshot: Path.t(),
          path: Path.t(),
          set_aside: Path.t() | nil
        }

  @doc """
  Restores `path` from `snapshot`; options and errors are above. `:set_aside` of the answer is where the old
  content is, `nil` where there was none.

      {:ok, %{set_aside: nil}} = BaileysEx.Auth.Restore.run("/backup/ada", "/var/lib/my_app/auth/new")
  """
  @spec run(snapshot :: Path.t(), Path.t(), [option()]) :: {:ok, t()} | {:error, term()}
  def run(snapshot, path, opts \\ []) do
    Options.check!(opts, [:backend, :aside])
    snapshot = Path.expand(snapshot)
    path = Path.expand(path)
    aside = opts |> Keyword.get_lazy(:aside, fn -> beside(path) end) |> Path.expand()

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

  # What the operating system refuses does not say what it is about.
  defp of_snapshot({:error, posix}, snapshot) when is_atom(posix),
    do: {:error, {:unreadable_snapshot, snapshot, posix}}

  defp of_snapshot(answer, _snapshot), do: answer

  defp of_target({:error, posix}, path) when is_atom(posix),
    do: {:error, {:invalid_restore_target, path, posix}}

  defp of_target(answer, _path), do: answer

  defp backend(snapshot, opts) do
    with :error <- Forms.given!(opts), do: Inspection.detect(snapshot)
  end

  # Hidden, so that nobody takes it for one more account.
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

  # Of an account, or empty: the content of another directory is not replaced by a mistaken path.
  defp replaceable(path, module) do
    case Inspection.detect(path) do
      {:ok, ^module} -> :ok
      {:ok, other} -> {:error, {:other_form, path, other}}
      {:error, :enoent} -> :ok
      {:error, {:ambiguous_auth_directory, _path}} -> :ok
      {:error, {:not_an_auth_directory, _path}} -> empty(path)
      {:error, posix} -> {:error, posix}
    end
  end

  # What this library and the file system have in one that never held anything.
  @bare [".baileys_ex.lock", ".baileys_ex.owner", "lost+found"]

  defp empty(path) do
    case File.ls(path) do
      {:ok, names} -> if names -- @bare == [], do: :ok, else: {:error, {:target_not_empty, path}}
      {:error, posix} -> {:error, posix}
    end
  end

  defp restore(module, snapshot, path, aside) do
    format = Forms.format(module)
    # Of both forms: the directory may hold the other one's files, too.
    locks = for place <- [snapshot, path], {backend, _} <- Forms.all(), do: {backend, place}
    work = fn -> Native.store_restore(snapshot, format, path, aside) end

    case Owner.run(locks, fn call -> call.(fn -> Busy.wait(work) end) end) do
      {:ok, kept?} -> {:ok, kept?}
      {:error, {side, reason}} -> {:error, {side, NativeError.to_public(reason, module)}}
    end
  end
end
