defmodule BaileysEx.Auth.CurrentDirectoryTest do
  # The whole VM shares one current directory.
  use ExUnit.Case, async: false

  import BaileysEx.Auth.TempDir

  alias BaileysEx.Auth.{Accounts, FilePersistence, KeyStore, NativeFilePersistence}
  alias BaileysEx.Test.Wait

  @mapping %{"lid-mapping": %{"15550000000" => "800000000"}}

  setup :setup_temp_dir

  # The directory of the VM when things start, and the one afterwards.
  setup %{tmp: tmp} do
    [here, there] = for name <- ["here", "there"], do: Path.join(tmp, name)
    Enum.each([here, there], &File.mkdir!/1)
    before = File.cwd!()
    on_exit(fn -> File.cd!(before) end)
    File.cd!(here)
    %{here: here, there: there}
  end

  defp set(store), do: store |> KeyStore.wrap() |> KeyStore.set(@mapping)

  for backend <- [NativeFilePersistence, FilePersistence], context <- [nil, "auth", ~c"auth"] do
    options = if context, do: [persistence_context: context], else: []
    options = [persistence_module: backend] ++ options

    test "a store with #{inspect(options)} stays where it started", %{here: here, there: there} do
      {:ok, store} = KeyStore.start_link(unquote(options))
      File.cd!(there)
      set(store)

      assert File.ls!(there) == []
      assert %{place: place} = store |> KeyStore.wrap() |> KeyStore.info()
      assert Path.dirname(place) == here
      assert {:ok, %{"lid-mapping": ["15550000000"]}} = unquote(backend).list_keys(place)

      assert {:error, {:already_started, ^store}} =
               KeyStore.start_link(
                 persistence_module: unquote(backend),
                 persistence_context: place
               )
    end

    # Hides the log of the processes that end.
    @tag :capture_log
    test "a supervisor starts a store with #{inspect(options)} again where it was", context do
      {:ok, supervisor} =
        Supervisor.start_link([{KeyStore, unquote(options)}], strategy: :one_for_one)

      [{id, first, _type, _modules}] = Supervisor.which_children(supervisor)
      set(first)
      File.cd!(context.there)
      Process.exit(first, :kill)

      second = Wait.until(fn -> another(supervisor, id, first) end)

      assert second |> KeyStore.wrap() |> KeyStore.get(:"lid-mapping", ["15550000000"]) == %{
               "15550000000" => "800000000"
             }

      assert File.ls!(context.there) == []
    end
  end

  defp another(supervisor, id, first) do
    case Supervisor.which_children(supervisor) do
      [{^id, pid, _type, _modules}] when is_pid(pid) and pid != first -> pid
      _none_yet -> nil
    end
  end

  test "accounts stay under the root where they started", %{here: here, there: there} do
    start_supervised!({Accounts, name: __MODULE__.Accounts, root: "accounts"})
    {:ok, ada} = Accounts.open(__MODULE__.Accounts, "ada")
    File.cd!(there)
    KeyStore.set(ada.store, @mapping)
    :ok = ada.save_creds.(ada.state)
    {:ok, _bob} = Accounts.open(__MODULE__.Accounts, "bob")

    assert File.ls!(there) == []
    assert Enum.sort(File.ls!(Path.join(here, "accounts"))) == ["ada", "bob"]
  end

  test "a backend of one's own is given its context as it is" do
    table = BaileysEx.Test.Backends.Table.new()
    options = [persistence_module: BaileysEx.Test.Backends.Batch, persistence_context: table]
    assert %{start: {KeyStore, :start_link, [^options]}} = KeyStore.child_spec(options)
  end

  test "anything but a path is refused, and not shown" do
    for context <- [nil, :auth, 7, [password: "geheim"], %{path: "auth"}] do
      error =
        assert_raise ArgumentError, fn -> KeyStore.start_link(persistence_context: context) end

      assert Exception.message(error) ==
               "expected :persistence_context to be the path of a directory"
    end
  end
end
