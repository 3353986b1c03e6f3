defmodule BaileysEx.Test.FakeTelemetry do
  @moduledoc """
  Stands in for the `:telemetry` of a host application, which is not a dependency of this project.

  The module `:telemetry` exists only while a test asks for it, so that everything else runs without it. It
  exists for the whole VM, so such tests are not `async`.
  """

  alias BaileysEx.Auth.Telemetry

  @doc "Sends the calling process a message `{:telemetry, event, measurements, metadata}` for each event."
  def setup_telemetry(_context) do
    test = self()
    :persistent_term.put(__MODULE__, test)

    Code.compile_quoted(
      quote do
        defmodule :telemetry do
          def execute(event, measurements, metadata) do
            receiver = :persistent_term.get(unquote(__MODULE__))
            send(receiver, {:telemetry, event, measurements, metadata})

            for {_id, {events, handler, config}} <- handlers(), event in events do
              handler.(event, measurements, metadata, config)
            end

            :ok
          end

          def attach_many(id, events, handler, config) do
            case handlers() do
              %{^id => _} -> {:error, :already_exists}
              handlers -> put(Map.put(handlers, id, {events, handler, config}))
            end
          end

          def detach(id) do
            case Map.pop(handlers(), id) do
              {nil, _} -> {:error, :not_found}
              {_, handlers} -> put(handlers)
            end
          end

          defp handlers, do: :persistent_term.get(:telemetry, %{})
          defp put(handlers), do: :persistent_term.put(:telemetry, handlers)
        end
      end
    )

    true = Telemetry.detect()

    ExUnit.Callbacks.on_exit(fn ->
      :code.purge(:telemetry)
      :code.delete(:telemetry)
      :code.purge(:telemetry)
      false = Telemetry.detect()
      :persistent_term.erase(__MODULE__)
      :persistent_term.erase(:telemetry)
    end)

    :ok
  end

  @doc "Returns the events so far, as `{event, measurements, metadata}`."
  def events do
    receive do
      {:telemetry, event, measurements, metadata} -> [{event, measurements, metadata} | events()]
    after
      0 -> []
    end
  end

  @doc "Returns the events of one name."
  def events(name) do
    for {[:baileys_ex_auth | ^name], measurements, metadata} <- events() do
      {measurements, metadata}
    end
  end
end
