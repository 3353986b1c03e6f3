defmodule BaileysEx.Auth.DoctestsTest do
  # The examples name directories under the current one, which the whole VM shares.
  use ExUnit.Case, async: false

  import BaileysEx.Auth.TempDir

  alias BaileysEx.Auth.{
    Accounts,
    BaileysJSON,
    CorruptFileError,
    DatabaseError,
    FilePersistence,
    Inspection,
    KeyStore,
    Lock,
    NativeFilePersistence,
    Owner,
    PersistenceMigration,
    Repair,
    Restore,
    Telemetry
  }

  # Processes that examples start; they end a moment after the example.
  @names [MyApp.Accounts, MyApp.Keys]

  setup [:setup_temp_dir, :enter_temp_dir]

  doctest Accounts
  doctest BaileysJSON
  doctest CorruptFileError
  doctest BaileysEx.Auth.Postgres.Schema
  doctest DatabaseError
  doctest FilePersistence
  doctest Inspection
  doctest KeyStore
  doctest Lock
  doctest NativeFilePersistence
  doctest Owner
  doctest PersistenceMigration
  doctest Repair
  doctest Restore
  doctest Telemetry

  defp enter_temp_dir(%{tmp: tmp}) do
    before = File.cwd!()
    File.cd!(tmp)

    on_exit(fn ->
      # A store releases its claim after the example has ended, under the path that it was given.
      stopped(200)
      File.cd!(before)
    end)
  end

  defp stopped(tries) do
    if tries > 0 and (KeyStore.running() != [] or Enum.any?(@names, &Process.whereis/1)) do
      Process.sleep(10)
      stopped(tries - 1)
    end
  end
end
