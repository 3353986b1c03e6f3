defmodule BaileysEx.Hostile.JournalTest do
  # A journal that is not one of ours: an error names it, nothing is touched, nothing starts afresh, and no
  # commit is silently lost.
  use ExUnit.Case, async: true

  import BaileysEx.Auth.TempDir

  alias BaileysEx.Auth.{CorruptFileError, FilePersistence, Fixtures, NativeFilePersistence, State}

  @journal ".baileys_ex.journal"
  @header 36

  setup :setup_temp_dir

  # A directory with three commits in its journal, as a killed VM leaves it.
  setup %{tmp: tmp} do
    path = Path.join(tmp, "auth")
    # The first commit of a directory goes to the files at once.
    :ok = NativeFilePersistence.save_keys(path, :"lid-mapping", "0", "zero")
    :ok = NativeFilePersistence.save_credentials(path, State.new())
    :ok = NativeFilePersistence.save_keys(path, :"lid-mapping", "1", "one")
    :ok = NativeFilePersistence.save_keys(path, :"lid-mapping", "2", "two")
    journal = File.read!(Path.join(path, @journal))
    {:ok, path: path, journal: journal, records: records(journal)}
  end

  # Returns the offset of each record, and the end of the last one.
  defp records(journal), do: records(journal, @header, [])

  defp records(journal, at, starts) do
    case :erlang.split_binary(journal, at) do
      {_before, <<"BXRC", length::little-32, _::binary>>} ->
        records(journal, at + 48 + length, [at | starts])

      _zeros ->
        Enum.reverse([at | starts])
    end
  end

  # Makes a copy that this VM has not opened yet.
  defp copy_with(path, journal) do
    copy = "#{path}-#{System.unique_integer([:positive])}"
    File.cp_r!(path, copy)
    File.write!(Path.join(copy, @journal), journal)
    copy
  end

  defp operations(backend, path) do
    [
      backend.load_credentials(path),
      backend.load_keys(path, :"lid-mapping", "1"),
      backend.list_keys(path),
      backend.save_keys(path, :"lid-mapping", "1", "new"),
      backend.delete_keys(path, :"lid-mapping", "1"),
      backend.verify(path),
      backend.recover(path)
    ]
  end

  test "that is damaged before its last commit is refused, and nothing is touched", context do
    %{path: path, journal: journal, records: [first, second, third, _end]} = context

    hostile = [
      "",
      "garbage",
      :binary.copy(<<0>>, 100),
      :binary.copy(<<0xFF>>, 100_000),
      binary_part(journal, 0, @header - 1),
      flip(journal, 0),
      flip(journal, 20),
      # Damaged records in the middle, with later ones after them.
      flip(journal, first + 1),
      flip(journal, first + 60),
      flip(journal, second + 5),
      flip(journal, second + 60),
      # A commit is missing between two others.
      binary_part(journal, 0, second) <> binary_part(journal, third, byte_size(journal) - third)
    ]

    for {bytes, number} <- Enum.with_index(hostile) do
      copy = copy_with(path, bytes)
      file = Path.join(copy, @journal)
      before = Fixtures.files!(copy)

      for result <- operations(NativeFilePersistence, copy) do
        assert {:error, %CorruptFileError{path: ^file, problem: problem}} = result, "#{number}"
        assert problem =~ "journal"
      end

      assert Fixtures.files!(copy) == before
    end
  end

  test "whose last record is torn loses that one, which was never acknowledged", context do
    %{path: path, journal: journal, records: [_, _, third, finish]} = context

    for at <- [third + 1, third + 47, third + 48, third + 60, finish - 1] do
      copy = copy_with(path, binary_part(journal, 0, at))
      assert {:ok, "one"} = NativeFilePersistence.load_keys(copy, :"lid-mapping", "1")
      assert {:error, :not_found} = NativeFilePersistence.load_keys(copy, :"lid-mapping", "2")
      assert :ok = NativeFilePersistence.save_keys(copy, :"lid-mapping", "2", "again")
      assert {:ok, "again"} = NativeFilePersistence.load_keys(copy, :"lid-mapping", "2")
    end
  end

  test "of a later version is left to that version", %{path: path, journal: journal} do
    <<magic::binary-size(8), _version::little-32, rest::binary>> = journal
    copy = copy_with(path, <<magic::binary, 9::little-32, rest::binary>>)
    before = Fixtures.files!(copy)

    for result <- operations(NativeFilePersistence, copy) do
      assert {:error, {:unsupported_journal_version, NativeFilePersistence, 9}} = result
    end

    assert Fixtures.files!(copy) == before
  end

  for backend <- [NativeFilePersistence, FilePersistence] do
    test "that is no file is neither followed nor waited for by #{inspect(backend)}",
         %{tmp: tmp} do
      backend = unquote(backend)

      for {kind, make} <- [
            directory: &File.mkdir!/1,
            link: &File.ln_s!(Path.join(tmp, "outside"), &1),
            fifo: &({_, 0} = System.cmd("mkfifo", [&1]))
          ] do
        path = Path.join(tmp, "#{kind}")
        File.mkdir!(path)
        make.(Path.join(path, @journal))

        for result <- operations(backend, path), do: assert({:error, _} = result)
        assert File.ls!(path) -- [".baileys_ex.lock"] == [@journal]
        refute File.exists?(Path.join(tmp, "outside"))
      end
    end
  end

  defp flip(binary, at) do
    {before, <<byte, rest::binary>>} = :erlang.split_binary(binary, at)
    <<before::binary, Bitwise.bxor(byte, 0xFF), rest::binary>>
  end
end
