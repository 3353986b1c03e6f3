defmodule BaileysEx.Auth.DoctestsTest do
  # The examples name directories under the current one, of which a VM has one.
  use ExUnit.Case, async: false

  import BaileysEx.Auth.TempDir

  alias BaileysEx.Auth.{FilePersistence, KeyStore, NativeFilePersistence}

  setup [:setup_temp_dir, :enter_temp_dir]

  doctest FilePersistence
  doctest NativeFilePersistence
  doctest KeyStore

  defp enter_temp_dir(%{tmp: tmp}) do
    before = File.cwd!()
    File.cd!(tmp)

    on_exit(fn ->
      # A store gives its claim up, under the path that it was given, while the example's process has ended.
      stopped(200)
      File.cd!(before)
    end)
  end

  defp stopped(tries) do
    if tries > 0 and KeyStore.running() != [] do
      Process.sleep(10)
      stopped(tries - 1)
    end
  end
end
