defmodule BaileysEx.Auth.PostgresStorePropertyTest do
  # The key store's model properties, over PostgreSQL.
  use ExUnit.Case, async: true

  alias BaileysEx.Auth.PostgresPersistence
  alias BaileysEx.Auth.Postgres.Schema
  alias BaileysEx.Test.{PostgresDriver, PostgresServer, Property, StoreDriver}

  @moduletag :postgres
  @moduletag :capture_log
  @moduletag timeout: :infinity

  for {sequences, tags} <- [{25, []}, {1_000, [:long]}] do
    for tag <- tags, do: @tag(tag)

    test "a store does what a map does in #{sequences} random sequences" do
      directory = PostgresServer.start!()
      connection = PostgresDriver.connect!(directory)
      :ok = Schema.migrate(connection: connection)
      first = ExUnit.configuration()[:seed] * unquote(sequences)

      Property.for_seeds(first..(first + unquote(sequences) - 1), fn seed ->
        place = [connection: connection, account: "sequence #{seed}"]
        bound = if rem(seed, 2) == 0, do: [max_cached_entries: 2], else: []
        StoreDriver.run(PostgresPersistence, place, bound)
      end)
    end
  end
end
