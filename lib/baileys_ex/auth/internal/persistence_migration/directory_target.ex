defmodule BaileysEx.Auth.PersistenceMigration.DirectoryTarget do
  @moduledoc false
  # Makes a directory from rows, and publishes it at once.
  @behaviour BaileysEx.Auth.PersistenceMigration.Rows

  alias BaileysEx.Auth.Directory.Busy
  alias BaileysEx.Auth.Native
  alias BaileysEx.Auth.PersistenceMigration.Directories

  @enforce_keys [:backend, :format, :path]
  defstruct [:backend, :format, :path, :handle, :call, :source]

  @impl true
  def described(target), do: {target.backend, target.path}

  @impl true
  def directories(target), do: [target.path]

  @impl true
  def receive(target, call, opts, sender_keys, source) do
    json = {opts.sender_keys, opts.old_device_names?}

    begin = fn ->
      Native.incoming_begin(
        target.path,
        target.format,
        Directories.flags(opts),
        json,
        sender_keys
      )
    end

    with {:ok, handle} <- Directories.result(target, call.(fn -> Busy.wait(begin) end)) do
      {:ok, %{target | handle: handle, call: call, source: source}}
    end
  end

  @impl true
  def put(target, rows) do
    with :ok <-
           Directories.result(
             target,
             target.call.(fn -> Native.incoming_put(target.handle, rows) end)
           ) do
      {:ok, target}
    end
  end

  @impl true
  def publish(%{source: %from{} = source} = target, carried) do
    case target.call.(fn -> Native.incoming_publish(target.handle) end) do
      {:ok, published, skipped} ->
        {:ok, told(carried, Directories.carried(published), from.damage(source, skipped))}

      {:error, {:damaged_rows, rows}} ->
        {:error, from.damaged_error(source, from.damage(source, rows))}

      error ->
        Directories.result(target, error)
    end
  end

  # The counts are those of the target; each side has its own list of what was left out.
  defp told(carried, published, skipped) do
    Map.merge(carried, %{published | skipped: skipped}, fn
      _notes, of_source, of_target when is_list(of_source) -> of_source ++ of_target
      :bytes_read, of_source, _of_target -> of_source
      _count, _of_source, of_target -> of_target
    end)
  end

  @impl true
  def close(target), do: target.call.(fn -> Native.incoming_abort(target.handle) end)
end
