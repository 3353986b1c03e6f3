defmodule BaileysEx.Auth.CLI.Failure.Restore do
  @moduledoc false
  # Errors that only a restore has, or for which its advice differs, because it involves two directories.

  alias BaileysEx.Auth.CLI.{Backends, SystemError}
  alias BaileysEx.Auth.Inspection

  @type t() :: %{code: String.t(), message: String.t(), advice: String.t()}

  @doc "Describes an error that `BaileysEx.Auth.Restore` documents; `nil` for any other."
  @spec describe(term()) :: t() | nil
  def describe({:target_not_empty = code, path}) do
    failure(code, "#{path} is not empty, and holds no credentials and no keys", other_path(path))
  end

  def describe({:other_form = code, path, backend}) do
    failure(
      code,
      "#{path} is a directory of the backend #{Backends.name(backend)}, and the snapshot is not",
      "Migrate the snapshot (mix baileys.auth.migrate), and restore the result."
    )
  end

  def describe({:overlap = code, path, other}) do
    failure(
      code,
      "#{path} and #{other} are the same directory, or one is inside the other",
      "Move the snapshot elsewhere, or give another --aside."
    )
  end

  def describe({:set_aside_exists = code, path}),
    do: failure(code, "#{path} exists already", "Give another --aside.")

  def describe({:no_credentials = code, path}) do
    failure(
      code,
      "#{path} holds keys and no credentials: it would be taken for a fresh identity",
      "Give a snapshot of the whole account."
    )
  end

  def describe({:recovery_required, _backend, path}) do
    %{
      code: "recovery_required",
      message: "not all of what the snapshot holds is in its place in #{path} yet",
      advice:
        "Check the disk (full? failing?), and run it again. The old content of #{path} is set aside, " <>
          "and the next program that opens #{path} completes the restore."
    }
  end

  def describe({:invalid_restore_target = code, path, posix}),
    do: SystemError.of_target(code, path, posix, "restore")

  def describe({:unreadable_snapshot = code, path, posix}),
    do: SystemError.of_source(code, path, posix, "restore")

  def describe(_other), do: nil

  defp other_path(path) do
    case Inspection.directories(path) do
      {:ok, [name | _more]} ->
        "Give the directory of one account, such as #{Path.join(path, name)}."

      _none ->
        "Check the path, or move away what is there."
    end
  end

  defp failure(code, message, advice) do
    %{code: Atom.to_string(code), message: message, advice: advice <> " Nothing was changed."}
  end
end
