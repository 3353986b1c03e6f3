defmodule BaileysEx.Auth.Application do
  @moduledoc false

  use Application

  alias BaileysEx.Auth.ForeignModules
  alias BaileysEx.Auth.Lock.Server
  alias BaileysEx.Auth.Telemetry

  @impl true
  def start(_type, _args) do
    with :ok <- check_modules() do
      Telemetry.detect()

      Supervisor.start_link([{Server, name: Server}],
        strategy: :one_for_one,
        name: BaileysEx.Auth.Supervisor
      )
    end
  end

  # The account must not be kept by other code than this without anybody being told.
  defp check_modules do
    modules = Application.spec(:baileys_ex_auth, :modules)
    ForeignModules.check(modules, Application.app_dir(:baileys_ex_auth, "ebin"))
  end
end
