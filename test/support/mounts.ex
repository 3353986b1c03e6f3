defmodule BaileysEx.Test.Mounts do
  @moduledoc false

  @doc "Whether this machine lets us run `script` in a new mount namespace, with a new directory as its argument."
  @spec allowed?(String.t()) :: boolean()
  def allowed?(script \\ "mount -t tmpfs none $1") do
    probe =
      Path.join(System.tmp_dir!(), "baileys_ex_auth_mount_#{System.unique_integer([:positive])}")

    File.mkdir_p!(probe)

    try do
      unshare = ["-m", "sh", "-ec", script, "sh", probe]
      match?({_, 0}, System.cmd("unshare", unshare, stderr_to_stdout: true))
    rescue
      _no_unshare -> false
    after
      File.rmdir(probe)
    end
  end
end
