defmodule BaileysEx.Auth.FilePersistenceTest do
  use BaileysEx.Auth.PersistenceContract,
    backend: BaileysEx.Auth.FilePersistence,
    extension: ".json",
    manifest: ".baileys_ex_file_persistence.json"
end
