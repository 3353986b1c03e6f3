defmodule BaileysEx.Auth.JsonDirectoryTest do
  @moduledoc "Promises of JSON directories alone, because Node.js shares them."

  use ExUnit.Case, async: true

  import BaileysEx.Auth.TempDir

  alias BaileysEx.Auth.{FilePersistence, InvalidKeyError}

  setup :setup_temp_dir

  test "a snapshot shares no file with the directory, which Node writes in place", %{tmp: tmp} do
    [path, copy] = for name <- ["live", "copy"], do: Path.join(tmp, name)
    :ok = FilePersistence.save_keys(path, :"lid-mapping", "1", "2")
    :ok = FilePersistence.snapshot(path, copy)

    File.write!(Path.join(path, "lid-mapping-1.json"), ~s("3"))
    assert FilePersistence.load_keys(copy, :"lid-mapping", "1") == {:ok, "2"}
  end

  # baileys_ex first deletes the file, and then the entry that reserves its name.
  test "an id whose file is gone does not keep another from its name", %{tmp: tmp} do
    claim = ~s({"backend":"file_persistence","version":1,"key_index":{"device-list":["a/1"]}})
    File.write!(Path.join(tmp, ".baileys_ex_file_persistence.json"), claim)
    :ok = FilePersistence.save_keys(tmp, :"device-list", "a__1", ["0"])
    assert FilePersistence.load_keys(tmp, :"device-list", "a__1") == {:ok, ["0"]}
    assert FilePersistence.load_keys(tmp, :"device-list", "a/1") == {:error, :not_found}

    assert {:error, %InvalidKeyError{}} =
             FilePersistence.save_keys(tmp, :"device-list", "a/1", ["7"])
  end

  test "a journal of a later version is an error, and left alone", %{tmp: tmp} do
    journal = Path.join(tmp, ".baileys_ex.journal")
    bytes = <<0x89, "BXJRNL\n", 3::32-little, 0::192>>
    File.write!(journal, bytes)

    assert FilePersistence.load_keys(tmp, :"lid-mapping", "1") ==
             {:error, {:unsupported_journal_version, FilePersistence, 3}}

    assert File.read!(journal) == bytes
  end
end
