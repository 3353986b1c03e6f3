defmodule BaileysEx.Auth.Telemetry.DefaultLogger do
  @moduledoc false
  # Writes events to the log, one line each.

  require Logger

  alias BaileysEx.Auth.{JSON, Owner}

  @compile {:no_warn_undefined, :telemetry}

  @type config() :: %{level: Logger.level(), encode?: boolean()}

  @spec attach([[atom(), ...]], config()) :: :ok | {:error, :already_exists}
  def attach(events, config) do
    apply(:telemetry, :attach_many, [__MODULE__, events, &__MODULE__.handle/4, config])
  end

  @spec detach() :: :ok | {:error, :not_found}
  def detach, do: apply(:telemetry, :detach, [__MODULE__])

  @doc false
  @spec handle([atom(), ...], map(), map(), config()) :: :ok
  def handle([:baileys_ex_auth | name], measurements, metadata, config) do
    Logger.log(level(name, metadata, config.level), fn ->
      line(name, measurements, metadata, config.encode?)
    end)
  end

  # Failures are logged at any level; frequent successes only if somebody looks for them.
  defp level(_name, %{result: :error}, _level), do: :warning
  defp level([_group, event], _metadata, _level) when event in [:retrying, :lost], do: :warning
  defp level([event], _metadata, _level) when event in [:load, :commit], do: :debug
  defp level([:lock, :wait], _metadata, _level), do: :debug
  defp level(_name, _metadata, level), do: level

  defp line(name, measurements, metadata, encode?) do
    members =
      measurements
      |> Map.merge(metadata)
      |> Map.new(&member/1)
      |> Map.merge(%{source: "baileys_ex_auth", event: Enum.join(name, ":")})

    if encode?, do: JSON.encode(members), else: text(members)
  end

  defp member({:duration, native}),
    do: {:duration_us, System.convert_time_unit(native, :native, :microsecond)}

  defp member({:owner, %Owner{} = owner}), do: {:owner, to_string(owner)}

  defp member({name, module}) when name in [:backend, :source_backend, :target_backend],
    do: {name, inspect(module)}

  defp member({:pid, pid}), do: {:pid, inspect(pid)}
  defp member(other), do: other

  defp text(members) do
    {event, rest} = Map.pop!(members, :event)

    facts =
      for {name, value} <- Map.delete(rest, :source),
          value != nil,
          do: [" ", Atom.to_string(name), "=", shown(value)]

    ["baileys_ex_auth ", event | facts]
  end

  defp shown(list) when is_list(list), do: Enum.join(list, ",")
  defp shown(value), do: to_string(value)
end
