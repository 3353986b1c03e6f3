defmodule BaileysEx.Auth.NotOwnerError do
  @moduledoc """
  A write was refused because somebody else has claimed the directory or account. Nothing was written.

    * `:place` is the directory, or the backend's name for the account
    * `:owner` is the current `BaileysEx.Auth.Owner`, or `nil` if there is none, for instance because the new
      owner has stopped or the directory was replaced
  """

  alias BaileysEx.Auth.Owner

  @type t() :: %__MODULE__{place: String.t(), owner: Owner.t() | nil}

  @enforce_keys [:place]
  defexception [:place, :owner]

  @impl true
  def message(%__MODULE__{place: place, owner: nil}) do
    "#{place} was taken over, and nobody owns it now; " <> advice()
  end

  def message(%__MODULE__{place: place, owner: owner}) do
    "#{place} is owned by #{owner}; " <> advice()
  end

  defp advice do
    "this process has lost it and writes nothing there: stop its store, or restart it to claim it again"
  end
end

defmodule BaileysEx.Auth.LockedError do
  @moduledoc """
  Another process held the lock of a directory for longer than 15 seconds, so nothing was done.

    * `:path` is the directory
    * `:holder` is the process with the lock, such as `"process 4711 on web-2"`, or `nil` if it is not known
  """

  @type t() :: %__MODULE__{path: Path.t(), holder: String.t() | nil}

  @enforce_keys [:path]
  defexception [:path, :holder]

  @impl true
  def message(%__MODULE__{path: path, holder: holder}) do
    "#{path} is locked by #{holder || "another process"}, which has not released it in time: check " <>
      "whether that process hangs, or is a long migration, and try again"
  end
end
