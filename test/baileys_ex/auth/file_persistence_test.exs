defmodule BaileysEx.Auth.FilePersistenceTest do
  use BaileysEx.Auth.DirectoryContract,
    backend: BaileysEx.Auth.FilePersistence,
    extension: ".json",
    manifest: ".baileys_ex_file_persistence.json"
end
