defmodule BaileysEx.Auth do
  @moduledoc """
  Keeps the auth state of WhatsApp accounts: credentials and Signal keys. This module has no functions; this
  page is an overview of the library.

  Where to keep an account:

    * `BaileysEx.Auth.NativeFilePersistence`: a directory of Erlang terms with crash-safe commits, recommended
    * `BaileysEx.Auth.FilePersistence`: the JSON directory of Baileys, which Node.js reads too
    * `BaileysEx.Auth.PostgresPersistence`: rows in PostgreSQL, for accounts that several machines run
    * `BaileysEx.Auth.Persistence`: the behaviour of all three, and of a backend of your own
    * `BaileysEx.Auth.PersistenceMigration`: moves an account from one of them to another, whole or not
      at all

  What a client works with:

    * `BaileysEx.Auth.State`: the credentials; `BaileysEx.Auth.State.new/0` is a fresh identity
    * `BaileysEx.Auth.KeyStore`: Signal keys, with a cache, transactions and one owner, over any backend
    * `BaileysEx.Auth.Accounts`: a supervisor for the stores of many accounts
    * `BaileysEx.Signal.Store`: the behaviour of key stores; `BaileysEx.Signal.Store.Memory` needs no disk

  For operations:

    * `BaileysEx.Auth.Inspection`, `BaileysEx.Auth.Verification`: report what an account holds and what is
      damaged
    * `BaileysEx.Auth.Repair`: repairs damage
    * `BaileysEx.Auth.Restore`: restores a snapshot
    * `BaileysEx.Auth.Telemetry`: the events that the library emits
    * `mix help --search baileys.auth`: the Mix tasks, which `BaileysEx.Auth.CLI` runs in a release

  To get started:

      {:ok, auth} = BaileysEx.Auth.NativeFilePersistence.use_native_file_auth_state("auth")
      BaileysEx.Auth.State.me_id(auth.state)
  """
end
