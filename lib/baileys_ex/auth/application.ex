defmodule BaileysEx.Auth.Application do
  @moduledoc false

  use Application

  alias BaileysEx.Auth.Lock.Server
  alias BaileysEx.Auth.Telemetry

  @impl true
  def start(_type, _args) do
    Telemetry.detect()

    Supervisor.start_link([{Server, name: Server}],
      strategy: :one_for_one,
      name: BaileysEx.Auth.Supervisor
    )
  end
end
