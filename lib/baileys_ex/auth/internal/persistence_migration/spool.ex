defmodule BaileysEx.Auth.PersistenceMigration.Spool do
  @moduledoc false
  # Keeps rows on disk until all have been seen: there may be a million, they come only once, and only all of
  # them together can be understood. The file has no name once it is open, so that nothing of it outlives this
  # process.

  @enforce_keys [:device]
  defstruct [:device, size: 0, unwritten: [], unwritten_size: 0]

  @type t() :: %__MODULE__{}
  @type offset() :: non_neg_integer()

  # The number of bytes that are collected before a write, and read at once.
  @chunk 1_048_576
  @header 4

  @spec new(Path.t()) :: {:ok, t()} | {:error, File.posix()}
  def new(directory) do
    name = ".baileys_ex_import-#{Base.encode16(:crypto.strong_rand_bytes(8), case: :lower)}"
    path = Path.join(directory, name)

    with {:ok, device} <- :file.open(path, [:read, :write, :exclusive, :raw, :binary]) do
      with :ok <- File.chmod(path, 0o600), :ok <- File.rm(path) do
        {:ok, %__MODULE__{device: device}}
      else
        error ->
          close(%__MODULE__{device: device})
          error
      end
    end
  end

  @doc "Adds a term, and returns its offset."
  @spec add(t(), term()) :: {:ok, t(), offset()} | {:error, File.posix()}
  def add(spool, term) do
    bytes = :erlang.term_to_binary(term)
    offset = spool.size
    length = byte_size(bytes) + @header

    spool = %{
      spool
      | size: offset + length,
        unwritten: [spool.unwritten, <<byte_size(bytes)::32>>, bytes],
        unwritten_size: spool.unwritten_size + length
    }

    if spool.unwritten_size < @chunk do
      {:ok, spool, offset}
    else
      with {:ok, spool} <- flush(spool), do: {:ok, spool, offset}
    end
  end

  @doc "Writes what was collected. Nothing can be read before it is written."
  @spec flush(t()) :: {:ok, t()} | {:error, File.posix()}
  def flush(spool) do
    with :ok <- :file.pwrite(spool.device, spool.size - spool.unwritten_size, spool.unwritten) do
      {:ok, %{spool | unwritten: [], unwritten_size: 0}}
    end
  end

  @doc "Returns the term at an offset."
  @spec fetch(t(), offset()) :: {:ok, term()} | {:error, File.posix()}
  def fetch(spool, offset) do
    with {:ok, term, _next} <- fetch_one(spool, offset), do: {:ok, term}
  end

  defp fetch_one(spool, offset) do
    with {:ok, <<length::32>>} <- read(spool, offset, @header),
         {:ok, bytes} <- read(spool, offset + @header, length) do
      {:ok, :erlang.binary_to_term(bytes), offset + @header + length}
    end
  end

  @doc "Returns up to `count` terms from an offset on, each with its own offset, and the offset of the next term."
  @spec take(t(), offset(), pos_integer()) ::
          {:ok, [{offset(), term()}], offset()} | {:error, File.posix()}
  def take(%{size: size}, size, _count), do: {:ok, [], size}

  def take(spool, offset, count) do
    with {:ok, bytes} <- read(spool, offset, min(@chunk, spool.size - offset)) do
      case split(bytes, offset, count, []) do
        # A term that is longer than a chunk.
        [] ->
          with {:ok, term, next} <- fetch_one(spool, offset), do: {:ok, [{offset, term}], next}

        [{_at, _term, next} | _rest] = taken ->
          {:ok, for({at, term, _next} <- Enum.reverse(taken), do: {at, term}), next}
      end
    end
  end

  defp split(<<length::32, bytes::binary-size(length), rest::binary>>, offset, count, taken)
       when count > 0 do
    next = offset + @header + length
    split(rest, next, count - 1, [{offset, :erlang.binary_to_term(bytes), next} | taken])
  end

  defp split(_rest, _offset, _count, taken), do: taken

  defp read(_spool, _offset, 0), do: {:ok, ""}

  defp read(spool, offset, length) do
    case :file.pread(spool.device, offset, length) do
      {:ok, bytes} when byte_size(bytes) == length -> {:ok, bytes}
      {:ok, _short} -> {:error, :eio}
      :eof -> {:error, :eio}
      error -> error
    end
  end

  @spec close(t()) :: :ok
  def close(spool) do
    _gone = :file.close(spool.device)
    :ok
  end
end
