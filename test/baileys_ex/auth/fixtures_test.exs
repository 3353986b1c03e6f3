defmodule BaileysEx.Auth.FixturesTest do
  use ExUnit.Case, async: true

  import BaileysEx.Auth.TempDir

  alias BaileysEx.Auth.{FilePersistence, Fixtures, NativeFilePersistence}

  setup :setup_temp_dir

  test "the four forms of one account load to equal terms", %{tmp: tmp} do
    terms_of = fn form ->
      form
      |> Fixtures.backend()
      |> Fixtures.load_all!(Fixtures.copy!(form, tmp))
      |> Fixtures.common()
    end

    native = terms_of.(:native)
    assert map_size(native) == 99
    assert terms_of.(:baileys) == native
    assert terms_of.(:explicit) == native

    assert Map.new(terms_of.(:legacy), &without_sender_timestamp/1) ==
             Map.new(native, &without_sender_timestamp/1)
  end

  test "what only Baileys' own form holds arrives too" do
    terms = Fixtures.load_all!(FilePersistence, Fixtures.path(:baileys))

    # In the form of the JSON: as text these bytes would not be written back as bytes.
    assert terms.creds.unknown_fields == %{
             "someFieldFromTheFuture" => %{
               "a" => 1,
               "raw" => %{"type" => "Buffer", "data" => "CQk="}
             }
           }

    assert terms[{:"app-state-sync-key", "AAAA/+Ab"}] |> Map.delete(:key_data) == %{
             fingerprint: %{raw_id: 77, current_index: 2, device_indexes: [0, 1, 2]},
             timestamp: 1_710_000_000_123
           }

    [session] = Map.values(terms[{:session, "15559990002.0"}].sessions)
    assert %{used: 1_795_181_519_687, created: 1_795_181_519_642} = session.index_info
  end

  for form <- [:baileys, :explicit, :legacy, :native] do
    test "load, save, load is the identity (#{form})", %{tmp: tmp} do
      backend = Fixtures.backend(unquote(form))
      terms = Fixtures.load_all!(backend, Fixtures.path(unquote(form)))

      for target <- [FilePersistence, NativeFilePersistence] do
        path = Path.join(tmp, inspect(target))
        save_all!(target, path, terms)
        assert same(target, Fixtures.load_all!(target, path), terms)
      end
    end

    test "saving in place keeps the names and the terms (#{form})", %{tmp: tmp} do
      backend = Fixtures.backend(unquote(form))
      path = Fixtures.copy!(unquote(form), tmp)
      names = path |> File.ls!() |> Enum.reject(&String.starts_with?(&1, ".")) |> Enum.sort()
      terms = Fixtures.load_all!(backend, path)
      save_all!(backend, path, terms)

      assert path |> File.ls!() |> Enum.reject(&String.starts_with?(&1, ".")) |> Enum.sort() ==
               names

      assert same(backend, Fixtures.load_all!(backend, path), terms)
    end
  end

  test "a directory of baileys_ex is opened, changed and saved, and keeps its names", %{tmp: tmp} do
    path = Fixtures.copy!(:native, tmp)
    before = path |> File.ls!() |> Enum.sort()
    {:ok, state} = NativeFilePersistence.load_credentials(path)
    :ok = NativeFilePersistence.save_credentials(path, %{state | platform: "iphone"})
    {:ok, key} = NativeFilePersistence.load_keys(path, :"pre-key", 1)
    :ok = NativeFilePersistence.delete_keys(path, :"pre-key", 1)
    :ok = NativeFilePersistence.save_keys(path, :"pre-key", 41, key)
    :ok = NativeFilePersistence.checkpoint(path)

    names =
      path
      |> File.ls!()
      |> Enum.reject(&String.ends_with?(&1, [".journal", ".lock"]))
      |> Enum.sort()

    assert names == Enum.sort((before -- ["pre-key-1.etf"]) ++ ["pre-key-41.etf"])
    assert {:ok, %{platform: "iphone"}} = NativeFilePersistence.load_credentials(path)
  end

  # The legacy directory was written before baileys_ex kept this member of a token.
  defp without_sender_timestamp({{:tctoken, _id} = key, token}) do
    {key, Map.delete(token, :sender_timestamp)}
  end

  defp without_sender_timestamp(entry), do: entry

  defp save_all!(backend, path, terms) do
    :ok = backend.save_credentials(path, terms.creds)
    for {{type, id}, term} <- terms, do: :ok = backend.save_keys(path, type, id, term)
  end

  # Sessions without times get the current time in JSON, because Baileys sorts by it.
  defp same(NativeFilePersistence, loaded, saved), do: loaded == saved

  defp same(FilePersistence, loaded, saved) do
    times? = Enum.all?(saved, fn {key, term} -> not session_without_times?(key, term) end)
    if times?, do: loaded == saved, else: Fixtures.common(loaded) == Fixtures.common(saved)
  end

  defp session_without_times?({:session, _id}, record) do
    Enum.any?(record.sessions, fn {_, session} -> not Map.has_key?(session.index_info, :used) end)
  end

  defp session_without_times?(_key, _term), do: false
end
