defmodule BaileysEx.Hostile.JsonTest do
  # JSON files that Baileys would not write: each is refused, or read as Node.js reads it, and the VM
  # survives.
  use ExUnit.Case, async: true

  import BaileysEx.Auth.TempDir

  alias BaileysEx.Auth.{
    CorruptFileError,
    DamagedDirectoryError,
    DamagedRowsError,
    FilePersistence,
    NativeFilePersistence,
    PersistenceMigration,
    State
  }

  @families ~w(session pre-key sender-key sender-key-memory app-state-sync-key
               app-state-sync-version lid-mapping device-list tctoken identity-key)a
  @manifest ".baileys_ex_file_persistence.json"
  @many 1_000_000

  setup :setup_temp_dir

  setup %{tmp: tmp} do
    path = Path.join(tmp, "auth")
    :ok = FilePersistence.save_credentials(path, State.new())
    {:ok, path: path}
  end

  # Text that is not JSON, or JSON that is useless.
  defp broken do
    [
      {"nothing", ""},
      {"a space", " "},
      {"a NUL", <<0>>},
      {"a page of NULs", :binary.copy(<<0>>, 4096)},
      {"two values", "{}{}"},
      {"a trailing comma", ~s({"a":1,})},
      {"a comment", "// no\n{}"},
      {"single quotes", "{'private':'x'}"},
      {"NaN", "NaN"},
      {"Infinity", ~s({"a":-Infinity})},
      {"hexadecimal", "0x10"},
      {"UTF-16", :unicode.characters_to_binary(~s({"a":1}), :utf8, {:utf16, :little})},
      {"bytes that are no text", ~s({"a":") <> <<0xFF, 0xFE, 0xC3, 0x28>> <> ~s("})},
      {"an encoded surrogate", ~s({"a":") <> <<0xED, 0xA0, 0x80>> <> ~s("})},
      {"half of an escape", ~S({"a":"\ud80"})},
      {"half an escape", ~S({"a":"\u12)},
      {"a raw line break", "{\"a\":\"\n\"}"},
      {"a number beyond floats", ~s({"version":1e999999})},
      {"a number of a million digits", "1" <> String.duplicate("0", @many)},
      {"a million open lists", String.duplicate("[", @many)},
      {"a million lists", String.duplicate("[", @many) <> String.duplicate("]", @many)},
      {"a million open objects", String.duplicate(~s({"a":), @many)},
      {"nested Buffers", nested(~s({"type":"Buffer","data":), "1", "}")},
      {"nested sessions", nested(~s({"_sessions":{"a":), "1", "}}")},
      {"nested legacy terms", nested(~s({"__type__":"tuple","items":[), "1", "]}")},
      {"ETF", :erlang.term_to_binary(%{"a" => 1})}
    ]
  end

  # JSON that fits no family.
  defp misplaced do
    [
      {"a million zeros", "[" <> String.duplicate("0,", @many) <> "0]"},
      {"a million empty lists", "[" <> String.duplicate("[],", @many) <> "[]]"},
      {"bytes beyond 255", ~s({"type":"Buffer","data":[1,256,-1]})},
      {"fractions of bytes", ~s({"type":"Buffer","data":[1.5]})},
      {"indexes beyond 32 bits", ~s({"4294967296":1,"99999999999999999999":2})},
      {"a Long of texts", ~s({"low":"x","high":"y","unsigned":true})},
      {"an unknown struct",
       ~s({"__type__":"struct","module":"Elixir.HostileModule","value":{"__type__":"map","entries":[]}})},
      {"a struct of this VM",
       ~s({"__type__":"struct","module":"Elixir.URI","value":{"__type__":"map","entries":[]}})},
      {"an unknown atom", ~s({"__type__":"atom","value":"hostile_json_atom"})},
      {"atom keys", ~s({"__atom_keys__":["hostile_json_key"],"hostile_json_key":1})},
      {"a tuple of itself", ~s({"__type__":"tuple","items":{"__type__":"tuple"}})},
      {"an unknown tag", ~s({"__type__":"function","value":"halt"})}
    ]
  end

  defp nested(open, leaf, close) do
    String.duplicate(open, 100_000) <> leaf <> String.duplicate(close, 100_000)
  end

  test "a broken file of any family is refused and stays as it is", %{path: path} do
    for {what, text} <- broken(), family <- families_for(text) do
      file = Path.join(path, "#{family}-1.json")
      File.write!(file, text)

      assert {:error, %CorruptFileError{path: ^file} = error} =
               FilePersistence.load_keys(path, family, "1"),
             "#{family}: #{what}"

      # The problem is described in our own words.
      assert String.length(Exception.message(error)) < 400
      assert File.read!(file) == text
      File.rm!(file)
    end
  end

  test "JSON of another shape is refused by every family that has one", %{path: path} do
    # An identity key may be a map with any names, and every member of a token may be missing. Values that
    # cryptography does not need are carried over as found.
    lenient = [:"identity-key", :tctoken, :"sender-key-memory", :"lid-mapping", :"device-list"]

    for {what, text} <- misplaced(), family <- families_for(text) -- lenient do
      File.write!(Path.join(path, "#{family}-1.json"), text)

      assert {:error, %CorruptFileError{}} = FilePersistence.load_keys(path, family, "1"),
             "#{family}: #{what}"

      File.rm!(Path.join(path, "#{family}-1.json"))
    end

    for name <- ["hostile_json_atom", "hostile_json_key", "Elixir.HostileModule"] do
      assert_raise ArgumentError, fn -> String.to_existing_atom(name) end
    end
  end

  test "a broken row of any family is refused with all others, and nothing is imported",
       %{path: path, tmp: tmp} do
    {:ok, exported} = PersistenceMigration.export({FilePersistence, path})
    [{"creds", creds}] = Enum.to_list(exported)

    # The text of a LID mapping may lack its quotes.
    rows =
      for {{what, text}, n} <- Enum.with_index(broken()),
          family <- families_for(text) -- [:"lid-mapping"],
          do: {what, {"ada:#{family}-#{n}", text}}

    given = for {_what, row} <- Enum.shuffle([{"creds", {"ada:creds", creds}} | rows]), do: row
    target = Path.join(tmp, "native")

    assert {:error, %DamagedRowsError{rows: damaged} = error} =
             PersistenceMigration.migrate(given, {NativeFilePersistence, target})

    assert MapSet.new(damaged, & &1.path) ==
             MapSet.new(rows, fn {_what, {name, _text}} -> name end)

    assert String.length(Exception.message(error)) < 10 * 400
    refute File.exists?(target)

    assert {:error, _} =
             PersistenceMigration.migrate(
               Enum.map_join(given, "\n", &elem(&1, 1)),
               {NativeFilePersistence, target}
             )
  end

  # Ten documents of up to a hundred megabytes, on a machine that may have other work.
  @tag timeout: 300_000
  test "a hostile line, document or name is refused, and the VM lives", %{tmp: tmp} do
    target = {NativeFilePersistence, Path.join(tmp, "native")}

    for {what, text} <- broken() ++ misplaced() do
      assert {:error, _} = PersistenceMigration.migrate(text, target), what

      assert {:error, _} = PersistenceMigration.migrate(~s({"creds":#{text},"keys":{}}), target),
             what

      assert {:error, _} =
               PersistenceMigration.migrate(%{"keys" => text, "creds" => text}, target),
             what

      assert {:error, _} = PersistenceMigration.migrate([{"creds", text}], target), what

      assert {:error, _} = PersistenceMigration.migrate(%{"keys" => %{text => text}}, target),
             what
    end

    names = [
      "",
      "-",
      "creds-",
      "pre-key-",
      "a\0b",
      String.duplicate("x:", 100_000) <> "pre-key-1"
    ]

    rows = for name <- names, do: {name, "{}"}
    assert {:error, _} = PersistenceMigration.migrate(rows, target)
    refute File.exists?(elem(target, 1))
  end

  test "hostile credentials are an error and never a fresh identity", %{path: path} do
    file = Path.join(path, "creds.json")

    for {what, text} <- broken() ++ misplaced() do
      File.write!(file, text)

      assert {:error, %CorruptFileError{path: ^file}} = FilePersistence.load_credentials(path),
             what

      assert {:error, _} = FilePersistence.use_multi_file_auth_state(path)
      assert File.read!(file) == text
    end
  end

  test "a hostile manifest stops everything and touches nothing", %{path: path, tmp: tmp} do
    manifests =
      (broken() ++ misplaced()) ++
        for {what, index} <- [
              {"a million ids that no file can have",
               ~s({"session":["#{"x" <> String.duplicate("y", 300)}"]})},
              {"ids that are numbers", ~s({"session":[1]})},
              {"families that are numbers", ~s({"session":1})},
              {"ids with NUL", ~S({"session":["a\u0000"]})}
            ] do
          {what, ~s({"backend":"file_persistence","version":1,"key_index":#{index}})}
        end

    for {{what, text}, number} <- Enum.with_index(manifests) do
      copy = Path.join(tmp, "copy#{number}")
      File.cp_r!(path, copy)
      File.write!(Path.join(copy, @manifest), text)

      for refused <- [
            FilePersistence.load_credentials(copy),
            FilePersistence.load_keys(copy, :session, "a:b"),
            FilePersistence.list_keys(copy),
            FilePersistence.save_keys(copy, :"lid-mapping", "1", "2"),
            FilePersistence.verify(copy)
          ] do
        assert {:error, {:invalid_persistence_metadata, FilePersistence, reason}} = refused, what
        assert String.length(reason) < 200
      end

      assert File.read!(Path.join(copy, @manifest)) == text
      refute File.exists?(Path.join(copy, "lid-mapping-1.json"))
      File.rm_rf!(copy)
    end
  end

  test "verify reports all of them at once", %{path: path} do
    for {{_what, text}, number} <- Enum.with_index(broken()) do
      File.write!(Path.join(path, "device-list-#{number}.json"), text)
    end

    assert {:error, %DamagedDirectoryError{files: files}} = FilePersistence.verify(path)
    assert length(files) == length(broken())
  end

  test "of members of one name the last counts, as in JavaScript", %{path: path} do
    File.write!(Path.join(path, "sender-key-memory-1.json"), ~s({"a":true,"b":true,"a":false}))

    assert {:ok, %{"a" => false, "b" => true}} ==
             FilePersistence.load_keys(path, :"sender-key-memory", "1")
  end

  test "text may hold a NUL, any script and what JSON need not escape", %{path: path} do
    text = "\0 \u2028 \u{1F98A} \"\\/ \x7F"
    :ok = FilePersistence.save_keys(path, :"lid-mapping", "1", text)
    assert {:ok, ^text} = FilePersistence.load_keys(path, :"lid-mapping", "1")
    File.write!(Path.join(path, "lid-mapping-2.json"), ~S("\u0000\ud83e\udd8a"))
    assert {:ok, "\0\u{1F98A}"} = FilePersistence.load_keys(path, :"lid-mapping", "2")
  end

  test "a term that JSON cannot hold is refused before it is written", %{path: path} do
    before = File.ls!(path)
    deep = Enum.reduce(1..5_000, [], fn _, inner -> [inner] end)

    for term <- [self(), make_ref(), fn -> :ok end, {:a}, :atom, <<1::3>>, deep, [1 | 2]],
        family <- [:session, :"pre-key", :"device-list", :"family-to-come"],
        wrapped <- [term, %{"a" => term}, [[term]]] do
      assert {:error, %BaileysEx.Auth.InvalidTermError{}} =
               FilePersistence.save_keys(path, family, "1", wrapped)
    end

    assert File.ls!(path) == before
  end

  # Long texts are tried with two families only: the text makes them slow, whatever the family.
  defp families_for(text) when byte_size(text) > 10_000, do: [:session, :"device-list"]
  defp families_for(_text), do: @families
end
