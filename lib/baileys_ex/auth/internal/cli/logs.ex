defmodule BaileysEx.Auth.CLI.Logs do
  @moduledoc false
  # Keeps log output apart from a command's answer on standard output, which a script may read: drivers log
  # while it runs.

  @doc "For callers that own the VM: moves log output from standard output to standard error."
  @spec to_standard_error() :: :ok
  def to_standard_error do
    {:ok, _started} = Application.ensure_all_started(:logger)

    case :logger.get_handler_config(:default) do
      {:ok, %{module: :logger_std_h, config: %{type: :standard_io}} = handler} ->
        redirect(handler)

      _other ->
        redirect_console()
    end
  end

  defp redirect(handler) do
    kept = Map.take(handler, [:level, :filter_default, :filters, :formatter])
    config = Map.put(kept, :config, %{type: :standard_error})
    :ok = :logger.remove_handler(:default)
    :ok = :logger.add_handler(:default, :logger_std_h, config)
  end

  # Before Elixir 1.15, Logger was a handler of its own, with backends, which are deprecated since.
  defp redirect_console do
    with {:ok, _handler} <- :logger.get_handler_config(Logger),
         do: apply(Logger, :configure_backend, [:console, [device: :standard_error]])

    :ok
  end
end
