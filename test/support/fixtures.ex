defmodule BaileysEx.Auth.Fixtures do
  @moduledoc """
  One account in four on-disk forms, copied for tests that write.

  The four forms load to equal terms, except for values that only the directory of the real Baileys contains.
  """

  alias BaileysEx.Auth.{FilePersistence, NativeFilePersistence}

  @root Path.expand("../fixtures", __DIR__)

  @forms %{
    baileys: {FilePersistence, "baileys-7.0.0-rc14"},
    explicit: {FilePersistence, "baileys_ex-json"},
    legacy: {FilePersistence, "baileys_ex-legacy"},
    native: {NativeFilePersistence, "baileys_ex-native"}
  }

  def forms, do: Map.keys(@forms)

  def backend(form), do: @forms |> Map.fetch!(form) |> elem(0)

  @doc "Returns the path of the fixture itself, which must never be written."
  def path(form), do: Path.join(@root, @forms |> Map.fetch!(form) |> elem(1))

  @doc "Copies a fixture to a path under `directory`."
  def copy!(form, directory) do
    target = Path.join(directory, "#{form}")
    File.cp_r!(path(form), target)
    target
  end

  @doc "Returns the credentials and every key of a directory, as `%{:creds => state, {type, id} => term}`."
  def load_all!(backend, path) do
    {:ok, creds} = backend.load_credentials(path)
    {:ok, keys} = backend.list_keys(path)

    for {type, ids} <- keys, id <- ids, into: %{creds: creds} do
      {:ok, term} = backend.load_keys(path, type, id)
      {{type, id}, term}
    end
  end

  @doc "Returns every file of a directory by name, as it is on disk."
  def files!(path) do
    for name <- File.ls!(path), into: %{}, do: {name, File.read!(Path.join(path, name))}
  end

  @doc """
  Returns the terms of the Baileys form without the values that the other forms cannot hold: `used` and
  `created` of sessions, `fingerprint` and `timestamp` of app-state keys, and unknown members of the
  credentials.
  """
  def common(terms) do
    Map.new(terms, fn
      {:creds, state} -> {:creds, %{state | unknown_fields: %{}}}
      {{:session, _id} = key, record} -> {key, common_session(record)}
      {{:"app-state-sync-key", _id} = key, term} -> {key, Map.take(term, [:key_data])}
      other -> other
    end)
  end

  defp common_session(record) do
    sessions =
      Map.new(record.sessions, fn {base_key, session} ->
        {base_key, %{session | index_info: Map.drop(session.index_info, [:used, :created])}}
      end)

    %{record | sessions: sessions}
  end
end
