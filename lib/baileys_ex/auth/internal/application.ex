defmodule BaileysEx.Auth.Application do
  @moduledoc false

  use Application

  alias BaileysEx.Auth.Directory.Checkpointer
  alias BaileysEx.Auth.ForeignModules
  alias BaileysEx.Auth.Lock.Server
  alias BaileysEx.Auth.Telemetry

  @impl true
  def start(_type, _args) do
    check_modules!()
    Telemetry.detect()

    Supervisor.start_link([{Server, name: Server}, Checkpointer],
      strategy: :one_for_one,
      name: BaileysEx.Auth.Supervisor
    )
  end

  # If another application's modules were used, its code would keep the account without anybody noticing. This
  # raises, because the VM prints an exception as text.
  defp check_modules! do
    modules = Application.spec(:baileys_ex_auth, :modules)

    with {:error, error} <-
           ForeignModules.check(modules, Application.app_dir(:baileys_ex_auth, "ebin")) do
      raise error
    end
  end
end
