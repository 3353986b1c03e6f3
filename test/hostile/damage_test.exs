defmodule BaileysEx.Hostile.DamageTest do
  # Everything that can be wrong with a file is reported, with the file and the reason, all at once.
  use ExUnit.Case, async: true

  import BaileysEx.Auth.TempDir

  alias BaileysEx.Auth.{CorruptFileError, DamagedDirectoryError, Fixtures}
  alias BaileysEx.Test.Damage

  setup :setup_temp_dir

  for {form, extension} <- [baileys: ".json", native: ".etf"] do
    describe "a #{extension} directory" do
      @describetag form: form, extension: extension
      setup %{tmp: tmp, form: form} do
        {:ok, path: Fixtures.copy!(form, tmp), backend: Fixtures.backend(form)}
      end

      test "that is whole says what it holds", %{backend: backend, path: path} do
        assert {:ok, report} = backend.verify(path)
        assert %{credentials?: true, ignored: [], bytes_read: bytes, families: families} = report
        assert families |> Map.values() |> Enum.sum() == 98
        assert bytes > 10_000
      end

      test "with empty and cut off files names every one of them", context do
        %{path: path, extension: extension} = context
        names = for name <- File.ls!(path), not String.starts_with?(name, "."), do: name

        # Damages every file of the directory, each in a different way.
        for {name, index} <- Enum.with_index(Enum.sort(names)) do
          file = Path.join(path, name)
          whole = File.read!(file)
          cut = rem(index * 7919, byte_size(whole))
          File.write!(file, if(rem(index, 5) == 0, do: "", else: binary_part(whole, 0, cut)))
        end

        assert Enum.sort(names) == Damage.told(context.backend, context.path)
        assert ("creds" <> extension) in names
      end

      test "with files of another kind of content names every one of them", context do
        %{path: path, extension: extension} = context

        # A number fits no family, and neither does a list of numbers. But values that cryptography does not
        # need are carried over as found.
        names =
          for family <- families() -- carried(),
              {content, index} <- Enum.with_index(wrong(extension)),
              not useless_states?(family, content) do
            name = "#{family}-wrong#{index}#{extension}"
            File.write!(Path.join(path, name), content)
            name
          end

        assert Enum.sort(names) == Damage.told(context.backend, context.path)
      end

      test "with leftovers and foreign files reads none and lists all", context do
        %{backend: backend, path: path, extension: extension, tmp: tmp} = context
        whole = File.read!(Path.join(path, "pre-key-1" <> extension))

        foreign = [
          "creds#{extension}.tmp-17",
          "pre-key-900#{extension}.tmp-3f2a.tmp-x",
          "pre-key-901#{extension}.bak",
          "creds#{extension}.bak",
          "pre-key-902#{extension}~",
          ".DS_Store",
          "README.txt",
          "pre-key-903.zip"
        ]

        for name <- foreign, do: File.write!(Path.join(path, name), whole)
        File.mkdir!(Path.join(path, "backup"))
        File.write!(Path.join(path, "backup/creds" <> extension), "")
        File.ln_s!(tmp, Path.join(path, "elsewhere"))
        ignored = Enum.sort(["backup", "elsewhere" | foreign])

        assert {:ok, %{ignored: ^ignored, families: families}} = backend.verify(path)
        assert families |> Map.values() |> Enum.sum() == 98

        assert {:ok, %{ignored: ^ignored, migrated_keys: 98}} =
                 Damage.migrate(backend, path, Path.join(tmp, "target"))

        assert {:ok, keys} = backend.list_keys(path)
        assert length(keys[:"pre-key"]) == 39
        for name <- foreign, do: assert(File.read!(Path.join(path, name)) == whole)
      end

      test "with anything but files under the names of keys names every one", context do
        %{path: path, extension: extension, tmp: tmp} = context
        outside = Path.join(tmp, "outside")
        File.cp!(Path.join(path, "pre-key-1" <> extension), outside)
        at = &Path.join(path, "pre-key-#{&1}#{extension}")

        File.mkdir!(at.("directory"))
        File.ln_s!(outside, at.("link"))
        File.ln_s!(Path.join(path, "pre-key-1" <> extension), at.("inside-link"))
        File.ln_s!(Path.join(tmp, "missing"), at.("dangling-link"))
        File.ln_s!(at.("loop"), at.("loop"))
        # Opening it for reading would wait for a writer for ever.
        {_, 0} = System.cmd("mkfifo", [at.("fifo")])
        socket(at.("socket"))

        assert Damage.told(context.backend, context.path) ==
                 for(
                   name <- ~w(dangling-link directory fifo link loop socket),
                   do: "pre-key-#{name}#{extension}"
                 )

        # Loading each of them reports the same, without waiting and without following links.
        for id <- ~w(dangling-link directory fifo link loop socket) do
          assert {:error, %CorruptFileError{kind: kind} = error} =
                   context.backend.load_keys(path, :"pre-key", id)

          assert kind == if(id =~ ~r/link|loop/, do: :symbolic_link, else: :not_a_file)
          refute CorruptFileError.advice(error) <> Exception.message(error) =~ "backup"
        end

        assert {:ok, _inside} = context.backend.load_keys(path, :"pre-key", "inside-link")
      end

      test "whose credentials are no file is never taken for one without", context do
        %{backend: backend, path: path, extension: extension, tmp: tmp} = context
        file = Path.join(path, "creds" <> extension)
        outside = Path.join(tmp, "outside")
        File.rename!(file, outside)

        for make <- [
              fn -> File.mkdir!(file) end,
              fn -> File.ln_s!(outside, file) end,
              fn -> File.ln_s!("nowhere", file) end,
              fn -> {_, 0} = System.cmd("mkfifo", [file]) end
            ] do
          make.()
          assert {:error, %CorruptFileError{path: ^file}} = backend.load_credentials(path)
          assert Damage.told(context.backend, context.path) == ["creds" <> extension]

          assert {:error, %DamagedDirectoryError{}} =
                   Damage.migrate(backend, path, Path.join(tmp, "target"), on_corrupt: :skip)

          File.rm_rf!(file)
        end
      end

      test "whose files may not be read says so and skips none of them", context do
        %{backend: backend, path: path, extension: extension, tmp: tmp} = context
        # Root can read everything.
        if System.cmd("id", ["-u"]) != {"0\n", 0} do
          File.chmod!(Path.join(path, "pre-key-1" <> extension), 0o000)
          assert {:error, :eacces} = backend.load_keys(path, :"pre-key", 1)
          assert Damage.told(context.backend, context.path) == ["pre-key-1" <> extension]

          assert {:error, %DamagedDirectoryError{}} =
                   Damage.migrate(backend, path, Path.join(tmp, "target"), on_corrupt: :skip)
        end
      end
    end
  end

  defp families do
    ~w(session pre-key sender-key sender-key-memory app-state-sync-key app-state-sync-version
       lid-mapping device-list tctoken identity-key)
  end

  # A list of states without keys is an empty record, because Baileys reads state by state.
  defp useless_states?(family, content) do
    family == "sender-key" and String.starts_with?(content, "[")
  end

  defp carried, do: ~w(sender-key-memory lid-mapping device-list)

  defp wrong(".json"), do: ["17", "[1,2,3]", "true", ~s([["a"]])]
  defp wrong(".etf"), do: Enum.map([17, [1, 2, 3], true, {:a}], &:erlang.term_to_binary/1)

  defp socket(path) do
    {:ok, socket} = :gen_tcp.listen(0, [:local, ifaddr: {:local, path}])
    on_exit(fn -> :gen_tcp.close(socket) end)
  end
end
