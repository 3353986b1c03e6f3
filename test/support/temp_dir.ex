defmodule BaileysEx.Auth.TempDir do
  @moduledoc "A directory of its own for each test that asks for one, gone afterwards."

  def setup_temp_dir(_context) do
    path =
      Path.join(
        System.tmp_dir!(),
        "baileys_ex_auth_#{System.os_time()}_#{System.unique_integer([:positive])}"
      )

    File.mkdir_p!(path)
    ExUnit.Callbacks.on_exit(fn -> File.rm_rf!(path) end)
    {:ok, tmp: path}
  end
end
