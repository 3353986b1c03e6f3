defmodule BaileysEx.Auth.DefaultDirectoryTest do
  # The whole VM shares one current directory.
  use ExUnit.Case, async: false

  import BaileysEx.Auth.PersistenceContract, only: [pre_key: 0]
  import BaileysEx.Auth.TempDir

  alias BaileysEx.Auth.{FilePersistence, NativeFilePersistence, State}

  setup :setup_temp_dir

  for {backend, directory} <- [
        {FilePersistence, "baileys_auth_info"},
        {NativeFilePersistence, "baileys_native_auth_info"}
      ] do
    test "#{inspect(backend)} uses #{directory} when no path is given", %{tmp: tmp} do
      backend = unquote(backend)
      state = State.new()

      File.cd!(tmp, fn ->
        assert :ok = backend.save_credentials(state)
        assert {:ok, ^state} = backend.load_credentials()
        assert :ok = backend.save_keys(:"pre-key", 1, pre_key())
        assert {:ok, _} = backend.load_keys(:"pre-key", 1)
        assert {:ok, %{"pre-key": ["1"]}} = backend.list_keys()
        assert :ok = backend.commit_keys(%{"pre-key": %{1 => nil, 2 => pre_key()}})
        assert :ok = backend.delete_keys(:"pre-key", 2)
        assert {:ok, keys} = backend.list_keys()
        assert keys == %{}
        assert File.ls!() == [unquote(directory)]
      end)
    end
  end
end
