defmodule BaileysEx.Auth.PostgresOwnersTest do
  # Three processes of the operating system take an account from each other at random. A proxy cuts their
  # connections before a statement, between the statement and its answer, or before the statement arrives
  # late. A trigger records what the server has written, in order.
  use ExUnit.Case, async: true

  import BaileysEx.Auth.TempDir

  alias BaileysEx.Auth.{PostgresPersistence, State}
  alias BaileysEx.Auth.Postgres.Schema
  alias BaileysEx.Test.{CuttingProxy, PostgresDriver, PostgresServer, PostgresWorkload, Vm}

  @moduletag :postgres
  @moduletag :capture_log
  @moduletag timeout: :infinity

  @account "ada"
  @first "nobody.0.0<"

  setup :setup_temp_dir

  setup do
    directory = PostgresServer.start!()
    {:ok, driver} = PostgresDriver.start_link(directory)
    context = [connection: {PostgresDriver, driver}, account: @account]
    :ok = Schema.migrate(Keyword.take(context, [:connection]))
    note_history(context)
    values = Map.new(~w(a b c), &{&1, @first})
    :ok = PostgresPersistence.commit_keys(context, %{"lid-mapping": values})
    :ok = PostgresPersistence.save_credentials(context, %{State.new() | platform: @first})
    {:ok, context: context, proxy: CuttingProxy.start!(PostgresServer.port(directory))}
  end

  for {tag, turns} <- [default: 5, long: 60] do
    @tag tag
    test "the history is one that a single owner at a time could have made (#{turns} turns each)",
         context do
      acknowledged = take_turns(context, unquote(turns), "all")
      assert wrong(history(context.context), acknowledged) == nil
      cuts = CuttingProxy.cuts(context.proxy)
      assert Enum.all?(cuts, fn {_kind, count} -> count > 0 end), inspect(cuts)
    end
  end

  for {conditions, statements} <- [no_owner: "all statements", no_owner_of_creds: "credentials"] do
    test "without the owner's condition in #{statements} the history is another one", context do
      assert Enum.find_value(1..10, fn round ->
               acknowledged = take_turns(context, 4, "#{unquote(conditions)}", round)
               wrong(history(context.context), acknowledged)
             end)
    end
  end

  # Returns everything that was acknowledged to any of them.
  defp take_turns(%{tmp: tmp, proxy: proxy}, turns, conditions, round \\ 1) do
    # In the form of a server's directory.
    File.write!(Path.join(tmp, "port"), "#{proxy.port}")

    for(name <- ~w(one two three), do: "#{name}#{round}")
    |> Enum.map(&Vm.call(PostgresWorkload, :take_turns, [tmp, @account, &1, turns, conditions]))
    |> Enum.map(&Vm.start/1)
    |> Enum.flat_map(fn vm ->
      lines = until_done(vm)
      for "ok " <> own <- lines, do: own
    end)
  end

  defp until_done(vm) do
    receive do
      {^vm, {:data, {:eol, "done"}}} ->
        []

      {^vm, {:data, {:eol, line}}} ->
        assert line =~ ~r/^(lost|ok (creds )?\w+\.\d+\.\d+)$/
        [line | until_done(vm)]

      {^vm, {:exit_status, status}} ->
        flunk("the VM ended with status #{status}")
    after
      60_000 -> flunk("the VM is silent")
    end
  end

  defp note_history(context) do
    for sql <- [
          "CREATE TABLE history (number bigserial, id text, value bytea)",
          """
          CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
          BEGIN INSERT INTO history (id, value) VALUES (NEW.id, NEW.value); RETURN NULL; END
          $$
          """,
          """
          CREATE TRIGGER note AFTER INSERT OR UPDATE ON baileys_auth_keys
          FOR EACH ROW EXECUTE FUNCTION note()
          """,
          """
          CREATE FUNCTION note_creds() RETURNS trigger LANGUAGE plpgsql AS $$
          BEGIN INSERT INTO history (id, value) VALUES ('creds', NEW.creds); RETURN NULL; END
          $$
          """,
          """
          CREATE TRIGGER note AFTER INSERT OR UPDATE OF creds ON baileys_auth_accounts
          FOR EACH ROW WHEN (NEW.creds IS NOT NULL) EXECUTE FUNCTION note_creds()
          """
        ],
        do: query(context, sql)
  end

  # Returns `{id, own, follows}` in the order in which rows were locked, credentials under a separate id.
  defp history(context) do
    for [id, bytes] <- query(context, "SELECT id, value FROM history ORDER BY number") do
      value = with %State{platform: platform} <- :erlang.binary_to_term(bytes), do: platform
      [own, follows] = String.split(value, "<")
      {id, own, follows}
    end
  end

  defp query(context, sql) do
    {module, driver} = context[:connection]
    {:ok, rows} = module.query(driver, sql, [])
    rows
  end

  # Returns what a single owner at a time could not have done, or `nil`.
  defp wrong(history, acknowledged) do
    [creds, a, b, c] = Enum.map(~w(creds a b c), &values(history, &1))
    turns = for {_id, own, _follows} <- history, do: String.replace(own, ~r/\.\d+$/, "")
    # The first values belong to nobody.
    turns = turns |> Enum.dedup() |> Enum.reject(&(&1 == "nobody.0"))
    owns = Enum.map(a, &elem(&1, 0)) ++ Enum.map(creds, &"creds #{elem(&1, 0)}")

    cond do
      a != b or b != c -> "torn: the keys have other histories"
      pair = not_following(a) -> "not made from what was there: #{inspect(pair)}"
      pair = not_following(creds) -> "credentials not made from what was there: #{inspect(pair)}"
      turns != Enum.uniq(turns) -> "a turn went on after the next: #{inspect(turns)}"
      (missing = acknowledged -- owns) != [] -> "acknowledged, and not there: #{inspect(missing)}"
      true -> nil
    end
  end

  # The values of one id. A repeated commit counts as one.
  defp values(history, id),
    do: Enum.dedup(for {^id, own, follows} <- history, do: {own, follows})

  defp not_following(values) do
    values
    |> Enum.zip(tl(values))
    |> Enum.find(fn {{before, _}, {_own, follows}} -> follows != before end)
  end
end
