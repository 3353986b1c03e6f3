defmodule BaileysEx.Test.FakeTelemetry do
  @moduledoc """
  Stands in for the `:telemetry` of a host application, which is no dependency of this project.

  The module `:telemetry` is made when a test asks for it and gone afterwards, so that everything
  else runs without. One for the whole VM: only for tests that are not `async`.
  """

  alias BaileysEx.Auth.Telemetry

  @doc "From now on each event is a message `{:telemetry, event, measurements, metadata}` here."
  def setup_telemetry(_context) do
    test = self()
    :persistent_term.put(__MODULE__, test)

    Code.compile_quoted(
      quote do
        defmodule :telemetry do
          def execute(event, measurements, metadata) do
            receiver = :persistent_term.get(unquote(__MODULE__))
            send(receiver, {:telemetry, event, measurements, metadata})
            :ok
          end
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
    end)

    :ok
  end

  @doc "The events that have come so far, as `{event, measurements, metadata}`."
  def events do
    receive do
      {:telemetry, event, measurements, metadata} -> [{event, measurements, metadata} | events()]
    after
      0 -> []
    end
  end

  @doc "Those with one name."
  def events(name) do
    for {[:baileys_ex_auth | ^name], measurements, metadata} <- events() do
      {measurements, metadata}
    end
  end
end
