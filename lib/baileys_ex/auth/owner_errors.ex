defmodule BaileysEx.Auth.NotOwnerError do
  @moduledoc """
  A write was refused because the claim that it goes through does not stand any more. Nothing was
  written.

    * `:place` is the directory, or what the backend calls the account
    * `:owner` is the `BaileysEx.Auth.Owner` who has it now; `nil` where nobody has, as after the new
      owner has stopped, or where the directory was replaced
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
    "this process has lost it and writes nothing there: stop its store, or start it again to take " <>
      "it back"
  end
end

defmodule BaileysEx.Auth.LockedError do
  @moduledoc """
  A directory was locked by another process for longer than one waits. Nothing was done.

    * `:path` is the directory
    * `:holder` is who has the lock, such as `"process 4711 on web-2"`, where it is known
  """

  @type t() :: %__MODULE__{path: Path.t(), holder: String.t() | nil}

  @enforce_keys [:path]
  defexception [:path, :holder]

  @impl true
  def message(%__MODULE__{path: path, holder: holder}) do
    "#{path} is locked by #{holder || "another process"}, which has been writing in it all the " <>
      "time: see whether it hangs, or is a migration that takes long, and try again"
  end
end
