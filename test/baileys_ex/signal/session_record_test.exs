defmodule BaileysEx.Signal.SessionRecordTest do
  use ExUnit.Case, async: true

  import BaileysEx.Test.Property

  alias BaileysEx.Signal.SessionRecord

  doctest SessionRecord

  defp session(id, closed \\ nil) do
    %{
      registration_id: 42,
      current_ratchet: %{
        root_key: <<id::256>>,
        ephemeral_key_pair: %{public: <<5, id::256>>, private: <<id::256>>},
        last_remote_ephemeral: <<5, id::256>>,
        previous_counter: 0
      },
      index_info: %{
        base_key: base_key(id),
        base_key_type: :sending,
        closed: closed,
        local_identity_key: <<5, 1::256>>,
        remote_identity_key: <<5, 2::256>>
      },
      chains: %{},
      pending_pre_key: nil
    }
  end

  defp base_key(id), do: <<5, id::256>>

  defp put(record, id, closed \\ nil) do
    SessionRecord.put_session(record, base_key(id), session(id, closed))
  end

  defp ids(record) do
    for {<<5, id::256>>, _session} <- record.sessions, into: MapSet.new(), do: id
  end

  test "a new record is empty" do
    record = SessionRecord.new()
    assert record == %SessionRecord{sessions: %{}}
    assert SessionRecord.empty?(record)
    refute SessionRecord.have_open_session?(record)
    assert SessionRecord.get_open_session(record) == nil
    assert SessionRecord.get_session(record, base_key(1)) == nil
  end

  test "a session is found by its base key, and as the open one" do
    record = SessionRecord.new() |> put(1, 1000) |> put(2)

    refute SessionRecord.empty?(record)
    assert SessionRecord.get_session(record, base_key(1)) == session(1, 1000)
    assert SessionRecord.have_open_session?(record)
    assert SessionRecord.get_open_session(record) == {base_key(2), session(2)}
  end

  test "closing changes only the time, and not that of a closed session" do
    record =
      SessionRecord.new() |> put(1) |> SessionRecord.close_session(base_key(1), closed_at: 7)

    assert SessionRecord.get_session(record, base_key(1)) == session(1, 7)

    assert SessionRecord.close_session(record, base_key(1), closed_at: 8) == record
    assert SessionRecord.close_session(record, base_key(2)) == record
    assert SessionRecord.close_open_session(record) == record
  end

  test "a session is closed now, in milliseconds since 1970" do
    before = System.system_time(:millisecond)
    record = SessionRecord.new() |> put(1) |> SessionRecord.close_open_session()
    {:ok, at} = Map.fetch(SessionRecord.get_session(record, base_key(1)).index_info, :closed)
    assert at in before..System.system_time(:millisecond)
  end

  test "closing leaves no session open, even if there were two" do
    record =
      SessionRecord.new() |> put(1) |> put(2) |> SessionRecord.close_open_session(closed_at: 5)

    refute SessionRecord.have_open_session?(record)
    assert ids(record) == MapSet.new([1, 2])
  end

  test "the session closed first is dropped first, the open one never" do
    record = Enum.reduce(1..40, put(SessionRecord.new(), 0), &put(&2, &1, 1000 - &1))
    assert ids(record) == MapSet.new(0..40)

    # 40 was closed first.
    record = put(record, 41, 2000)
    assert ids(record) == MapSet.new([0, 41] ++ Enum.to_list(1..39))

    record = SessionRecord.close_session(record, base_key(0), closed_at: 3000)
    assert ids(record) == MapSet.new([0, 41] ++ Enum.to_list(1..38))
  end

  test "a record holds what the model holds, whatever was done to it" do
    for_seeds(1..200, fn _seed ->
      Enum.reduce(1..120, {SessionRecord.new(), %{}}, fn step, {record, model} ->
        {record, model} = step(record, model, step)
        closed = for {id, at} <- model, at != nil, do: {at, id}

        assert closed_times(record) == model
        assert length(closed) <= 40
        assert SessionRecord.have_open_session?(record) == Enum.any?(model, &match?({_, nil}, &1))
        assert SessionRecord.empty?(record) == (model == %{})
        {record, model}
      end)
    end)
  end

  # Times increase, so the model drops the smallest.
  defp step(record, model, time) do
    id = below(60)

    case below(8) do
      0 ->
        {SessionRecord.close_session(record, base_key(id), closed_at: time),
         capped(close(model, id, time))}

      1 ->
        {SessionRecord.close_open_session(record, closed_at: time),
         capped(close_all(model, time))}

      n when n < 6 ->
        {put(record, id, time), capped(Map.put(model, id, time))}

      _ ->
        {put(record, id), Map.put(model, id, nil)}
    end
  end

  defp close(model, id, time) do
    case model do
      %{^id => nil} -> %{model | id => time}
      _ -> model
    end
  end

  defp close_all(model, time), do: Map.new(model, fn {id, at} -> {id, at || time} end)

  # Several sessions may have the same closing time: then the smaller base key is removed first.
  defp capped(model) do
    closed = Enum.sort(for {id, at} <- model, at != nil, do: {at, id})
    surplus = Enum.take(closed, max(length(closed) - 40, 0))
    Map.drop(model, Enum.map(surplus, &elem(&1, 1)))
  end

  defp closed_times(record) do
    for {<<5, id::256>>, session} <- record.sessions,
        into: %{},
        do: {id, session.index_info.closed}
  end

  test "anything but a session is refused without being shown" do
    for wrong <- [%{}, %{index_info: %{}}, %{index_info: %{closed: "SECRET"}}, "SECRET", nil] do
      error =
        assert_raise ArgumentError, fn ->
          SessionRecord.put_session(SessionRecord.new(), base_key(1), wrong)
        end

      refute Exception.message(error) =~ "SECRET"
    end
  end
end
