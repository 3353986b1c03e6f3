defmodule BaileysEx.Auth.CLI.Bytes do
  @moduledoc false
  # Files that a command reads or writes line by line, or the standard ones, as bytes.

  @type io_error() :: {:error, {File.posix(), [Path.t()]}}

  @doc "The lines of a file, or of standard input for `-`."
  @spec lines(Path.t()) :: {:ok, Enumerable.t()} | io_error()
  def lines("-") do
    # Else the bytes would be taken for characters.
    :ok = :io.setopts(:standard_io, encoding: :latin1)
    {:ok, IO.binstream(:stdio, :line)}
  end

  def lines(path) do
    with {:ok, device} <- :file.open(path, [:read, :raw]) do
      :ok = :file.close(device)
      {:ok, File.stream!(path, [], :line)}
    else
      {:error, posix} -> {:error, {posix, [path]}}
    end
  end

  @doc """
  Writes each item to a new file, which is there when all of it is on disk, or to standard output for `-`.
  Gives the number of items.
  """
  @spec write(Enumerable.t(), Path.t(), overwrite? :: boolean() | nil) ::
          {:ok, non_neg_integer()} | io_error()
  def write(items, "-", _overwrite?) do
    :ok = :io.setopts(:standard_io, encoding: :latin1)

    with {:error, _closed} <- each(items, &IO.binwrite(:stdio, &1)),
         do: {:error, {:epipe, ["-"]}}
  end

  def write(items, path, overwrite?) do
    if File.exists?(path) and not (overwrite? || false),
      do: {:error, {:eexist, [path]}},
      else: replace(items, path)
  end

  defp replace(items, path) do
    unfinished = "#{path}.unfinished-#{System.unique_integer([:positive])}-#{System.pid()}"

    try do
      with {:ok, count} <- write_new(items, unfinished),
           :ok <- File.rename(unfinished, path) do
        {:ok, count}
      else
        {:error, posix} -> {:error, {posix, [path]}}
      end
    after
      File.rm(unfinished)
    end
  end

  defp write_new(items, path) do
    with {:ok, device} <- :file.open(path, [:write, :exclusive, :raw, :delayed_write]) do
      try do
        with :ok <- File.chmod(path, 0o600),
             {:ok, count} <- each(items, &:file.write(device, &1)),
             :ok <- :file.sync(device),
             do: {:ok, count}
      after
        :file.close(device)
      end
    end
  end

  defp each(items, write) do
    Enum.reduce_while(items, {:ok, 0}, fn item, {:ok, count} ->
      case write.(item) do
        :ok -> {:cont, {:ok, count + 1}}
        error -> {:halt, error}
      end
    end)
  end
end
