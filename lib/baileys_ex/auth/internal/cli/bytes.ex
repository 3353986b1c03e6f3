defmodule BaileysEx.Auth.CLI.Bytes do
  @moduledoc false
  # Files and standard streams that a command reads or writes line by line, as bytes.

  @type io_error() :: {:error, {File.posix(), [Path.t()]}}

  @doc "Returns the lines of a file, or of standard input for `-`."
  @spec lines(Path.t()) :: {:ok, Enumerable.t()} | io_error()
  def lines("-"), do: {:ok, Stream.resource(&take_bytes/0, &read_line/1, &take_characters/1)}

  def lines(path) do
    with {:ok, device} <- :file.open(path, [:read, :raw]) do
      :ok = :file.close(device)
      {:ok, File.stream!(path)}
    else
      {:error, posix} -> {:error, {posix, [path]}}
    end
  end

  @doc """
  Writes each item to standard output for `-`, or else to a new file, which appears once all of it is on disk.
  Returns the number of items.
  """
  @spec write(Enumerable.t(), Path.t(), overwrite? :: boolean() | nil) ::
          {:ok, non_neg_integer()} | io_error()
  def write(items, "-", _overwrite?) do
    encoding = take_bytes()

    try do
      with {:error, _closed} <- each(items, &IO.binwrite(:stdio, &1)),
           do: {:error, {:epipe, ["-"]}}
    after
      take_characters(encoding)
    end
  end

  def write(items, path, overwrite?) do
    if File.exists?(path) and not (overwrite? || false),
      do: {:error, {:eexist, [path]}},
      else: replace(items, path)
  end

  # Otherwise bytes would be taken for characters. Later output consists of characters again.
  defp take_bytes do
    encoding = Keyword.fetch!(:io.getopts(:standard_io), :encoding)
    :ok = :io.setopts(:standard_io, encoding: :latin1)
    encoding
  end

  defp take_characters(encoding), do: :io.setopts(:standard_io, encoding: encoding)

  defp read_line(encoding) do
    case IO.binread(:stdio, :line) do
      line when is_binary(line) -> {[line], encoding}
      :eof -> {:halt, encoding}
      {:error, reason} -> raise IO.StreamError, reason: reason
    end
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
