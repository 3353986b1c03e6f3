defmodule BaileysEx.Test.Oddities do
  @moduledoc """
  Adds to a directory of Baileys the oddities that users' directories have had. Nothing that its keys need is
  changed.
  """

  alias BaileysEx.Test.JSON

  @doc "Changes the directory in place."
  @spec bring!(Path.t()) :: :ok
  def bring!(dir) do
    change(dir, "creds.json", fn creds ->
      creds
      |> Map.merge(%{"pairingCode" => 12_345_678, "registered" => 1, "lastPropHash" => 7})
      |> Map.update!("nextPreKeyId", &to_string/1)
    end)

    for name <- File.ls!(dir) do
      cond do
        String.starts_with?(name, "session-") -> change(dir, name, &session/1)
        String.starts_with?(name, "sender-key-memory-") -> :ok
        String.starts_with?(name, "sender-key-") -> change(dir, name, &sender_key/1)
        true -> :ok
      end
    end

    # A deleted key, a copy made by a sync program, and another program's files.
    File.write!(Path.join(dir, "pre-key-999001.json"), "null")
    creds = Path.join(dir, "creds.json")
    File.cp!(creds, Path.join(dir, "creds.sync-conflict-20240101-120000-ABCDEFG.json"))
    File.cp!(creds, Path.join(dir, "creds (1).json"))
    File.write!(Path.join(dir, "oauth.json"), ~s({"access_token":"not ours"}))
    File.write!(Path.join(dir, "messages.json"), ~s([{"cut off))
    :ok
  end

  defp change(dir, name, fun) do
    path = Path.join(dir, name)
    json = path |> File.read!() |> JSON.decode!() |> fun.() |> JSON.encode()
    # Baileys itself fails on the byte order mark.
    File.write!(path, "\uFEFF" <> json)
  end

  # Times as text and as fractions, chains without their empty maps, and one thing that is not a chain.
  defp session(%{"_sessions" => sessions} = record) do
    %{record | "_sessions" => Map.new(sessions, fn {key, entry} -> {key, entry(entry)} end)}
  end

  defp entry(%{"indexInfo" => info, "_chains" => chains} = entry) do
    info = info |> Map.update!("used", &to_string/1) |> Map.update!("created", &(&1 + 0.5))

    chains =
      Map.new(chains, fn
        {key, %{"messageKeys" => none} = chain} when none == %{} ->
          {key, Map.delete(chain, "messageKeys")}

        other ->
          other
      end)

    %{entry | "indexInfo" => info, "_chains" => Map.put(chains, "useless", nil)}
  end

  # Useless states before the good one, and useless skipped keys.
  defp sender_key(%{"type" => "Buffer", "data" => data}) do
    states = data |> Base.decode64!() |> JSON.decode!()
    states = [nil, %{} | Enum.map(states, &state/1)]
    %{"type" => "Buffer", "data" => Base.encode64(JSON.encode(states))}
  end

  defp state(%{"senderMessageKeys" => []} = state), do: Map.delete(state, "senderMessageKeys")

  defp state(%{"senderMessageKeys" => keys} = state),
    do: %{state | "senderMessageKeys" => [nil | keys]}
end
