defmodule BaileysEx.Test.Damage do
  @moduledoc false
  # What is reported about a damaged directory.

  import ExUnit.Assertions

  alias BaileysEx.Auth.{
    CorruptFileError,
    DamagedDirectoryError,
    FilePersistence,
    NativeFilePersistence,
    PersistenceMigration
  }

  @doc """
  Returns what `verify` reports as damaged: the names of the files, each with a reason. Checks that a
  migration reports the same, and leaves nothing behind.
  """
  @spec told(module(), Path.t()) :: [String.t()]
  def told(backend, path) do
    assert {:error, %DamagedDirectoryError{path: ^path, files: files} = error} =
             backend.verify(path)

    for file <- files do
      assert %CorruptFileError{problem: problem} = file
      assert is_binary(problem) and problem != ""
      assert Path.dirname(file.path) == path
    end

    assert Exception.message(error) =~ ~r/: #{length(files)} files? cannot be read:/

    target = path <> "-target"
    assert {:error, %DamagedDirectoryError{files: same}} = migrate(backend, path, target)
    assert Enum.sort(same) == Enum.sort(files)
    refute File.exists?(target)

    files |> Enum.map(&Path.basename(&1.path)) |> Enum.sort()
  end

  @doc "Migrates to the other form."
  @spec migrate(module(), Path.t(), Path.t(), keyword()) :: {:ok, map()} | {:error, term()}
  def migrate(backend, path, target, opts \\ [])

  def migrate(FilePersistence, path, target, opts),
    do: PersistenceMigration.migrate_compat_json_to_native(path, target, opts)

  def migrate(NativeFilePersistence, path, target, opts),
    do: PersistenceMigration.migrate_native_to_compat_json(path, target, opts)
end
