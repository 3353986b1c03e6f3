defmodule BaileysEx.RedactionTest do
  # Printed structs show no key material, intact or damaged. If an `Inspect` raised, everything would be
  # printed.
  use ExUnit.Case, async: true

  import BaileysEx.Test.Property

  alias BaileysEx.Auth.State
  alias BaileysEx.Protocol.Proto.ADVSignedDeviceIdentity
  alias BaileysEx.Signal.Group.SenderChainKey
  alias BaileysEx.Signal.Group.SenderKeyRecord
  alias BaileysEx.Signal.Group.SenderKeyState
  alias BaileysEx.Signal.Group.SenderMessageKey
  alias BaileysEx.Signal.SessionRecord

  @native Path.expand("../fixtures/baileys_ex-native", __DIR__)
  @structs [
    State,
    ADVSignedDeviceIdentity,
    SessionRecord,
    SenderKeyRecord,
    SenderKeyState,
    SenderChainKey,
    SenderMessageKey
  ]

  # A struct that lacks fields is printed as a plain map, so a state of an older version is completed first.
  defp load("creds.etf") do
    {:ok, state} = State.complete(read("creds.etf"))
    state
  end

  defp load(name), do: read(name)

  defp read(name), do: @native |> Path.join(name) |> File.read!() |> :erlang.binary_to_term()

  defp fixture_terms do
    for name <- ["creds.etf", "session-15559990002.0.etf" | sender_keys()], do: load(name)
  end

  defp sender_keys do
    for path <- Path.wildcard(@native <> "/sender-key-1*.etf"), do: Path.basename(path)
  end

  test "the terms of the fixture print in one short line, without a byte of their secrets" do
    for term <- fixture_terms() do
      nested = Enum.filter([term | nested(term)], &is_struct/1)
      secrets = term |> binaries() |> Enum.reject(&public?/1)
      assert secrets != []

      for struct <- nested, printed <- printed(struct) do
        assert printed =~ ~r/^#BaileysEx\.[\w.]+<.*>$/u
        assert String.length(printed) < 200
        for secret <- secrets, do: refute(shows?(printed, secret))
      end
    end
  end

  test "a state shows account and counters, and nothing else" do
    state = load("creds.etf")

    assert inspect(state) ==
             ~s(#BaileysEx.Auth.State<me: "15551230001:7@s.whatsapp.net", name: "Zoë 🦊", ) <>
               ~s(lid: "900000000001:7@lid", platform: "android", registered: true, ) <>
               "next_pre_key_id: 41>"

    assert inspect(state.account) ==
             "#BaileysEx.Protocol.Proto.ADVSignedDeviceIdentity<details, account_signature_key, " <>
               "account_signature, device_signature>"

    assert inspect(load("session-15559990002.0.etf")) =~
             ~r/^#BaileysEx.Signal.SessionRecord<sessions: \d+, open: true>$/

    planted = %{
      state
      | pairing_code: "SECRET",
        routing_info: "SECRET",
        additional_data: %{"SECRET" => "SECRET"},
        unknown_fields: %{"SECRET" => "SECRET"},
        adv_secret_key: "SECRET",
        my_app_state_key_id: "SECRET",
        last_prop_hash: "SECRET"
    }

    refute inspect(planted, limit: :infinity, printable_limit: :infinity) =~ "SECRET"
  end

  test "whatever is in the fields of a struct, it prints, and the secret does not" do
    for_seeds(1..300, fn _seed ->
      for module <- @structs do
        fields = Map.keys(struct(module)) -- [:__struct__]
        damaged = Enum.reduce(fields, struct(module), &Map.put(&2, &1, garbage()))

        for printed <- printed(damaged) do
          refute printed =~ "SECRET"
          refute printed =~ "Inspect.Error"
          assert String.starts_with?(printed, "#" <> inspect(module) <> "<")
        end
      end
    end)
  end

  # Never a string on its own, because a state may show text of `:me` and `:platform`.
  defp garbage do
    one_of([
      nil,
      [],
      ["SECRET"],
      ["SECRET" | :improper],
      %{},
      %{"SECRET" => "SECRET"},
      %{index_info: "SECRET"},
      %{"base key" => "SECRET"},
      %{"base key" => %{index_info: %{closed: "SECRET"}}},
      %{iteration: "SECRET", seed: "SECRET"},
      %{iteration: 3, seed: "SECRET"},
      %{id: ["SECRET"], name: {"SECRET"}, lid: %{}},
      %URI{host: "SECRET"},
      MapSet.new(["SECRET"]),
      {"SECRET"},
      7,
      1.5,
      true,
      :atom
    ])
  end

  defp printed(term) do
    [
      inspect(term),
      inspect(term, pretty: true, width: 100_000),
      inspect(term, limit: :infinity, printable_limit: :infinity),
      inspect(term, binaries: :as_binaries) |> String.replace(~r/<<[\d, ]+>>/, ~s("")),
      "#{:io_lib.format("~ts", [inspect({:error, term})])}"
      |> String.replace_prefix("{:error, ", "")
      |> String.replace_suffix("}", "")
    ]
  end

  # As bytes, as the numbers that `inspect` prints for them, as base64 and as hex.
  defp shows?(printed, secret) do
    start = binary_part(secret, 0, min(byte_size(secret), 6))
    numbers = start |> :binary.bin_to_list() |> Enum.join(", ")
    forms = [start, numbers, Base.encode64(start, padding: false), Base.encode16(start)]
    Enum.any?(forms, &String.contains?(printed, &1))
  end

  # Values that a state may show, and other JIDs.
  defp public?(binary) do
    creds = load("creds.etf")
    binary in [creds.me.name, creds.platform] or String.contains?(binary, "@")
  end

  defp binaries(term) when is_binary(term), do: if(byte_size(term) > 6, do: [term], else: [])
  defp binaries(term), do: term |> children() |> Enum.flat_map(&binaries/1)

  defp nested(term), do: term |> children() |> Enum.flat_map(&[&1 | nested(&1)])

  defp children(%_{} = struct), do: struct |> Map.from_struct() |> children()
  defp children(map) when is_map(map), do: Map.values(map)
  defp children(list) when is_list(list), do: list
  defp children(_leaf), do: []
end
