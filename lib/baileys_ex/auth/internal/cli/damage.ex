defmodule BaileysEx.Auth.CLI.Damage do
  @moduledoc false
  # Files and rows that cannot be read, for people and for scripts.

  alias BaileysEx.Auth.{CorruptFileError, CorruptRowError}

  @doc "Returns damaged files and rows as data."
  @spec files([CorruptFileError.t() | CorruptRowError.t()]) :: [map()]
  def files(files), do: Enum.map(files, &data/1)

  defp data(%CorruptFileError{} = file), do: Map.take(file, [:path, :member, :problem, :kind])

  defp data(%CorruptRowError{} = row),
    do: %{path: row_name(row), member: row.member, problem: row.problem, kind: :row}

  @doc "Describes a damaged file or row in one line."
  @spec file(CorruptFileError.t() | CorruptRowError.t()) :: String.t()
  def file(%{member: member, problem: problem} = damaged) do
    [name(damaged), member, problem] |> Enum.reject(&is_nil/1) |> Enum.join(": ")
  end

  defp name(%CorruptFileError{path: path}), do: Path.basename(path)
  defp name(%CorruptRowError{} = row), do: row_name(row)

  defp row_name(%CorruptRowError{type: nil}), do: "creds"
  defp row_name(%CorruptRowError{type: type, id: id}), do: "#{type}-#{id}"
end
