defmodule BaileysEx.Test.PostgresWorkload do
  @moduledoc """
  What VMs of their own do to an account in PostgreSQL. Arguments are texts; each line that is printed
  says what was answered.
  """

  alias BaileysEx.Auth.{KeyStore, PostgresPersistence}
  alias BaileysEx.Test.PostgresDriver

  @ids ~w(a b c)

  @doc """
  Claims the account by a store, says which number its three keys hold (`torn` where they differ), and
  counts up until it is killed, in commits of all three and of a key that is the number.
  """
  @spec count_up(String.t(), String.t()) :: no_return()
  def count_up(directory, account) do
    keys = start_store(directory, account)
    found = keys |> KeyStore.get(:session, @ids) |> number()
    IO.puts("found #{found}")
    count_on(keys, found + 1)
  end

  @doc "The number that an account holds whole: no commit up to it is missing."
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

  defp start_store(directory, account) do
    {:ok, _} = Application.ensure_all_started(:baileys_ex_auth)
    # The driver's processes end noisily when the server does.
    :ok = :logger.set_primary_config(:level, :none)
    {:ok, driver} = PostgresDriver.start_link(directory)
    start_store_over(connection: {PostgresDriver, driver}, account: account)
  end

  # The server may be starting.
  defp start_store_over(context) do
    options = [
      persistence_module: PostgresPersistence,
      persistence_context: context,
      max_commit_retries: 1_000,
      delay_between_tries_ms: 20
    ]

    Process.flag(:trap_exit, true)

    case KeyStore.start_link(options) do
      {:ok, store} ->
        KeyStore.wrap(store)

      {:error, _reason} ->
        Process.sleep(20)
        start_store_over(context)
    end
  end
end
