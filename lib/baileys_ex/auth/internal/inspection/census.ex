defmodule BaileysEx.Auth.Inspection.Census do
  @moduledoc false
  # Surveys a directory by names and metadata alone: it opens and changes nothing.

  import Bitwise, only: [&&&: 2]

  alias BaileysEx.Auth.{Keys, Native}

  @type t() :: %{
          families: %{
            optional(:creds | atom() | String.t()) => %{
              files: pos_integer(),
              bytes: non_neg_integer()
            }
          },
          oldest: DateTime.t() | nil,
          newest: DateTime.t() | nil,
          unknown: [String.t()],
          leftovers: [String.t()],
          foreign: [String.t()],
          permissions: [%{name: String.t(), mode: non_neg_integer()}],
          owners: [%{name: String.t(), uid: non_neg_integer()}]
        }

  @journal ".baileys_ex.journal"

  # Names per call of the NIF, which runs on a normal scheduler.
  @names 256

  @doc "Returns the names in a directory, as bytes, sorted."
  @spec names(Path.t()) :: {:ok, [binary()]} | {:error, File.posix()}
  def names(path) do
    with {:ok, names} <- :file.list_dir_all(path) do
      {:ok, names |> Enum.map(&bytes/1) |> Enum.sort()}
    end
  end

  @doc "Returns what each name is in a directory of this format; see `Native.layout_kinds/2`."
  @spec kinds([binary()], :json | :etf) :: [term()]
  def kinds(names, format) do
    names |> Enum.chunk_every(@names) |> Enum.flat_map(&Native.layout_kinds(&1, format))
  end

  @doc """
  When the changes without a file were written, in seconds since 1970, according to the journal or else the directory.
  """
  @spec held_since(Path.t()) :: integer() | nil
  def held_since(path) do
    Enum.find_value([Path.join(path, @journal), path], fn path ->
      with {:ok, {_type, _size, mtime, _mode, _uid}} <- info(path), do: mtime, else: (_ -> nil)
    end)
  end

  @spec take(Path.t(), [binary()], :json | :etf) :: {:ok, t()} | {:error, File.posix()}
  def take(path, names, format) do
    with {:ok, info} <- info(path) do
      census = %{
        families: %{},
        oldest: nil,
        newest: nil,
        unknown: [],
        leftovers: [],
        foreign: [],
        permissions: wide(".", info),
        owners: []
      }

      all = MapSet.new(names)

      {_type, _size, _mtime, _mode, uid} = info

      census =
        names
        |> Enum.zip(Enum.map(kinds(names, format), &settled(&1, all)))
        |> Enum.reduce(census, fn {name, kind}, census ->
          look(census, path, name, kind, uid)
        end)

      {:ok, finish(census)}
    end
  end

  # A key under an old name counts only if the key does not exist under its current name.
  defp settled({:old_key, family, id, current}, names) do
    if current in names, do: :leftover, else: {:key, family, id}
  end

  defp settled(kind, _names), do: kind

  defp look(census, path, name, kind, uid) do
    case info(path <> "/" <> name) do
      {:ok, info} -> census |> another_s(name, info, uid) |> count(name, kind, info)
      # Replaced or deleted in the meantime: the directory may be in use.
      {:error, _posix} -> census
    end
  end

  defp count(census, name, kind, info) do
    census = %{census | permissions: wide(name, info) ++ census.permissions}

    case kind do
      :creds -> add(census, :creds, info)
      {:key, family, _id} -> add(census, Keys.type(family), info)
      :unknown -> add(%{census | unknown: [name | census.unknown]}, :unknown, info)
      :own -> census
      :leftover -> %{census | leftovers: [name | census.leftovers]}
      :foreign -> %{census | foreign: [name | census.foreign]}
    end
  end

  # For example, the user's application cannot read what root has created in the user's directory.
  defp another_s(census, name, {_type, _size, _mtime, _mode, uid}, of_directory) do
    if uid == of_directory,
      do: census,
      else: %{census | owners: [%{name: text(name), uid: uid} | census.owners]}
  end

  defp add(census, family, {_type, size, mtime, _mode, _uid}) do
    one = %{files: 1, bytes: size}
    more = fn %{files: files, bytes: bytes} -> %{files: files + 1, bytes: bytes + size} end

    %{
      census
      | families: Map.update(census.families, family, one, more),
        oldest: min(census.oldest || mtime, mtime),
        newest: max(census.newest || mtime, mtime)
    }
  end

  # A symbolic link has no permissions of its own. In the place of a key it is reported as damage.
  defp wide(name, {type, _size, _mtime, mode, _uid}) when type in [:regular, :directory] do
    if (mode &&& 0o077) == 0, do: [], else: [%{name: text(name), mode: mode}]
  end

  defp wide(_name, _info), do: []

  defp finish(census) do
    %{
      census
      | oldest: time(census.oldest),
        newest: time(census.newest),
        unknown: census.unknown |> Enum.reverse() |> Enum.map(&text/1),
        leftovers: census.leftovers |> Enum.reverse() |> Enum.map(&text/1),
        foreign: census.foreign |> Enum.reverse() |> Enum.map(&text/1),
        permissions: Enum.reverse(census.permissions),
        owners: Enum.reverse(census.owners)
    }
  end

  defp info(path) do
    with {:ok, info} <- :file.read_link_info(path, [:raw, time: :posix]) do
      {:file_info, size, type, _access, _atime, mtime, _ctime, mode, _, _, _, _, uid, _} = info
      {:ok, {type, size, mtime, mode &&& 0o7777, uid}}
    end
  end

  defp time(nil), do: nil
  defp time(seconds), do: DateTime.from_unix!(seconds)

  # File names are bytes, but the VM returns characters if it takes them for text.
  defp bytes(name) when is_binary(name), do: name

  defp bytes(name) do
    case :file.native_name_encoding() do
      :latin1 -> :erlang.list_to_binary(name)
      :utf8 -> :unicode.characters_to_binary(name)
    end
  end

  defp text(name) do
    if String.valid?(name), do: name, else: :unicode.characters_to_binary(name, :latin1)
  end
end
