defmodule BaileysEx.Auth.Inspection.Recognition do
  @moduledoc false
  # Recognises auth directories and their backends by the names of their files.

  alias BaileysEx.Auth.Directory.Forms
  alias BaileysEx.Auth.Inspection.Census
  alias BaileysEx.Auth.{Native, NativeFilePersistence}

  @native_manifest ".baileys_ex_native_file_persistence.etf"

  @doc "Returns the backend of a directory with these names: the one in the options, or the one that the names show."
  @spec backend(keyword(), Path.t(), [String.t()]) :: {:ok, module()} | {:error, term()}
  def backend(opts, path, names) do
    with :error <- Forms.given!(opts) do
      recognise(path, for({module, format} <- Forms.all(), holds?(names, format), do: module))
    end
  end

  @doc "Whether this name under `root` is the directory of an account, or a dangling link."
  @spec account?(Path.t(), String.t()) :: boolean()
  def account?(root, name) do
    path = Path.join(root, name)

    place_of_account?(name) and String.valid?(path) and
      (holds_account?(Path.expand(path)) or leads_nowhere?(path))
  end

  @doc "Whether a directory of this name, directly under a root, can belong to an account."
  @spec place_of_account?(String.t()) :: boolean()
  def place_of_account?(name),
    do: not String.starts_with?(name, ".") and name != "lost+found"

  defp holds_account?(path) do
    File.dir?(path) and not match?({:error, {:not_an_auth_directory, _path}}, recognised(path))
  end

  defp recognised(path) do
    with {:ok, names} <- Census.names(path), do: backend([], path, names)
  end

  defp leads_nowhere?(path),
    do: match?({:ok, _to}, File.read_link(path)) and File.stat(path) == {:error, :enoent}

  defp recognise(_path, [module]), do: {:ok, module}

  # The whole account may be in the journal, for example if the file of the credentials was lost.
  defp recognise(path, []) do
    with true <- File.exists?(Path.join(path, @native_manifest)),
         {:ok, {_exists, _epoch, commits, _bytes, _torn}} when commits > 0 <-
           Native.store_journal(path, :etf) do
      {:ok, NativeFilePersistence}
    else
      _nothing -> {:error, {:not_an_auth_directory, path}}
    end
  end

  defp recognise(path, _both), do: {:error, {:ambiguous_auth_directory, path}}

  defp holds?(names, format) do
    names
    |> Census.kinds(format)
    |> Enum.any?(&(&1 == :creds or (is_tuple(&1) and elem(&1, 0) in [:key, :old_key])))
  end
end
