defmodule BaileysEx.Auth.NativeFilePersistenceTest do
  use BaileysEx.Auth.PersistenceContract,
    backend: BaileysEx.Auth.NativeFilePersistence,
    extension: ".etf",
    manifest: ".baileys_ex_native_file_persistence.etf"
end
