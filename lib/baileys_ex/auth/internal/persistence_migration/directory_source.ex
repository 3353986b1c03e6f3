defmodule BaileysEx.Auth.PersistenceMigration.DirectorySource do
  @moduledoc false
  # The rows of a directory.
  @behaviour BaileysEx.Auth.PersistenceMigration.Rows

  alias BaileysEx.Auth.Directory.Busy
  alias BaileysEx.Auth.{Directory, Native}
  alias BaileysEx.Auth.PersistenceMigration.Directories

  @enforce_keys [:backend, :format, :path]
  defstruct [:backend, :format, :path, :handle, :call]

  @impl true
  def described(source), do: {source.backend, source.path}

  @impl true
  def directories(source), do: [source.path]

  @impl true
  def open(source, call, opts) do
    begin = fn -> Native.outgoing_begin(source.path, source.format, Directories.flags(opts)) end

    with {:ok, _path} <- Directory.text(source.path),
         {:ok, handle, total, sender_keys} <-
           Directories.result(source, call.(fn -> Busy.wait(begin) end)) do
      {:ok, %{source | handle: handle, call: call}, total, sender_keys}
    end
  end

  @impl true
  def next(source) do
    step = fn -> Native.outgoing_step(source.handle, Directories.step()) end

    with {:ok, done, rows} <- Directories.result(source, source.call.(step)) do
      {:ok, source, rows, done}
    end
  end

  @impl true
  def finish(source) do
    with {:ok, carried} <-
           Directories.result(
             source,
             source.call.(fn -> Native.outgoing_finish(source.handle) end)
           ) do
      {:ok, Directories.carried(carried)}
    end
  end

  @impl true
  def close(source), do: source.call.(fn -> Native.outgoing_abort(source.handle) end)
end
