defmodule BaileysEx.Auth.Directory.Forms do
  @moduledoc false
  # The two forms of an auth directory, and their backends.

  alias BaileysEx.Auth.{FilePersistence, NativeFilePersistence}

  @formats %{FilePersistence => :json, NativeFilePersistence => :etf}

  @spec all() :: [{module(), :json | :etf}]
  def all, do: Enum.to_list(@formats)

  @doc "Returns `nil` if the module is not a backend over directories."
  @spec format(module()) :: :json | :etf | nil
  def format(module), do: Map.get(@formats, module)

  @doc "Returns the `:backend` of these options, or `:error` without one. Raises `ArgumentError` for any other module."
  @spec given!(keyword()) :: {:ok, module()} | :error
  def given!(opts) do
    with {:ok, module} when not is_map_key(@formats, module) <- Keyword.fetch(opts, :backend) do
      modules = @formats |> Map.keys() |> Enum.map_join(" or ", &inspect/1)
      raise ArgumentError, "expected :backend to be #{modules}"
    end
  end
end
