defmodule BaileysEx.Auth.PendingAcrossFormsTest do
  @moduledoc """
  Messages that Baileys had not read yet can be read after any sequence of migrations: this is the purpose of
  a migration.
  """

  use ExUnit.Case, async: true

  import BaileysEx.Auth.TempDir

  alias BaileysEx.Auth.{FilePersistence, Fixtures, NativeFilePersistence, PersistenceMigration}
  alias BaileysEx.Test.PendingMessages

  setup :setup_temp_dir

  for form <- [:baileys, :explicit, :legacy, :native] do
    test "every message is read with the #{form} directory", %{tmp: tmp} do
      assert_all_read(Fixtures.backend(unquote(form)), Fixtures.copy!(unquote(form), tmp))
    end

    test "every message is read after the #{form} directory went to the other backend and back",
         %{tmp: tmp} do
      source = Fixtures.copy!(unquote(form), tmp)
      there = Path.join(tmp, "there")
      back = Path.join(tmp, "back")

      case Fixtures.backend(unquote(form)) do
        FilePersistence ->
          {:ok, _} = PersistenceMigration.migrate_compat_json_to_native(source, there)
          {:ok, _} = PersistenceMigration.migrate_native_to_compat_json(there, back)
          assert_all_read(NativeFilePersistence, there)
          assert_all_read(FilePersistence, back)

        NativeFilePersistence ->
          {:ok, _} = PersistenceMigration.migrate_native_to_compat_json(source, there)
          {:ok, _} = PersistenceMigration.migrate_compat_json_to_native(there, back)
          assert_all_read(FilePersistence, there)
          assert_all_read(NativeFilePersistence, back)
      end
    end
  end

  defp assert_all_read(backend, path) do
    loader = fn type, id ->
      {:ok, record} = backend.load_keys(path, type, id)
      record
    end

    assert PendingMessages.unread(PendingMessages.direct(), loader) == []
    assert PendingMessages.unread(PendingMessages.group(), loader) == []
  end
end
