defmodule BaileysEx.Auth.PersistenceContract do
  @moduledoc """
  The promises of every backend about credentials and keys, as macros that define the tests for `@backend`.
  `BaileysEx.Auth.DirectoryContract` has the additional promises of directories.
  """

  alias BaileysEx.Auth.{Fixtures, InvalidTermError, State}

  defmacro contract_credentials do
    quote do
      describe "credentials" do
        test "are fresh and not written where none were saved", %{path: path} do
          assert {:ok, %State{} = one} = @backend.load_credentials(path)
          assert {:ok, %State{} = two} = @backend.load_credentials(path)
          assert one.noise_key != two.noise_key
          assert stored(@backend, path) == :nothing
        end

        test "go with every key when the account ends, and it can be paired anew", %{path: path} do
          assert :ok = @backend.delete_auth_state(path)
          assert stored(@backend, path) == :nothing or is_binary(path) == false

          :ok = @backend.save_credentials(path, State.new())
          keys = %{"lid-mapping": %{"1" => "2", "3" => "4"}, "pre-key": %{"1" => pre_key()}}
          :ok = @backend.commit_keys(path, keys)
          assert :ok = @backend.delete_auth_state(path)
          assert @backend.list_keys(path) == {:ok, %{}}

          assert {:error, {:no_credentials, _}} =
                   @backend.load_credentials(path, must_exist: true)

          assert @backend.load_keys(path, :"pre-key", 1) == {:error, :not_found}
          assert :ok = @backend.delete_auth_state(path)

          {:ok, fresh} = @backend.load_credentials(path)
          :ok = @backend.save_credentials(path, fresh)
          assert @backend.load_credentials(path) == {:ok, fresh}
        end

        test "that are deleted are not written back by the store that had them", %{path: path} do
          options = [
            persistence_module: @backend,
            persistence_context: path,
            max_commit_retries: 1
          ]

          {:ok, pid} = BaileysEx.Auth.KeyStore.start_link(options)
          store = BaileysEx.Auth.KeyStore.wrap(pid)
          :ok = BaileysEx.Auth.KeyStore.set(store, %{"lid-mapping": %{"1" => "2"}})
          assert :ok = @backend.delete_auth_state(path)

          for id <- ["1", "never seen"] do
            error =
              assert_raise BaileysEx.Auth.KeyStore.OperationError, fn ->
                BaileysEx.Auth.KeyStore.set(store, %{"lid-mapping": %{id => "3"}})
              end

            assert %BaileysEx.Auth.NotOwnerError{} = error.reason
          end

          GenServer.stop(pid)
          assert @backend.list_keys(path) == {:ok, %{}}

          {:ok, pid} = BaileysEx.Auth.KeyStore.start_link(options)
          store = BaileysEx.Auth.KeyStore.wrap(pid)
          assert :ok = BaileysEx.Auth.KeyStore.set(store, %{"lid-mapping": %{"1" => "3"}})
          GenServer.stop(pid)
        end

        test "are no fresh ones where they must exist", %{path: path} do
          assert {:error, {:no_credentials, place}} =
                   @backend.load_credentials(path, must_exist: true)

          assert place == place_of(path)

          assert stored(@backend, path) == :nothing
          :ok = @backend.save_keys(path, :"lid-mapping", "1", "2")

          assert {:error, {:no_credentials, ^place}} =
                   @backend.load_credentials(path, must_exist: true)

          state = State.new()
          :ok = @backend.save_credentials(path, state)
          assert {:ok, ^state} = @backend.load_credentials(path, must_exist: true)
          assert {:ok, ^state} = @backend.load_credentials(path, must_exist: false)

          assert_raise ArgumentError, ~r/unknown options \[:must_exists\]; .*:must_exist/, fn ->
            @backend.load_credentials(path, must_exists: true)
          end
        end

        test "are given back as they were saved", %{path: path} do
          state =
            State.new(me: %{id: "1@s.whatsapp.net"}, additional_data: %{"a" => [1, "b", nil]})

          assert :ok = @backend.save_credentials(path, state)
          assert {:ok, ^state} = @backend.load_credentials(path)
        end

        test "without an identity are refused, and the saved ones stay", %{path: path} do
          state = State.new()
          :ok = @backend.save_credentials(path, state)

          for field <- [:noise_key, :signed_identity_key, :signed_pre_key, :adv_secret_key] do
            assert {:error, %InvalidTermError{} = error} =
                     @backend.save_credentials(path, Map.put(state, field, nil))

            assert Exception.message(error) =~ to_string(field)
          end

          assert {:ok, ^state} = @backend.load_credentials(path)
        end

        test "that hold what no file can hold are refused, and the saved ones stay",
             %{path: path} do
          state = State.new()
          :ok = @backend.save_credentials(path, state)

          for bad <- [self(), make_ref(), fn -> :secret end] do
            assert {:error, {:invalid_additional_data, message}} =
                     @backend.save_credentials(path, %{state | additional_data: %{"x" => bad}})

            assert message =~ "creds.additional_data.x: "

            nested = %{"a" => [1, %{"with-dash" => %{"_b2" => bad}}]}

            assert {:error, {:invalid_additional_data, message}} =
                     @backend.save_credentials(path, %{state | additional_data: nested})

            assert message =~ "creds.additional_data.a[].with-dash._b2: "

            # Text that may be data of the account is not treated as a name.
            for key <- ["15551230001", String.duplicate("k", 44), "a b", <<255>>] do
              data = %{"in" => %{key => bad}}

              assert {:error, {:invalid_additional_data, message}} =
                       @backend.save_credentials(path, %{state | additional_data: data})

              assert message =~ "creds.additional_data.in[]: "
            end
          end

          assert {:ok, ^state} = @backend.load_credentials(path)
        end
      end
    end
  end

  defmacro contract_keys do
    quote do
      describe "keys" do
        test "of every family are given back as they were saved", %{path: path} do
          terms = Fixtures.load_all!(Fixtures.backend(:native), Fixtures.path(:native))
          :ok = @backend.save_credentials(path, terms.creds)

          for {{type, id}, term} <- terms do
            assert :ok = @backend.save_keys(path, type, id, term)
            assert {:ok, loaded} = @backend.load_keys(path, type, id)
            assert without_times(loaded) == term, "#{type} #{id}"
          end
        end

        test "of a family that is not known are plain data", %{path: path} do
          term = %{"text" => "x", "bytes" => <<0, 255>>, "list" => [1, 2.5, true, nil]}
          assert :ok = @backend.save_keys(path, :"family-of-the-future", "a/b:c", term)
          assert {:ok, ^term} = @backend.load_keys(path, :"family-of-the-future", "a/b:c")
          assert {:ok, %{"family-of-the-future": ["a/b:c"]}} = @backend.list_keys(path)
        end

        test "that were never saved are not found", %{path: path} do
          assert {:error, :not_found} = @backend.load_keys(path, :session, "1.0")
          :ok = @backend.save_keys(path, :"pre-key", 1, pre_key())
          assert {:error, :not_found} = @backend.load_keys(path, :session, "1.0")
          assert {:error, :not_found} = @backend.load_keys(path, :"pre-key", 11)
        end

        test "are gone when deleted, and deleting them again is fine", %{path: path} do
          assert :ok = @backend.delete_keys(path, :"pre-key", 1)
          :ok = @backend.save_keys(path, :"pre-key", 1, pre_key())
          assert :ok = @backend.delete_keys(path, :"pre-key", 1)
          assert :ok = @backend.delete_keys(path, :"pre-key", 1)
          assert {:error, :not_found} = @backend.load_keys(path, :"pre-key", 1)
        end

        test "saved as nil are deleted", %{path: path} do
          :ok = @backend.save_keys(path, :"pre-key", 1, pre_key())
          assert :ok = @backend.save_keys(path, :"pre-key", 1, nil)
          assert {:error, :not_found} = @backend.load_keys(path, :"pre-key", 1)
        end

        test "have integer ids too", %{path: path} do
          key = pre_key()
          :ok = @backend.save_keys(path, :"pre-key", 7, key)
          assert {:ok, ^key} = @backend.load_keys(path, :"pre-key", "7")
        end

        test "are listed by type", %{path: path} do
          assert nothing_listed?(@backend, path)
          :ok = @backend.save_credentials(path, State.new())
          assert {:ok, empty} = @backend.list_keys(path)
          assert empty == %{}
          for id <- 1..3, do: :ok = @backend.save_keys(path, :"pre-key", id, pre_key())
          :ok = @backend.save_keys(path, :"lid-mapping", "1_reverse", "2")

          assert {:ok, keys} = @backend.list_keys(path)
          assert %{"pre-key": ids, "lid-mapping": ["1_reverse"]} = keys
          assert Enum.sort(ids) == ["1", "2", "3"]
          assert map_size(keys) == 2
        end

        test "are saved and deleted in one commit", %{path: path} do
          :ok = @backend.commit_keys(path, %{"pre-key": Map.new(1..5, &{&1, pre_key()})})
          key = pre_key()

          assert :ok =
                   @backend.commit_keys(path, %{
                     "pre-key": %{1 => nil, 2 => key, 99 => nil},
                     "lid-mapping": %{"1" => "2"}
                   })

          assert {:error, :not_found} = @backend.load_keys(path, :"pre-key", 1)
          assert {:ok, ^key} = @backend.load_keys(path, :"pre-key", 2)
          assert {:ok, "2"} = @backend.load_keys(path, :"lid-mapping", "1")
          assert :ok = @backend.commit_keys(path, %{})
        end

        test "are untouched by a commit of which one change is refused", %{path: path} do
          :ok = @backend.commit_keys(path, %{"pre-key": %{1 => pre_key()}})
          before = stored(@backend, path)

          assert {:error, %InvalidTermError{}} =
                   @backend.commit_keys(path, %{
                     "pre-key": %{1 => nil, 2 => pre_key()},
                     "lid-mapping": %{"1" => self()}
                   })

          assert stored(@backend, path) == before
        end

        test "of concurrent writers are all there", %{path: path} do
          1..4
          |> Enum.map(fn writer ->
            Task.async(fn ->
              for n <- 1..20 do
                :ok = @backend.save_keys(path, :"lid-mapping", "#{writer}_#{n}", "#{n}")
              end
            end)
          end)
          |> Task.await_many(60_000)

          assert {:ok, %{"lid-mapping": ids}} = @backend.list_keys(path)
          assert length(ids) == 80
        end
      end
    end
  end

  @doc "A path that leads nowhere may be a mistake; an account is just one of many in a table."
  def nothing_listed?(BaileysEx.Auth.PostgresPersistence, context) do
    BaileysEx.Auth.PostgresPersistence.list_keys(context) == {:ok, %{}}
  end

  def nothing_listed?(backend, path), do: backend.list_keys(path) == {:error, :enoent}

  @doc "Returns the name of a context in errors."
  def place_of(path) when is_binary(path), do: path
  def place_of(context), do: context[:account]

  @doc "Returns everything that is stored, in its stored form, or `:nothing`."
  def stored(BaileysEx.Auth.PostgresPersistence, context) do
    case BaileysEx.Test.PostgresRows.of(context) do
      {[], []} -> :nothing
      rows -> rows
    end
  end

  def stored(_file_backend, path) do
    if File.exists?(path), do: Fixtures.files!(path), else: :nothing
  end

  def pre_key do
    %{private: :crypto.strong_rand_bytes(32), public: :crypto.strong_rand_bytes(32)}
  end

  # A session without times is written with the current time, because Baileys sorts by it.
  def without_times(%BaileysEx.Signal.SessionRecord{sessions: sessions} = record) do
    sessions =
      Map.new(sessions, fn {base_key, session} ->
        {base_key, %{session | index_info: Map.drop(session.index_info, [:used, :created])}}
      end)

    %{record | sessions: sessions}
  end

  def without_times(term), do: term
end
