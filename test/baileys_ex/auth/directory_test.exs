defmodule BaileysEx.Auth.DirectoryTest do
  use ExUnit.Case, async: true

  import BaileysEx.Auth.TempDir

  alias BaileysEx.Auth.{Directory, FilePersistence, InvalidKeyError, InvalidTermError}
  alias BaileysEx.Auth.{KeyStore, NativeFilePersistence, PersistenceMigration, State}
  alias BaileysEx.Auth.KeyStore.OperationError

  setup :setup_temp_dir

  test "a directory has one absolute path, however it is spelled" do
    for path <- [
          "/tmp/a",
          "/tmp/a/",
          "/tmp//a",
          "/tmp/./a",
          "/tmp/b/../a",
          "/tmp/a/.",
          "/",
          "//",
          "/.hidden/..a/a..",
          "a",
          "./a",
          "..",
          "~",
          "~/a",
          ~c"a/b",
          ["/tmp", ?/, "a"]
        ] do
      assert Directory.absolute(path) == Path.expand(path)
    end
  end

  describe "several names of one directory" do
    setup %{tmp: tmp} do
      File.mkdir_p!(Path.join(tmp, "releases/1/auth"))
      File.ln_s!(Path.join(tmp, "releases/1"), Path.join(tmp, "current"))
      {:ok, names: for(name <- ["releases/1/auth", "current/auth"], do: Path.join(tmp, name))}
    end

    for backend <- [NativeFilePersistence, FilePersistence] do
      test "share its lock, so that nothing acknowledged is lost: #{inspect(backend)}", context do
        backend = unquote(backend)

        saved =
          for {name, n} <- Enum.with_index(context.names ++ context.names) do
            Task.async(fn -> for k <- 1..40, do: save(backend, name, "#{n}-#{k}") end)
          end
          |> Task.await_many(60_000)
          |> List.flatten()

        assert length(saved) == 160

        for name <- context.names, {id, value} <- saved do
          assert backend.load_keys(name, :"device-list", id) == {:ok, value}
        end
      end
    end

    test "have one state: what latches or is replaced under one is so under the other", context do
      [real, alias_name] = context.names
      :ok = NativeFilePersistence.save_keys(alias_name, :"device-list", 1, ["0"])
      assert Directory.real(alias_name) == {:ok, real}
      assert Directory.real(real) == {:ok, real}
      assert Directory.real(Path.join(alias_name, "not/there")) == {:ok, real <> "/not/there"}
    end

    test "a link that leads nowhere is an error, never a fresh identity", %{tmp: tmp} do
      link = Path.join(tmp, "unmounted")
      File.ln_s!(Path.join(tmp, "volume/auth"), link)

      for backend <- [NativeFilePersistence, FilePersistence] do
        assert backend.load_credentials(link) == {:error, :enoent}
        assert backend.save_credentials(link, State.new()) == {:error, :enoent}
      end
    end
  end

  test "the other backend is refused before it settles or saves anything", %{tmp: tmp} do
    for {owner, other} <- [
          {NativeFilePersistence, FilePersistence},
          {FilePersistence, NativeFilePersistence}
        ] do
      path = Path.join(tmp, inspect(owner))
      :ok = owner.save_credentials(path, State.new())
      :ok = owner.save_keys(path, :"device-list", 1, ["0"])
      before = for name <- File.ls!(path), do: {name, File.read!(Path.join(path, name))}

      for result <- [
            other.load_credentials(path),
            other.load_keys(path, :"device-list", 1),
            other.save_keys(path, :"device-list", 1, ["7"]),
            other.save_credentials(path, State.new()),
            other.recover(path),
            other.snapshot(path, path <> "-copy")
          ] do
        assert {:error, {:unexpected_persistence_backend, ^other, _name}} = result
      end

      Process.flag(:trap_exit, true)
      store = [persistence_module: other, persistence_context: path]
      assert {:error, %OperationError{action: :start}} = KeyStore.start_link(store)

      assert before == for(name <- File.ls!(path), do: {name, File.read!(Path.join(path, name))})
      assert owner.load_keys(path, :"device-list", 1) == {:ok, ["0"]}
    end
  end

  test "two snapshots into each other's source do not wait for each other", %{tmp: tmp} do
    [one, two] = for name <- ["one", "two"], do: Path.join(tmp, name)
    for path <- [one, two], do: :ok = NativeFilePersistence.save_keys(path, :session, 1, 1)

    for {from, to} <- [{one, two}, {two, one}] do
      Task.async(fn -> for _ <- 1..200, do: NativeFilePersistence.snapshot(from, to) end)
    end
    |> Task.await_many(60_000)
    |> List.flatten()
    |> Enum.each(&assert(&1 == {:error, :enotempty}))
  end

  test "a path or a type that is not text is an error that shows nothing", %{tmp: tmp} do
    for backend <- [NativeFilePersistence, FilePersistence] do
      assert backend.save_keys(tmp <> "/\xff", :session, 1, "secret") == {:error, :einval}
      assert backend.load_keys(tmp <> "/\xff", :session, 1) == {:error, :einval}
      assert {:error, %InvalidKeyError{}} = backend.save_keys(tmp, <<255>>, 1, "secret")
      assert {:error, %InvalidKeyError{}} = backend.load_keys(tmp, <<255>>, 1)
    end

    assert PersistenceMigration.migrate_compat_json_to_native(tmp, tmp <> "/\xff") ==
             {:error, :einval}
  end

  test "save_creds refuses what is no state without showing it", %{tmp: tmp} do
    {:ok, auth} = NativeFilePersistence.use_native_file_auth_state(tmp)

    for strange <- [URI.parse("x://secret"), %{creds: URI.parse("x://secret")}, :secret] do
      assert {:error, %InvalidTermError{} = error} = auth.save_creds.(strange)
      refute Exception.message(error) =~ "secret"
    end
  end

  defp save(backend, path, id) do
    :ok = backend.commit_keys(path, %{"device-list": %{id => [id], "#{id}b" => nil}})
    {id, [id]}
  end
end
