defmodule Bench.Loads do
  @moduledoc false
  # Loads, and the credentials, against the BEAM's own codec and against Baileys.

  alias Bench.{Accounts, Measure, Peer, Report}
  alias BaileysEx.Auth.{FilePersistence, NativeFilePersistence}

  @iterations 300

  @spec run(Bench.Saves.context()) :: [Report.row()]
  def run(context) do
    for {size, session} <- [{"1 kB", Accounts.session()}, {"40 kB", Accounts.long_session()}] do
      [native_session(context, size, session), json_session(context, size, session)]
    end
    |> Kernel.++(credentials(context))
    |> List.flatten()
  end

  defp native_session(context, size, session) do
    native = Accounts.small(NativeFilePersistence, "native")
    :ok = NativeFilePersistence.save_keys(native, :session, "s.0", session)
    :ok = NativeFilePersistence.checkpoint(native)
    file = Accounts.native_file(native, :session, "s.0")

    [
      Measure.times(@iterations, fn -> file |> File.read!() |> :erlang.binary_to_term() end),
      Measure.times(@iterations, fn ->
        {:ok, _} = NativeFilePersistence.load_keys(native, :session, "s.0")
      end)
    ]
    |> Measure.sides(2 * context.rounds)
    |> then(
      &Report.times(
        "native load_keys, session of #{size}",
        "File.read + binary_to_term",
        &1,
        {:at_most, 1.5}
      )
    )
    |> Report.print()
  end

  defp json_session(%{node: nil}, _size, _session), do: []

  defp json_session(context, size, session) do
    json = Accounts.small(FilePersistence, "json")
    :ok = FilePersistence.save_keys(json, :session, "s.0", session)

    [
      Peer.baileys_side(context.node, %{
        "op" => "keys.get",
        "dir" => json,
        "type" => "session",
        "ids" => ["s.0"],
        "iterations" => @iterations
      }),
      Measure.times(@iterations, fn ->
        {:ok, _} = FilePersistence.load_keys(json, :session, "s.0")
      end)
    ]
    |> Measure.sides(2 * context.rounds)
    |> then(
      &Report.times("JSON load_keys, session of #{size}", "Baileys keys.get", &1, {:at_most, 0.4})
    )
    |> Report.print()
  end

  defp credentials(%{node: nil}), do: []

  defp credentials(context) do
    json = Accounts.small(FilePersistence, "json")
    {:ok, state} = FilePersistence.load_credentials(json)

    baileys = fn op ->
      Peer.baileys_side(context.node, %{"op" => op, "dir" => json, "iterations" => @iterations})
    end

    [
      [
        baileys.("creds.read"),
        Measure.times(@iterations, fn -> {:ok, _} = FilePersistence.load_credentials(json) end)
      ]
      |> Measure.sides(2 * context.rounds)
      |> then(&Report.times("JSON load_credentials", "Baileys' read", &1, {:at_most, 0.5}))
      |> Report.print(),
      [
        baileys.("creds.save"),
        Measure.times(100, fn -> :ok = FilePersistence.save_credentials(json, state) end)
      ]
      |> Measure.sides(2 * context.rounds)
      |> then(
        &Report.times("JSON save_credentials, durable", "Baileys saveCreds, not synced", &1, nil)
      )
      |> Report.print()
    ]
  end
end
