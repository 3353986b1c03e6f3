# The backend of the guide is one of those that the stores are tested over.
BaileysEx.Test.Guide.define_modules("guides/custom-backends.md")

# What takes minutes, and is run by `mix test --only long`.
# `mix test --only postgres` runs those; without a server they are not run.
without_server = BaileysEx.Test.PostgresServer.missing()

if without_server, do: IO.puts("tests against PostgreSQL: not run, #{without_server}")

ExUnit.start(
  exclude: [:long | if(without_server, do: [:postgres], else: [])],
  # Machines may be slow: only what would wait for ever is meant to end by a timeout.
  assert_receive_timeout: 10_000,
  formatters: [BaileysEx.Test.FailuresAgain]
)
