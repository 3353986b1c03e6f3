defmodule BaileysEx.Test.Repository do
  @moduledoc """
  The part of an Ecto repository that the library calls, over a server of the tests, because Ecto is not
  available here. `connect/1` selects the server.
  """

  alias BaileysEx.Test.PostgresDriver

  @driver __MODULE__.Driver

  def connect(directory), do: :persistent_term.put(__MODULE__, directory)

  def __adapter__, do: __MODULE__
  def config, do: [directory: :persistent_term.get(__MODULE__, nil)]

  def ensure_all_started([directory: directory], :temporary) when directory != nil, do: {:ok, []}
  def ensure_all_started(_config, :temporary), do: {:error, "the password is hunter2"}

  def start_link(pool_size: 2) do
    case Process.whereis(@driver) do
      nil ->
        {:ok, pid} = PostgresDriver.start_link(config()[:directory])
        Process.register(pid, @driver)
        {:ok, pid}

      pid ->
        {:error, {:already_started, pid}}
    end
  end

  def query(sql, params, log: false, telemetry_event: nil, cache_statement: _name) do
    case PostgresDriver.query(@driver, sql, params) do
      {:ok, rows} -> {:ok, %{rows: rows}}
      {:error, code} when is_binary(code) -> {:error, %{postgres: %{pg_code: code}}}
      {:error, _} -> {:error, %{__struct__: DBConnection.ConnectionError}}
    end
  end
end
