defmodule BaileysEx.Auth.ImportTest do
  use ExUnit.Case, async: true

  import BaileysEx.Auth.TempDir

  alias BaileysEx.Auth.{
    CorruptFileError,
    DamagedRowsError,
    FilePersistence,
    Fixtures,
    NativeFilePersistence,
    PersistenceMigration
  }

  alias BaileysEx.Test.JSON

  @single_file %{
    "pre-key" => "preKeys",
    "session" => "sessions",
    "sender-key" => "senderKeys",
    "app-state-sync-key" => "appStateSyncKeys",
    "app-state-sync-version" => "appStateVersions",
    "sender-key-memory" => "senderKeyMemory"
  }

  setup :setup_temp_dir

  setup %{tmp: tmp} do
    source = Fixtures.copy!(:baileys, tmp)
    {:ok, native: Path.join(tmp, "native"), source: source, rows: rows(source)}
  end

  # Rows as a table has them: under the id that Baileys gave, in no particular order.
  defp rows(path) do
    {:ok, keys} = FilePersistence.list_keys(path)

    for {type, ids} <- Map.put(keys, :creds, [nil]), id <- ids do
      {type, id, File.read!(file(path, type, id))}
    end
    |> Enum.shuffle()
  end

  defp file(path, :creds, nil), do: Path.join(path, "creds.json")

  defp file(path, type, id) do
    stem = "#{type}-#{id}" |> String.replace("/", "__") |> String.replace(":", "-")
    Path.join(path, stem <> ".json")
  end

  defp named(rows, prefix \\ "", creds \\ "creds") do
    for {type, id, text} <- rows,
        do: {prefix <> if(id, do: "#{type}-#{id}", else: creds), text}
  end

  defp import!(rows, target, opts \\ []) do
    {:ok, summary} = PersistenceMigration.migrate(rows, {NativeFilePersistence, target}, opts)
    summary
  end

  defp loaded(path), do: Fixtures.load_all!(NativeFilePersistence, path)

  describe "rows" do
    test "become what their files load to, by name and by type and id", context do
      expected = Fixtures.load_all!(FilePersistence, context.source)

      forms = [
        context.rows,
        named(context.rows),
        named(context.rows, "ada:"),
        named(context.rows, "auth/session-", "auth_creds"),
        Stream.map(named(context.rows, "tenant_7-"), & &1),
        for({name, text} <- named(context.rows), do: {name, JSON.decode!(text)} |> parsed()),
        for({name, text} <- named(context.rows), do: {name, JSON.encode(text)}),
        for({name, text} <- named(context.rows), do: {name, JSON.encode(JSON.encode(text))})
      ]

      for {form, n} <- Enum.with_index(forms) do
        target = "#{context.native}#{n}"
        summary = import!(form, target)
        assert loaded(target) == expected
        assert summary.migrated_keys == map_size(expected) - 1
        assert summary.credentials?
        assert {summary.unknown, summary.skipped, summary.other_rows} == {[], [], 0}
        assert summary.bytes_read > 0
      end
    end

    defp parsed({name, text}) when is_binary(text), do: {name, {:parsed, text}}
    defp parsed(row), do: row

    test "become a directory that Baileys reads, in the form that its group keys had", context do
      target = Path.join(context.tmp, "json")

      assert {:ok, summary} =
               PersistenceMigration.migrate(context.rows, {FilePersistence, target})

      assert Fixtures.load_all!(FilePersistence, target) ==
               Fixtures.load_all!(FilePersistence, context.source)

      assert summary.sender_keys == :buffer
    end

    test "of another account are left out if the prefix is given", context do
      others = named(context.rows, "eve:")
      rows = Enum.shuffle(named(context.rows, "ada:") ++ others)

      assert {:error, {:prefix_needed, "the rows", ["ada:", "eve:"]}} =
               PersistenceMigration.migrate(rows, {NativeFilePersistence, context.native})

      refute File.exists?(context.native)
      summary = import!(rows, context.native, prefix: "ada:")
      assert summary.other_rows == length(others)
      assert loaded(context.native) == Fixtures.load_all!(FilePersistence, context.source)
    end

    test "of unknown types are named, and carried over on request", context do
      rows = [{"presence-1", "{\"a\":1}"} | named(context.rows)]
      assert import!(rows, context.native).unknown == ["presence-1"]

      summary = import!(rows, context.native <> "2", unknown: :carry)
      assert summary.unknown == []
      assert summary.families.unknown == 1
      assert File.exists?(Path.join(context.native <> "2", "presence-1.etf"))
    end

    test "that are null are keys that were deleted", context do
      rows = [{"pre-key-99999", "null"} | named(context.rows)]
      summary = import!(rows, context.native)
      assert summary.migrated_keys == length(context.rows) - 1

      assert NativeFilePersistence.load_keys(context.native, :"pre-key", "99999") ==
               {:error, :not_found}
    end

    test "hold LID mappings without quotes, as mysql-baileys keeps them", context do
      mappings = [
        {"lid-mapping-15550001111", "900000000000111"},
        {"lid-mapping-900000000000111_reverse", "15550001111"},
        {"lid-mapping-15550002222", ~s("900000000000222")},
        {"lid-mapping-15550003333", ~s("\\"900000000000333\\"")}
      ]

      import!(mappings ++ named(context.rows), context.native)

      for {"lid-mapping-" <> id, value} <- mappings do
        assert NativeFilePersistence.load_keys(context.native, :"lid-mapping", id) ==
                 {:ok, String.replace(value, ["\"", "\\"], "")}
      end
    end

    test "hold an identity key of Baileys 7 as postgres-baileys keeps it", context do
      key = <<5>> <> <<7::256>>

      indexed =
        for {byte, n} <- Enum.with_index(:binary.bin_to_list(key)), into: %{}, do: {"#{n}", byte}

      rows = [{"identity-key-15557770009.0", JSON.encode(indexed)} | named(context.rows)]
      import!(rows, context.native)

      assert NativeFilePersistence.load_keys(context.native, :"identity-key", "15557770009.0") ==
               {:ok, key}
    end

    test "under old names of devices get the current ones, unless those exist",
         context do
      [{id, text} | _] = for {:session, id, text} <- context.rows, do: {id, text}
      newer = String.replace(text, "\"registrationId\":", "\"registrationId\": ")

      rows =
        [
          {"session-15557770001:3.0", text},
          {"session-15557770002-4.0", text},
          {"session-15557770002.4", newer}
        ] ++ named(context.rows)

      summary = import!(rows, context.native)

      assert summary.renamed == [
               %{from: "session-15557770001:3.0", to: "session-15557770001.3"}
             ]

      assert summary.superseded == ["session-15557770002-4.0"]
      {:ok, expected} = NativeFilePersistence.load_keys(context.native, :session, id)

      for id <- ["15557770001.3", "15557770002.4"] do
        assert NativeFilePersistence.load_keys(context.native, :session, id) == {:ok, expected}
      end
    end

    test "may come twice with one content, and not with two", context do
      [{name, _text} | _rest] = rows = named(context.rows)
      import!(rows ++ rows, context.native)
      twice = rows ++ [{name, "{}"}]

      for opts <- [[], [on_corrupt: :skip]] do
        assert {:error, %DamagedRowsError{rows: [%CorruptFileError{path: ^name} = error]}} =
                 PersistenceMigration.migrate(
                   twice,
                   {NativeFilePersistence, context.native <> "2"},
                   opts
                 )

        assert error.problem =~ "twice"
      end

      refute File.exists?(context.native <> "2")
    end

    test "without credentials are refused, or carried over alone on request", context do
      rows = for {name, _text} = row <- named(context.rows), name != "creds", do: row
      target = {NativeFilePersistence, context.native}

      assert {:error, {:no_credentials, "ada"}} =
               PersistenceMigration.migrate(rows, target, source_name: "ada")

      refute import!(rows, context.native, credentials: :optional).credentials?

      assert {:error, {:not_an_auth_directory, "the rows"}} =
               PersistenceMigration.migrate([], target, overwrite?: true)

      assert {:error, {:not_an_auth_directory, "the rows"}} =
               PersistenceMigration.migrate([{"x", "1"}], target,
                 overwrite?: true,
                 credentials: :optional
               )
    end

    test "that cannot be read are reported all together, by name and without a value", context do
      secret = "a-secret-of-the-account"

      damaged = [
        {"ada:pre-key-1001", ~s({"public":"#{secret}"})},
        {"ada:session-15550009999.0", "{"},
        {"ada:sender-key-1@g.us::15550009999::0", ~s({"type":"Buffer","data":"#{secret}"})}
      ]

      rows = Enum.shuffle(damaged ++ named(context.rows, "ada:"))
      target = {NativeFilePersistence, context.native}
      assert {:error, %DamagedRowsError{} = error} = PersistenceMigration.migrate(rows, target)

      assert Enum.sort(Enum.map(error.rows, & &1.path)) ==
               Enum.sort(Enum.map(damaged, &elem(&1, 0)))

      refute Exception.message(error) =~ secret
      refute inspect(error) =~ secret
      refute File.exists?(context.native)

      summary = import!(rows, context.native, on_corrupt: :skip)
      assert length(summary.skipped) == 3
      assert loaded(context.native) == Fixtures.load_all!(FilePersistence, context.source)
    end

    test "with damaged credentials are refused, whatever may be skipped", context do
      rows =
        for {name, text} <- named(context.rows),
            do: {name, if(name == "creds", do: "{}", else: text)}

      assert {:error, %DamagedRowsError{rows: errors}} =
               PersistenceMigration.migrate(rows, {NativeFilePersistence, context.native},
                 on_corrupt: :skip
               )

      assert "creds" in Enum.map(errors, & &1.path)
      refute File.exists?(context.native)
    end

    test "leave a target as it was if they fail to arrive", context do
      import!(context.rows, context.native)
      before = loaded(context.native)

      rows =
        Stream.concat(
          named(context.rows),
          Stream.map([1], fn _ -> raise "the database is gone" end)
        )

      assert_raise RuntimeError, "the database is gone", fn ->
        PersistenceMigration.migrate(rows, {NativeFilePersistence, context.native},
          overwrite?: true
        )
      end

      assert loaded(context.native) == before
      assert File.ls!(context.tmp) |> Enum.sort() == ["baileys", "native"]

      assert {:error, {:target_already_contains_native_data, _}} =
               PersistenceMigration.migrate(context.rows, {NativeFilePersistence, context.native})
    end

    test "tell how far they are, to the end", context do
      test = self()
      import!(named(context.rows), context.native, on_progress: &send(test, {:progress, &1}))
      total = length(context.rows)
      assert_received {:progress, %{done: ^total, total: ^total}}
    end

    test "of another shape are an error of the caller that shows none of them", context do
      for rows <- [[1], [{"a", 1, 2, 3}], [{<<0xFF>>, "1"}], 7, [:a]] do
        error =
          assert_raise ArgumentError, fn ->
            PersistenceMigration.migrate(rows, {NativeFilePersistence, context.native})
          end

        assert Exception.message(error) =~ "{name, json}"
      end
    end
  end

  describe "a document" do
    test "under Baileys' names and those of its single file, in every way of keeping it",
         context do
      expected = Fixtures.load_all!(FilePersistence, context.source)
      parsed = document(context.rows, &JSON.decode!/1, & &1)
      single = document(context.rows, &JSON.decode!/1, &Map.get(@single_file, &1, &1))
      texts = document(context.rows, & &1, & &1)

      forms = [
        parsed,
        single,
        texts,
        JSON.encode(parsed),
        JSON.encode(single),
        JSON.encode(JSON.encode(texts)),
        "\uFEFF" <> JSON.encode(parsed),
        %{parsed | "keys" => JSON.encode(parsed["keys"]), "creds" => JSON.encode(parsed["creds"])}
      ]

      for {form, n} <- Enum.with_index(forms) do
        target = "#{context.native}#{n}"
        import!(form, target)
        assert loaded(target) == expected
      end
    end

    test "keeps members of the credentials that Baileys' own file does not have", context do
      more = %{
        "deviceId" => "x",
        "phoneId" => "y",
        "backupToken" => %{"type" => "Buffer", "data" => [1]}
      }

      document = document(context.rows, &JSON.decode!/1, & &1)
      import!(update_in(document["creds"], &Map.merge(&1, more)), context.native)
      {:ok, rows} = PersistenceMigration.export({NativeFilePersistence, context.native})
      [{"creds", text} | _] = Enum.to_list(rows)
      assert Map.take(JSON.decode!(text), Map.keys(more)) == more
    end

    defp document(rows, value, family) do
      keys =
        for {type, id, text} <- rows, id != nil, reduce: %{} do
          keys ->
            Map.update(
              keys,
              family.("#{type}"),
              %{id => value.(text)},
              &Map.put(&1, id, value.(text))
            )
        end

      [creds] = for {:creds, nil, text} <- rows, do: value.(text)
      %{"creds" => creds, "keys" => keys}
    end
  end
end
