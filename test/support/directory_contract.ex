defmodule BaileysEx.Auth.DirectoryContract do
  @moduledoc """
  The promises of a backend over directories, tested for each such backend:

      use BaileysEx.Auth.DirectoryContract,
        backend: BaileysEx.Auth.FilePersistence,
        extension: ".json",
        manifest: ".baileys_ex_file_persistence.json"
  """

  import Bitwise

  alias BaileysEx.Auth.{CorruptFileError, Fixtures, InvalidKeyError, InvalidTermError, State}

  defmacro __using__(opts) do
    quote do
      use ExUnit.Case, async: true

      import BaileysEx.Auth.{DirectoryContract, PersistenceContract}
      import BaileysEx.Auth.TempDir

      @backend unquote(opts[:backend])
      @extension unquote(opts[:extension])
      @manifest unquote(opts[:manifest])

      setup :setup_temp_dir

      setup %{tmp: tmp} do
        {:ok, path: Path.join(tmp, "auth")}
      end

      contract_credentials()
      contract_keys()
      contract_files()
      contract_names()
      contract_damage()
      contract_helper()
    end
  end

  defmacro contract_files do
    quote do
      describe "files" do
        test "are the user's own", %{path: path} do
          :ok = @backend.save_keys(path, :"pre-key", 1, pre_key())
          assert (File.stat!(path).mode &&& 0o777) == 0o700

          for name <- File.ls!(path) do
            assert (File.stat!(Path.join(path, name)).mode &&& 0o777) == 0o600, name
          end
        end
      end
    end
  end

  defmacro contract_names do
    quote do
      describe "file names" do
        test "of ids that want the same one never overwrite each other", %{path: path} do
          for {first, second} <- [
                {"a/b", "a__b"},
                {"c__d", "c/d"},
                {"e:f", "e-f"},
                {"g-h", "g:h"}
              ] do
            :ok = @backend.save_keys(path, :"lid-mapping", first, "first")

            assert {:error, %InvalidKeyError{type: "lid-mapping", id: ^second}} =
                     @backend.save_keys(path, :"lid-mapping", second, "second")

            assert {:ok, "first"} = @backend.load_keys(path, :"lid-mapping", first)
            assert {:error, :not_found} = @backend.load_keys(path, :"lid-mapping", second)
            assert :ok = @backend.delete_keys(path, :"lid-mapping", second)
            assert {:ok, "first"} = @backend.load_keys(path, :"lid-mapping", first)

            :ok = @backend.delete_keys(path, :"lid-mapping", first)
            assert :ok = @backend.save_keys(path, :"lid-mapping", second, "second")
            assert {:ok, "second"} = @backend.load_keys(path, :"lid-mapping", second)
          end
        end

        test "of colliding ids in one commit are refused", %{path: path} do
          assert {:error, %InvalidKeyError{}} =
                   @backend.commit_keys(path, %{"lid-mapping": %{"a/b" => "1", "a__b" => "2"}})

          assert nothing_listed?(@backend, path)
        end

        test "that guess wrong are written down", %{path: path} do
          ids = ["alice/device:0", "a__b", "x:y:z", "__"]
          for id <- ids, do: :ok = @backend.save_keys(path, :"lid-mapping", id, id)
          assert {:ok, %{"lid-mapping": listed}} = @backend.list_keys(path)
          assert Enum.sort(listed) == Enum.sort(ids)

          copy = path <> "-copy"
          File.cp_r!(path, copy)
          assert {:ok, %{"lid-mapping": listed}} = @backend.list_keys(copy)
          assert Enum.sort(listed) == Enum.sort(ids)
          for id <- ids, do: assert({:ok, ^id} = @backend.load_keys(copy, :"lid-mapping", id))
        end

        test "that no file can have are refused", %{path: path} do
          long = String.duplicate("x", 250)

          for id <- [long, "a\0b", <<255, 254>>, "x.tmp-1"] do
            assert {:error, %InvalidKeyError{type: "lid-mapping"}} =
                     @backend.save_keys(path, :"lid-mapping", id, "1")

            assert {:error, %InvalidKeyError{}} = @backend.load_keys(path, :"lid-mapping", id)
          end
        end

        test "never leave the directory", %{path: path, tmp: tmp} do
          for id <- ["../../x", "/etc/passwd", "..", "."] do
            :ok = @backend.save_keys(path, :"lid-mapping", id, id)
            assert {:ok, ^id} = @backend.load_keys(path, :"lid-mapping", id)
          end

          assert File.ls!(tmp) == ["auth"]
          assert path |> File.ls!() |> Enum.all?(&File.regular?(Path.join(path, &1)))
        end
      end
    end
  end

  defmacro contract_damage do
    quote do
      describe "a damaged file" do
        test "of credentials is an error and never a fresh identity", %{path: path} do
          :ok = @backend.save_credentials(path, State.new())
          checkpoint(@backend, path)
          file = Path.join(path, "creds" <> @extension)
          whole = File.read!(file)

          for bytes <- ["", binary_part(whole, 0, 40), "null", "[]", <<131, 106>>, <<0>>] do
            File.write!(file, bytes)
            assert {:error, %CorruptFileError{path: ^file}} = @backend.load_credentials(path)
            assert File.read!(file) == bytes
          end
        end

        test "of a key costs that key alone", %{path: path} do
          for id <- 1..2, do: :ok = @backend.save_keys(path, :"pre-key", id, pre_key())
          checkpoint(@backend, path)
          file = Path.join(path, "pre-key-1" <> @extension)

          for bytes <- ["", "{", <<131>>, <<131, 104>>] do
            File.write!(file, bytes)

            assert {:error, %CorruptFileError{path: ^file} = error} =
                     @backend.load_keys(path, :"pre-key", 1)

            assert Exception.message(error) =~ "pre-key-1"
          end

          assert {:ok, _} = @backend.load_keys(path, :"pre-key", 2)
          key = pre_key()
          assert :ok = @backend.save_keys(path, :"pre-key", 1, key)
          assert {:ok, ^key} = @backend.load_keys(path, :"pre-key", 1)
        end

        test "that is a link is not followed", %{path: path, tmp: tmp} do
          :ok = @backend.save_keys(path, :"pre-key", 1, pre_key())
          checkpoint(@backend, path)
          outside = Path.join(tmp, "outside")
          File.rename!(Path.join(path, "pre-key-1" <> @extension), outside)
          File.ln_s!(outside, Path.join(path, "pre-key-1" <> @extension))
          before = File.read!(outside)

          assert {:error, %CorruptFileError{}} = @backend.load_keys(path, :"pre-key", 1)

          assert {:error, %CorruptFileError{}} =
                   @backend.save_keys(path, :"pre-key", 1, pre_key())

          assert File.read!(outside) == before
        end

        test "that a crash left behind is never read", %{path: path} do
          :ok = @backend.save_keys(path, :"pre-key", 1, pre_key())
          checkpoint(@backend, path)
          whole = File.read!(Path.join(path, "pre-key-1" <> @extension))
          File.write!(Path.join(path, "pre-key-2#{@extension}.tmp-1234"), whole)
          File.write!(Path.join(path, "pre-key-3#{@extension}.bak"), whole)

          assert {:ok, %{"pre-key": ["1"]}} = @backend.list_keys(path)
          assert {:error, :not_found} = @backend.load_keys(path, :"pre-key", 2)
        end
      end

      describe "the manifest" do
        test "of a later version, another backend or damaged is an error, and nothing is touched",
             %{path: path} do
          :ok = @backend.save_keys(path, :"pre-key", 1, pre_key())
          # Otherwise the journal, which contains the manifest, would restore it.
          checkpoint(@backend, path)
          assert File.exists?(Path.join(path, @manifest))

          cases = [
            {%{"backend" => backend_name(@backend), "version" => 99, "key_index" => %{}},
             {:unsupported_persistence_version, @backend, 99}},
            {%{"backend" => "postgres", "version" => 1, "key_index" => %{}},
             {:unexpected_persistence_backend, @backend, "postgres"}}
          ]

          for {manifest, reason} <- cases do
            copy = "#{path}-#{System.unique_integer([:positive])}"
            File.cp_r!(path, copy)
            File.write!(Path.join(copy, @manifest), render(manifest, @extension))
            before = Fixtures.files!(copy)

            assert {:error, ^reason} = @backend.load_keys(copy, :"pre-key", 1)
            assert {:error, ^reason} = @backend.save_keys(copy, :"pre-key", 1, pre_key())
            assert {:error, ^reason} = @backend.load_credentials(copy)
            assert {:error, ^reason} = @backend.list_keys(copy)
            assert Fixtures.files!(copy) == before
          end

          copy = path <> "-damaged"
          File.cp_r!(path, copy)
          File.write!(Path.join(copy, @manifest), "garbage")

          assert {:error, {:invalid_persistence_metadata, @backend, _}} =
                   @backend.load_keys(copy, :"pre-key", 1)
        end
      end
    end
  end

  defmacro contract_helper do
    quote do
      describe "a snapshot" do
        test "is the directory as it was, usable at once, and goes its own way", %{path: path} do
          :ok = @backend.save_credentials(path, State.new(platform: "then"))
          for id <- 1..5, do: :ok = @backend.save_keys(path, :"lid-mapping", id, "then")
          copy = path <> "-copy"
          # The leftover of a killed snapshot, beside the target.
          leftover = Path.join(Path.dirname(copy), ".auth-copy.baileys_ex.tmp-0123456789abcdef")
          File.mkdir!(leftover)
          File.write!(Path.join(leftover, "creds.json"), "{")

          assert :ok = @backend.snapshot(path, copy)
          refute File.exists?(leftover)
          :ok = @backend.commit_keys(path, %{"lid-mapping": %{1 => nil, 2 => "now"}})
          :ok = @backend.save_keys(copy, :"lid-mapping", 3, "copy")

          for {id, here, there} <- [
                {1, {:error, :not_found}, {:ok, "then"}},
                {2, {:ok, "now"}, {:ok, "then"}},
                {3, {:ok, "then"}, {:ok, "copy"}}
              ] do
            assert @backend.load_keys(path, :"lid-mapping", id) == here
            assert @backend.load_keys(copy, :"lid-mapping", id) == there
          end

          assert {:ok, %{platform: "then"}} = @backend.load_credentials(copy)
          assert {:error, :enotempty} = @backend.snapshot(path, copy)
        end
      end

      describe "the auth-state helper" do
        test "gives state, connect options and a way to save", %{path: path} do
          assert {:ok, helper} = use_auth_state(@backend, path)
          assert %{state: %State{} = state, save_creds: save_creds} = helper

          assert helper.connect_opts == [
                   signal_store_module: BaileysEx.Auth.KeyStore,
                   signal_store_opts: [persistence_module: @backend, persistence_context: path]
                 ]

          one = %{state | platform: "one"}
          assert :ok = save_creds.(one)
          assert {:ok, ^one} = @backend.load_credentials(path)

          two = %{state | platform: "two"}
          assert :ok = save_creds.(Map.from_struct(two))
          assert {:ok, ^two} = @backend.load_credentials(path)

          three = %{state | platform: "three"}
          assert :ok = save_creds.(%{creds: three})
          assert {:ok, ^three} = @backend.load_credentials(path)

          four = %{state | platform: "four"}
          assert :ok = save_creds.(%{creds: Map.from_struct(four), keys: %{}})
          assert {:ok, ^four} = @backend.load_credentials(path)

          assert {:error, %InvalidTermError{}} = save_creds.(%{platform: "half"})
          assert {:ok, %{state: ^four}} = use_auth_state(@backend, path)
        end
      end
    end
  end

  def use_auth_state(BaileysEx.Auth.FilePersistence = backend, path) do
    backend.use_multi_file_auth_state(path)
  end

  def use_auth_state(BaileysEx.Auth.NativeFilePersistence = backend, path) do
    backend.use_native_file_auth_state(path)
  end

  def checkpoint(BaileysEx.Auth.FilePersistence, _path), do: :ok
  def checkpoint(backend, path), do: :ok = backend.checkpoint(path)

  def backend_name(BaileysEx.Auth.FilePersistence), do: "file_persistence"
  def backend_name(BaileysEx.Auth.NativeFilePersistence), do: "native_file_persistence"

  def render(manifest, ".etf"), do: :erlang.term_to_binary(manifest)

  def render(manifest, ".json") do
    ~s({"backend":"#{manifest["backend"]}","version":#{manifest["version"]},"key_index":{}})
  end
end
