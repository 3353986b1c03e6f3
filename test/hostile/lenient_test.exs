defmodule BaileysEx.Hostile.LenientTest do
  # Every node of a file of each family is replaced by values of every type. Only members that cryptography
  # and identity need may make the file unreadable. Whatever is read can be saved again, by both backends.
  use ExUnit.Case, async: true

  import BaileysEx.Auth.TempDir

  alias BaileysEx.Auth.{FilePersistence, Fixtures, NativeFilePersistence}
  alias BaileysEx.Signal.SessionRecord
  alias BaileysEx.Test.JSON

  @values [nil, true, -1, 41, 1.5, "", "41", "text", [], [nil], %{}, %{"a" => 1}]

  # Where a wrong value may be refused: the member or one that contains it, by the names in the file.
  @strict %{
    "creds" => ~w(noiseKey signedIdentityKey signedPreKey pairingEphemeralKeyPair registrationId
                  advSecretKey nextPreKeyId firstUnuploadedPreKeyId signalIdentities me account
                  myAppStateKeyId),
    "session" => :all,
    "pre-key" => :all,
    "sender-key" => :all,
    "identity-key" => :all,
    "app-state-sync-key" => ["", "keyData"],
    "app-state-sync-version" => ["", "version", "hash", "indexValueMap"],
    "tctoken" => ["", "token"],
    "sender-key-memory" => [],
    "device-list" => [],
    "lid-mapping" => []
  }

  setup :setup_temp_dir

  for {family, strict} <- @strict do
    test "#{family}: only what must be right is refused, and what is read is saved again", %{
      tmp: tmp
    } do
      family = unquote(family)
      file = file(family)

      json =
        Path.join(Fixtures.path(:baileys), file)
        |> File.read!()
        |> JSON.decode!()
        |> inside(family)

      source = Path.join(tmp, "source")
      File.mkdir!(source)
      if family != "creds", do: File.cp!(creds(), Path.join(source, "creds.json"))
      places = {source, Path.join(tmp, "json"), Path.join(tmp, "native")}

      read =
        for path <- paths(json), value <- @values, reduce: 0 do
          read ->
            File.write!(Path.join(source, file), JSON.encode(replace(json, path, value)))
            context = "#{inspect(path)} is #{inspect(value)}"

            case load(FilePersistence, source, family, file) do
              {:ok, term} ->
                saved_again(places, family, file, term, context)
                read + 1

              # A file that holds null is a deleted key.
              {:error, :not_found} when path == [] and value == nil ->
                read

              {:error, _problem} ->
                assert strict?(unquote(Macro.escape(strict)), path), context
                read
            end
        end

      # A key pair contains nothing else.
      assert read > 5 or family == "pre-key"
    end
  end

  defp saved_again({_source, json, native}, family, file, term, context) do
    for {backend, place} <- [{FilePersistence, json}, {NativeFilePersistence, native}] do
      assert save(backend, place, family, file, term) == :ok, context
      assert {:ok, again} = load(backend, place, family, file)
      assert same(again) == same(term), context
    end
  end

  # Values with one form at run time that are accepted in another one: see `What comes back` of the codec.
  defp same(%SessionRecord{sessions: sessions}) do
    Map.new(sessions, fn {key, session} ->
      {key, update_in(session.index_info, &Map.drop(&1, [:used, :created]))}
    end)
  end

  defp same(bare) when is_binary(bare), do: %{key_data: bare}
  defp same(term), do: term

  defp load(backend, place, "creds", _file), do: backend.load_credentials(place)

  defp load(backend, place, family, file),
    do: backend.load_keys(place, type(family), id(family, file))

  defp save(backend, place, "creds", _file, term), do: backend.save_credentials(place, term)

  defp save(backend, place, family, file, term),
    do: backend.save_keys(place, type(family), id(family, file), term)

  # The list inside the Buffer has a form of its own.
  defp inside(%{"data" => data}, "sender-key"), do: data |> Base.decode64!() |> JSON.decode!()
  defp inside(json, _family), do: json

  defp type(family), do: String.to_atom(family)

  defp id(family, file) do
    {:ok, keys} = FilePersistence.list_keys(Fixtures.path(:baileys))
    stem = Path.basename(file, ".json")

    Enum.find(keys[type(family)], fn id ->
      family <> "-" <> (id |> String.replace("/", "__") |> String.replace(":", "-")) == stem
    end)
  end

  defp strict?(:all, _path), do: true
  # The root, which is no longer an object.
  defp strict?(names, []), do: "" in names or names != []
  defp strict?(names, [name | _rest]), do: name in names

  # Returns every node by its path, the root first; only the first few of long lists and maps.
  defp paths(json, path \\ [])

  defp paths(json, path) when is_map(json) do
    inner = for {name, value} <- Enum.take(json, 30), do: paths(value, path ++ [name])
    [path | Enum.concat(Enum.take(inner, if(length(path) > 1, do: 4, else: 30)))]
  end

  defp paths(json, path) when is_list(json) do
    inner =
      for {value, n} <- json |> Enum.take(2) |> Enum.with_index(), do: paths(value, path ++ [n])

    [path | Enum.concat(inner)]
  end

  defp paths(_leaf, path), do: [path]

  defp replace(_json, [], value), do: value

  defp replace(json, [n | rest], value) when is_list(json),
    do: List.update_at(json, n, &replace(&1, rest, value))

  defp replace(json, [name | rest], value), do: Map.update!(json, name, &replace(&1, rest, value))

  defp creds, do: Path.join(Fixtures.path(:baileys), "creds.json")

  defp file("creds"), do: "creds.json"

  defp file(family) do
    Fixtures.path(:baileys)
    |> File.ls!()
    |> Enum.sort()
    |> Enum.find(fn name ->
      String.starts_with?(name, family <> "-") and
        not (family == "sender-key" and String.starts_with?(name, "sender-key-memory-"))
    end)
  end
end
