defmodule BaileysEx.Test.PostgresWorkload do
  @moduledoc """
  What separate VMs do to an account in PostgreSQL. Arguments are texts; each printed line is an answer.
  """

  alias BaileysEx.Auth.{DatabaseError, KeyStore, NotOwnerError, PostgresPersistence}
  alias BaileysEx.Auth.KeyStore.OperationError
  alias BaileysEx.Test.{LaxConnection, PostgresDriver}

  @ids ~w(a b c)

  @doc """
  Claims the account through a store and prints the number that its three keys hold (`torn` if they differ).
  Then it counts up until it is killed, in commits of all three keys and one more key that is the number.
  """
  @spec count_up(String.t(), String.t()) :: no_return()
  def count_up(directory, account) do
    keys = directory |> start(account) |> start_store()
    found = keys |> KeyStore.get(:session, @ids) |> number()
    IO.puts("found #{found}")
    count_on(keys, found + 1)
  end

  @doc "Returns the number that an account holds completely: no commit up to it is missing."
  @spec whole(keyword()) :: {:ok, non_neg_integer()} | :torn
  def whole(context) do
    {:ok, found} = PostgresPersistence.load_many(context, :session, @ids)
    {:ok, %{"lid-mapping": own}} = PostgresPersistence.list_keys(context)

    with number when is_integer(number) <- number(found),
         true <- Enum.sort(own) == Enum.sort(Enum.map(1..number, &to_string/1)) do
      {:ok, number}
    else
      _missing -> :torn
    end
  end

  defp number(found) do
    case {map_size(found), found |> Map.values() |> Enum.uniq()} do
      {0, []} -> 0
      {3, [{number, _bytes}]} -> number
      _other -> :torn
    end
  end

  defp count_on(keys, number) do
    value = {number, :binary.copy(<<number::32>>, 500)}
    own = %{"#{number}" => "1"}
    KeyStore.set(keys, %{session: Map.new(@ids, &{&1, value}), "lid-mapping": own})
    IO.puts("ok #{number}")
    count_on(keys, number + 1)
  end

  @doc """
  Takes the account this many times from its current owner, and commits until it has lost it or is done. Each
  value names the one that it follows, as it was read: `two.3.17<one.2.5` is the 17th of the third turn of
  `two`. The credentials, which are saved in between, record the same in their platform. `conditions` is for
  `BaileysEx.Test.LaxConnection`.
  """
  @spec take_turns(String.t(), String.t(), String.t(), String.t(), String.t()) :: :ok
  def take_turns(directory, account, name, turns, conditions) do
    context = start(directory, account, conditions)

    for turn <- 1..String.to_integer(turns) do
      keys = start_store(context, max_commit_retries: Enum.random([1, 20]))
      own({keys, context, nil}, "#{name}.#{turn}", 1, :rand.uniform(40))
      GenServer.stop(keys.pid)
    end

    IO.puts("done")
  end

  defp own(_owned, _turn, number, last) when number > last, do: :ok

  defp own({keys, context, state}, turn, number, last) do
    own = "#{turn}.#{number}"

    state =
      case Enum.random([:keys, :keys, :credentials]) do
        :keys -> with :ok <- save_keys(keys, own), do: state
        :credentials -> save_credentials(context, state, own)
      end

    if state == :lost,
      do: IO.puts("lost"),
      else: own({keys, context, state}, turn, number + 1, last)
  end

  defp save_keys(keys, own) do
    KeyStore.transaction(keys, "a", fn tx ->
      %{"a" => before} = KeyStore.get(tx, :"lid-mapping", ["a"])
      value = following(own, before)
      KeyStore.set(tx, %{"lid-mapping": Map.new(@ids, &{&1, value})})
    end)

    IO.puts("ok #{own}")
  rescue
    error in OperationError -> not_saved(error.reason)
  end

  # Reads the state if it is not known: at first, and if it may or may not have been saved.
  defp save_credentials(context, nil, own) do
    case PostgresPersistence.load_credentials(context) do
      {:ok, state} -> save_credentials(context, state, own)
      {:error, error} -> with :ok <- not_saved(error), do: nil
    end
  end

  defp save_credentials(context, state, own) do
    state = %{state | platform: following(own, state.platform)}

    case PostgresPersistence.save_credentials(context, state) do
      :ok ->
        IO.puts("ok creds #{own}")
        state

      {:error, error} ->
        with :ok <- not_saved(error), do: nil
    end
  end

  defp following(own, before), do: "#{own}<#{before |> String.split("<") |> hd()}"

  defp not_saved(%NotOwnerError{}), do: :lost
  # The write may have happened.
  defp not_saved(%DatabaseError{}), do: :ok

  defp start(directory, account, conditions \\ "all") do
    {:ok, _} = Application.ensure_all_started(:baileys_ex_auth)
    # The driver's processes log errors when the server ends.
    :ok = :logger.set_primary_config(:level, :none)
    {:ok, driver} = PostgresDriver.start_link(directory)
    [connection: {LaxConnection, {conditions, driver}}, account: account]
  end

  # The server may still be starting.
  defp start_store(context, options \\ []) do
    Process.flag(:trap_exit, true)
    always = [persistence_module: PostgresPersistence, persistence_context: context]
    patience = [max_commit_retries: 1_000, delay_between_tries_ms: 20]

    case KeyStore.start_link(always ++ Keyword.merge(patience, options)) do
      {:ok, store} ->
        KeyStore.wrap(store)

      {:error, _reason} ->
        Process.sleep(20)
        start_store(context, options)
    end
  end
end

defmodule BaileysEx.Test.LaxConnection do
  @moduledoc """
  `PostgresDriver` without the owner's conditions in the statements, if told `"no_owner"`, or without those in
  statements for credentials, if told `"no_owner_of_creds"`. It shows that the tests would notice.
  """

  @behaviour BaileysEx.Auth.Postgres.Connection

  alias BaileysEx.Test.PostgresDriver

  @conditions "owner_id = $2::text AND owner_fence = $3::bigint"

  @impl true
  def query({left_out, driver}, sql, params) do
    sql = if left_out?(left_out, sql), do: without_conditions(sql), else: sql
    PostgresDriver.query(driver, sql, params)
  end

  defp left_out?("all", _sql), do: false
  defp left_out?("no_owner", _sql), do: true
  defp left_out?("no_owner_of_creds", sql), do: sql =~ "SET creds = $4"

  # The server still has to know the parameters.
  defp without_conditions(sql),
    do: String.replace(sql, @conditions, "$2::text IS NOT NULL AND $3::bigint IS NOT NULL")
end
