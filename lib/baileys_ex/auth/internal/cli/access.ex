defmodule BaileysEx.Auth.CLI.Access do
  @moduledoc false
  # Finds out which user owns an inaccessible file or directory: the operating system only says that access is
  # denied.

  alias BaileysEx.Auth.Native

  @doc "Returns the first obstacle in, at or around these paths, and why it is one."
  @spec blame([Path.t()]) :: {Path.t(), String.t()} | nil
  def blame(paths), do: Enum.find_value(paths, &(&1 |> Path.expand() |> look()))

  defp look(path) do
    case File.stat(path) do
      {:ok, %File.Stat{type: :directory} = stat} -> directory(path, stat)
      {:ok, stat} -> unless_allowed(path, stat, [:read, :read_write], "cannot be read")
      {:error, :enoent} -> parent(Path.dirname(path))
      {:error, _posix} -> around(Path.dirname(path))
    end
  end

  defp directory(path, stat) do
    unless_allowed(path, stat, [:read, :read_write], "cannot be read") ||
      inside(path) || unless_allowed(path, stat, [:write, :read_write], "cannot be written to")
  end

  defp inside(path) do
    with {:ok, names} <- File.ls(path) do
      Enum.find_value(Enum.sort(names), fn name ->
        file = Path.join(path, name)

        case File.lstat(file) do
          {:ok, %File.Stat{type: :regular} = stat} ->
            unless_allowed(file, stat, [:read, :read_write], "cannot be read")

          _other ->
            nil
        end
      end)
    else
      _cannot -> nil
    end
  end

  # A missing path would be created in its nearest existing ancestor.
  defp parent(path) do
    case File.stat(path) do
      {:ok, stat} -> unless_allowed(path, stat, [:write, :read_write], "cannot be written to")
      {:error, :enoent} when path != "/" -> parent(Path.dirname(path))
      {:error, _posix} -> around(path)
    end
  end

  defp around("/"), do: nil

  defp around(path) do
    case File.stat(path) do
      {:ok, stat} -> {path, "cannot be entered: " <> owner(stat)}
      {:error, _posix} -> around(Path.dirname(path))
    end
  end

  defp unless_allowed(path, stat, allowed, what) do
    if stat.access not in allowed, do: {path, what <> ": " <> owner(stat)}
  end

  defp owner(%File.Stat{uid: uid}) do
    "owned by #{user(uid)}, this is #{user(Native.process_user())}"
  end

  defp user(0), do: "root"
  defp user(uid), do: "uid #{uid}"
end
