defmodule BaileysEx.Auth.TempDir do
  @moduledoc "A separate directory for each test that asks for one, removed afterwards."

  def setup_temp_dir(_context) do
    path =
      Path.join(
        System.tmp_dir!(),
        "baileys_ex_auth_#{System.os_time()}_#{System.unique_integer([:positive])}"
      )

    File.mkdir_p!(path)
    ExUnit.Callbacks.on_exit(fn -> remove(path, 50) end)
    {:ok, tmp: path}
  end

  # A store that is linked to the test releases its directory only after the test's process has ended.
  defp remove(path, tries) do
    case File.rm_rf(path) do
      {:ok, _removed} ->
        :ok

      {:error, _posix, _file} when tries > 0 ->
        Process.sleep(20)
        remove(path, tries - 1)

      {:error, posix, file} ->
        raise File.Error, reason: posix, action: "remove", path: file
    end
  end
end
