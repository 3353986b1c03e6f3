defmodule BaileysEx.Auth.CLI.Backends do
  @moduledoc false
  # The backends, by the names that people type and read.

  alias BaileysEx.Auth.{
    BaileysJSON,
    FilePersistence,
    Inspection,
    NativeFilePersistence,
    PostgresPersistence
  }

  @modules %{"native" => NativeFilePersistence, "json" => FilePersistence}
  # Rows and documents can only be read. An account in PostgreSQL is not in the file system.
  @names Map.new(@modules, fn {name, module} -> {module, name} end)
         |> Map.merge(%{BaileysJSON => "json", PostgresPersistence => "postgres"})

  @spec name(module()) :: String.t()
  def name(module), do: Map.fetch!(@names, module)

  @doc "Returns the backend that `--backend` names, or else the one that the directory's files show."
  @spec of(Path.t(), keyword()) :: {:ok, module()} | {:error, term()} | {:usage, String.t()}
  def of(path, options) do
    case given(options) do
      {:ok, [backend: module]} -> existing(path, module)
      {:ok, []} -> Inspection.detect(path)
      mistake -> mistake
    end
  end

  @doc "Returns `--backend` as an option of functions, or no option if it was not given."
  @spec given(keyword()) :: {:ok, [backend: module()]} | {:usage, String.t()}
  def given(options) do
    case Keyword.fetch(options, :backend) do
      {:ok, name} when is_map_key(@modules, name) -> {:ok, [backend: Map.fetch!(@modules, name)]}
      {:ok, _name} -> {:usage, "--backend is native or json"}
      :error -> {:ok, []}
    end
  end

  # A backend treats a missing directory as an empty one, but in a command it is a mistake.
  defp existing(path, module) do
    with {:ok, _names} <- File.ls(path), do: {:ok, module}
  end
end
