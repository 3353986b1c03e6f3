defmodule BaileysEx.Auth.ExportTest do
  use ExUnit.Case, async: true

  import BaileysEx.Auth.TempDir

  alias BaileysEx.Auth.{FilePersistence, Fixtures, NativeFilePersistence, PersistenceMigration}
  alias BaileysEx.Test.{JSON, Property}

  setup :setup_temp_dir

  setup %{tmp: tmp} do
    {:ok, native: Path.join(tmp, "native"), source: Fixtures.copy!(:baileys, tmp)}
  end

  for form <- Fixtures.forms() do
    test "an export of the fixture #{form} imports to the same account", %{tmp: tmp} do
      backend = Fixtures.backend(unquote(form))
      path = Path.join(tmp, "of-#{unquote(form)}")
      File.cp_r!(Fixtures.path(unquote(form)), path)

      for {prefix, creds} <- [{"", "creds"}, {"ada:", "auth_creds"}] do
        {:ok, rows} =
          PersistenceMigration.export({backend, path}, prefix: prefix, creds_name: creds)

        target = Path.join(tmp, "native-#{byte_size(prefix)}")
        import!(rows, target)

        assert Fixtures.common(loaded(target)) ==
                 Fixtures.common(Fixtures.load_all!(backend, path))
      end
    end
  end

  test "an export gives group keys the form that is asked for", context do
    {:ok, rows} =
      PersistenceMigration.export({FilePersistence, context.source}, sender_keys: :array)

    texts = for {"sender-key-1" <> _, text} <- rows, do: text
    assert texts != []
    for text <- texts, do: assert(is_list(JSON.decode!(text)))
    target = {NativeFilePersistence, context.native}
    assert {:ok, %{sender_keys: :array}} = PersistenceMigration.migrate(rows, target)
  end

  test "an export reports damage before the first row", context do
    whole = context.source |> Path.join("*.json") |> Path.wildcard()
    File.write!(Path.join(context.source, "pre-key-77.json"), "{")

    assert {:error, %{files: [_]}} =
             PersistenceMigration.export({FilePersistence, context.source})

    {:ok, rows} =
      PersistenceMigration.export({FilePersistence, context.source}, on_corrupt: :skip)

    assert Enum.count(rows) == length(whole)
    assert {:error, _} = PersistenceMigration.export({FilePersistence, context.tmp <> "/none"})
  end

  test "an export raises where the account is damaged while it runs, and gives its locks back",
       context do
    {:ok, rows} = PersistenceMigration.export({FilePersistence, context.source})
    File.write!(Path.join(context.source, "pre-key-77.json"), "{")
    assert_raise BaileysEx.Auth.DamagedDirectoryError, fn -> Enum.to_list(rows) end
    assert :ok = FilePersistence.save_keys(context.source, :"lid-mapping", "1", "2")
  end

  test "an export that is read half-way only ends, and gives its locks back", context do
    {:ok, rows} = PersistenceMigration.export({FilePersistence, context.source})
    assert [{"creds", _}] = Enum.take(rows, 1)
    assert :ok = FilePersistence.save_keys(context.source, :"lid-mapping", "1", "2")
    refute_receive _any, 10
  end

  test "what is exported imports to the same keys, for any ids and order (property)", %{tmp: tmp} do
    Property.for_seeds(1..30, fn seed ->
      path = Path.join(tmp, "made-#{seed}")
      :ok = NativeFilePersistence.save_credentials(path, BaileysEx.Auth.State.new())

      changes =
        for _ <- 1..Enum.random(1..40), reduce: %{} do
          changes ->
            # No two of the ids may share a file name.
            id =
              Enum.map_join(1..Enum.random(1..12), fn _ ->
                <<Property.one_of(~c"a1:/.@é ")::utf8>>
              end)

            Map.put(changes, id, Base.encode16(Property.bytes(4)))
        end

      :ok = NativeFilePersistence.commit_keys(path, %{"lid-mapping": changes})
      prefix = Property.one_of(["", "ada:", "session-7:", "pre-key-", "é/"])
      {:ok, rows} = PersistenceMigration.export({NativeFilePersistence, path}, prefix: prefix)
      rows = Enum.shuffle(rows)
      import!(rows, path <> "-again")
      assert loaded(path <> "-again") == loaded(path)
    end)
  end

  defp import!(rows, target) do
    {:ok, summary} = PersistenceMigration.migrate(rows, {NativeFilePersistence, target})
    summary
  end

  defp loaded(path), do: Fixtures.load_all!(NativeFilePersistence, path)
end
