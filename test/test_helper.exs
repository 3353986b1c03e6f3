# The tests of stores also use the backend from the guide.
BaileysEx.Test.Guide.define_modules("guides/custom-backends.md")

# Long tests take minutes, and run with `mix test --only long`. `mix test --only postgres` runs the tests of
# PostgreSQL, which are not run without a server.
without_server = BaileysEx.Test.PostgresServer.missing()

if without_server, do: IO.puts("tests against PostgreSQL: not run, #{without_server}")

ExUnit.start(
  exclude: [:long | if(without_server, do: [:postgres], else: [])],
  # Machines may be slow: the timeouts are only meant to end a wait that would never end.
  assert_receive_timeout: 10_000,
  formatters: [BaileysEx.Test.FailuresAgain]
)
