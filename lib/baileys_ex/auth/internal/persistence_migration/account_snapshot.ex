defmodule BaileysEx.Auth.PersistenceMigration.AccountSnapshot do
  @moduledoc false
  # A copy of an account that may be in use. An account that is read in pages is read again if it has changed
  # in the meantime.

  alias BaileysEx.Auth.PersistenceMigration.{AccountSource, DirectoryTarget, Rows}

  @tries 5

  @opts %{
    overwrite?: false,
    skip?: false,
    without_credentials?: true,
    ignore_changes?: false,
    include_unknown?: false,
    sender_keys: nil,
    old_device_names?: false
  }

  @spec take(%AccountSource{}, %DirectoryTarget{}, pos_integer()) :: :ok | {:error, term()}
  def take(source, target, tries \\ @tries) do
    opts = Map.put(@opts, :on_progress, fn _progress -> :ok end)

    case Rows.migrate(source, target, opts) do
      {:ok, _summary} -> :ok
      {:error, {:source_changed, _, _}} when tries > 1 -> take(source, target, tries - 1)
      error -> error
    end
  end
end
