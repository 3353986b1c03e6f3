defmodule Bench.Saves do
  @moduledoc false
  # Durable saves and commits, against the floor of the disk and against Baileys.

  alias Bench.{Accounts, Measure, Peer, Report, SlowFlush}
  alias BaileysEx.Auth.{FilePersistence, NativeFilePersistence}
  alias BaileysEx.Test.JSON

  @type context() :: %{floor: port(), node: port() | nil, rounds: pos_integer()}

  @spec run(context()) :: [Report.row()]
  def run(context) do
    List.flatten([
      native_single(context),
      native_ten(context),
      stalls(context),
      nothing(context),
      many_accounts(context),
      json_single(context),
      pre_keys(context)
    ])
  end

  defp native_single(context) do
    native = Accounts.small(NativeFilePersistence, "native")
    session = Accounts.session()
    payload = Accounts.payload("session.etf", Accounts.native_bytes(session))
    reference = "bare append + fdatasync"

    compare = fn work, target ->
      Measure.sides(
        [
          Peer.floor_side(context.floor, "append", Path.dirname(native), payload, 200),
          save_side(NativeFilePersistence, native, session, 200)
        ],
        context.rounds
      )
      |> then(&Report.times(work, reference, &1, target))
      |> Report.print()
    end

    [
      compare.("native save of 1 key", {:at_most, 1.5}),
      if SlowFlush.available?() do
        SlowFlush.with_millisecond(fn ->
          compare.("native save of 1 key, flush + 1 ms", {:at_most, 1.15})
        end)
      else
        []
      end
    ]
  end

  defp native_ten(context) do
    native = Accounts.small(NativeFilePersistence, "native")
    session = Accounts.session()
    changes = %{session: Map.new(0..9, &{"#{&1}.0", session})}
    payload = Accounts.payload("session.etf", Accounts.native_bytes(session))

    commit = Measure.times(40, fn -> :ok = NativeFilePersistence.commit_keys(native, changes) end)
    one_save = save_side(NativeFilePersistence, native, session, 100)
    floor = Peer.floor_side(context.floor, "append", Path.dirname(native), payload, 100)

    [
      [one_save, commit]
      |> Measure.sides(context.rounds)
      |> then(
        &Report.times("native commit of 10 keys", "native save of 1 key", &1, {:at_most, 1.3})
      )
      |> Report.print(),
      [floor, commit]
      |> Measure.sides(context.rounds)
      |> then(
        &Report.times("native commit of 10 keys", "bare append of 1 key + fdatasync", &1, nil)
      )
      |> Report.print()
    ]
  end

  # Ten thousand commits, including those that write the files.
  defp stalls(_context) do
    native = Accounts.small(NativeFilePersistence, "native")
    session = Accounts.session()

    times =
      for n <- 1..10_000 do
        save = fn ->
          :ok = NativeFilePersistence.save_keys(native, :session, "#{rem(n, 500)}.0", session)
        end

        save |> Measure.nanoseconds() |> elem(0)
      end

    sorted = Enum.sort(times)
    at = fn share -> Enum.at(sorted, trunc(share * 9_999)) end

    for {work, share, target} <- [{"99th of 100", 0.99, {:at_most, 3}}, {"longest", 1, nil}] do
      comparison = %{work: at.(share), reference: at.(0.5), ratio: at.(share) / at.(0.5)}

      "native save of 1 key, the #{work} of 10,000"
      |> Report.times("their median", comparison, target)
      |> Report.print()
    end
  end

  # The cost that remains if nothing is written: processes, locks and the call of the NIF.
  defp nothing(context) do
    native = Accounts.small(NativeFilePersistence, "native")
    {:ok, agent} = Agent.start_link(fn -> nil end)

    [
      Measure.times(2_000, fn -> Agent.get(agent, & &1) end),
      Measure.times(2_000, fn ->
        :ok = NativeFilePersistence.delete_keys(native, :session, "0.1")
      end)
    ]
    |> Measure.sides(context.rounds)
    |> then(
      &Report.times("native deletion of a missing key", "GenServer.call", &1, {:at_most, 4})
    )
    |> Report.print()
    |> List.wrap()
  end

  @accounts 64

  defp many_accounts(context) do
    accounts = for _ <- 1..@accounts, do: Accounts.small(NativeFilePersistence, "native")
    session = Accounts.session()
    payload = Accounts.payload("session.etf", Accounts.native_bytes(session))
    bare = Accounts.path("bare")
    File.mkdir_p!(bare)
    count = @accounts * 50

    saves = fn ->
      {nanoseconds, _} =
        Measure.nanoseconds(fn ->
          accounts
          |> Enum.map(&Task.async(fn -> save_side(NativeFilePersistence, &1, session, 50).() end))
          |> Task.await_many(:infinity)
        end)

      {nanoseconds, count}
    end

    # The ratio of times: how many times longer the bare appends take.
    %{reference: saves, work: bare, ratio: ratio} =
      Measure.sides(
        [saves, Peer.floor_side(context.floor, "many", bare, payload, count)],
        context.rounds
      )

    [
      Report.print(%{
        work: "native saves of #{@accounts} accounts at once",
        value: 1.0e9 / saves,
        unit: "/s",
        reference: "bare append + fdatasync on #{@accounts} files, ten threads",
        reference_value: 1.0e9 / bare,
        ratio: ratio,
        target: {:at_least, 0.75}
      })
    ]
  end

  defp json_single(context) do
    json = Accounts.small(FilePersistence, "json")
    session = Accounts.session()
    payload = Path.join(json, "session-0.0.json")
    bare = Accounts.path("bare")
    File.mkdir_p!(bare)

    [
      Peer.floor_side(context.floor, "replace", bare, payload, 100),
      save_side(FilePersistence, json, session, 100)
    ]
    |> Measure.sides(context.rounds)
    |> then(
      &Report.times(
        "JSON save of 1 key",
        "bare temp + fsync + rename + fsync of directory",
        &1,
        {:at_most, 1.4}
      )
    )
    |> Report.print()
  end

  # In a new directory each time, so that the keys are new and nothing is deleted.
  defp pre_keys(%{node: nil}), do: []

  defp pre_keys(context) do
    keys = Accounts.pre_keys(1..812)
    changes = Accounts.path("changes.json")
    File.write!(changes, JSON.encode(%{"pre-key" => Map.new(keys, &in_json/1)}))

    commit =
      Measure.once(
        fn -> Accounts.small(NativeFilePersistence, "native") end,
        fn native -> :ok = NativeFilePersistence.commit_keys(native, %{"pre-key": keys}) end
      )

    set = fn ->
      baileys = Accounts.small(FilePersistence, "baileys")
      command = %{"op" => "keys.set", "dir" => baileys, "changes" => changes}
      Peer.baileys_side(context.node, command).()
    end

    [set, commit]
    |> Measure.sides(context.rounds)
    |> then(
      &Report.times(
        "native commit of 812 new pre-keys",
        "Baileys keys.set, nothing synced",
        &1,
        {:at_most, 2.0}
      )
    )
    |> Report.print()
    |> List.wrap()
  end

  defp in_json({id, key}) do
    {id,
     Map.new(key, fn {name, bytes} -> {name, %{type: "Buffer", data: Base.encode64(bytes)}} end)}
  end

  @doc "Saves a session under ten ids in turn."
  @spec save_side(module(), Path.t(), term(), pos_integer()) :: Measure.side()
  def save_side(backend, path, session, count) do
    Measure.times(count, fn n ->
      :ok = backend.save_keys(path, :session, "#{rem(n, 10)}.0", session)
    end)
  end
end
