defmodule BaileysEx.Auth.CLI.SystemError do
  @moduledoc false
  # Errors of the operating system, with the path that they concern and advice.

  alias BaileysEx.Auth.CLI.Access

  @type t() :: %{code: String.t(), message: String.t(), advice: String.t()}

  @doc "Describes an error of a command that was given these paths."
  @spec describe(atom(), [Path.t(), ...], command :: String.t()) :: t()
  def describe(:einval, [path, _same], "snapshot") do
    failure(
      :einval,
      "#{Path.expand(path)} would be copied into itself",
      "Give a target that does not exist yet. Nothing was changed."
    )
  end

  def describe(:enoent, [path], command) do
    case File.read_link(path) do
      {:ok, to} ->
        failure(
          :enoent,
          "#{Path.expand(path)} is a link to #{to}, which is not there",
          "Mount the volume that it leads to, or remove the link."
        )

      {:error, _posix} ->
        plain(:enoent, [path], command)
    end
  end

  def describe(posix, paths, command) do
    case if(posix in [:eacces, :eperm], do: Access.blame(paths)) do
      {path, why} ->
        failure(posix, "#{path} #{why} (#{posix})", advice(posix, command))

      nil ->
        plain(posix, paths, command)
    end
  end

  defp plain(posix, paths, command),
    do: failure(posix, "#{about(posix, paths, command)}: #{text(posix)}", advice(posix, command))

  @doc "Describes an error that is known to concern the target."
  @spec of_target(atom(), Path.t(), atom(), command :: String.t()) :: t()
  def of_target(_code, path, posix, command) when posix in [:eacces, :eperm],
    do: %{describe(posix, [path], command) | advice: access_advice(posix, command)}

  def of_target(code, path, posix, command) do
    failure(code, "#{path} cannot be written to: #{text(posix)}", target_advice(posix, command))
  end

  @doc "Describes an error that is known to concern something that is only read."
  @spec of_source(atom(), Path.t(), atom(), command :: String.t()) :: t()
  def of_source(_code, path, posix, command) when posix in [:eacces, :eperm],
    do: describe(posix, [path], command)

  def of_source(code, path, posix, command),
    do: failure(code, "#{path} cannot be read: #{text(posix)}", advice(posix, command))

  @doc "The operating system's name for the error."
  @spec text(atom()) :: String.t()
  def text(posix), do: "#{:file.format_error(posix)} (#{posix})"

  defp failure(code, message, advice),
    do: %{code: Atom.to_string(code), message: message, advice: advice}

  # With these codes the target is in the way. Other errors of the target come with its path, so the rest
  # concern the source.
  defp about(posix, [_source, target], _command) when posix in [:eexist, :enotempty],
    do: Path.expand(target)

  defp about(_posix, [source, _target], command) when command in ["migrate", "snapshot"],
    do: Path.expand(source)

  defp about(_posix, paths, _command), do: Enum.map_join(paths, " and ", &Path.expand/1)

  defp target_advice(posix, "restore") when posix in [:enospc, :edquot] do
    "Make room for the snapshot, and for a copy of what PATH holds, which --aside DIR can " <>
      "keep on another disk. Nothing was changed."
  end

  # In a container, the directory that contains PATH is often read-only.
  defp target_advice(:erofs, "restore") do
    "The file system is read-only. If only the place beside PATH is, give another one with --aside DIR. " <>
      "Nothing was changed."
  end

  defp target_advice(posix, "restore"), do: advice(posix, "restore")

  defp target_advice(posix, command)
       when posix in [:enospc, :edquot, :emfile, :enfile, :erofs, :eio],
       do: advice(posix, command)

  defp target_advice(_posix, _command),
    do: "Give a directory that does not exist yet, in a place that this user can write to."

  defp access_advice(_posix, "restore") do
    "Run this as the user who owns it. If only the place beside PATH is not yours, give another one with " <>
      "--aside DIR. Nothing was changed."
  end

  defp access_advice(posix, command), do: advice(posix, command)

  defp advice(:enoent, _command), do: "Check the path."
  defp advice(:enotdir, _command), do: "Give the directory, not a file in it."

  defp advice(posix, _command) when posix in [:eacces, :eperm] do
    "Run this as the user who owns it, or give it to this user (chown). Nothing was changed."
  end

  defp advice(posix, _command) when posix in [:enospc, :edquot] do
    "Make room on the disk and try again. Nothing was changed."
  end

  defp advice(:erofs, _command), do: "The file system is read-only."
  defp advice(:eexist, "export"), do: "Give another FILE, or --overwrite to replace it."

  defp advice(posix, "snapshot") when posix in [:eexist, :enotempty] do
    "Give a target that does not exist yet, or an empty directory."
  end

  defp advice(posix, _command) when posix in [:emfile, :enfile] do
    "Raise the limit of open files (ulimit -n) and try again."
  end

  defp advice(_posix, _command), do: "See to the cause and try again. Nothing was changed."
end
