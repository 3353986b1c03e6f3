defmodule BaileysEx.InteropOlderTest do
  # Versions of Baileys that keep group keys as a list of states, with the plain and the cached key store, on
  # directories that this library has processed. None may read fewer of its own messages than it does alone.
  # test/interop/README.md describes the scripts.
  use ExUnit.Case, async: true

  alias BaileysEx.Auth.{FilePersistence, NativeFilePersistence, PersistenceMigration}
  alias BaileysEx.Test.Baileys

  import BaileysEx.Auth.TempDir

  @moduletag :interop
  @moduletag timeout: 300_000

  with {:error, reason} <- Baileys.available() do
    IO.puts(:stderr, "NOT RUN, the tests with older versions of Baileys: #{reason}")
    @moduletag skip: reason
  end

  # 4.4.0 has no cached key store. The other versions take minutes: mix test --only long.
  @by_default ["6.17.16+cached", "6.7.18"]
  @versions @by_default ++
              ["6.17.16", "6.7.18+cached", "6.4.1", "6.4.1+cached", "6.0.0", "6.0.0+cached"] ++
              ["5.0.0", "5.0.0+cached", "4.4.0", "whaileys-6.4.9", "whaileys-6.4.9+cached"]
  @old_device_names ["6.0.0", "5.0.0", "4.4.0", "whaileys-6.4.9"]
  @current "7.0.0-rc14"

  setup_all do
    Baileys.install()
  end

  setup :setup_temp_dir

  setup %{version: version, tmp: tmp} do
    Baileys.run("make.mjs", [version, tmp])
    %{account: Path.join(tmp, "account"), alone: read_and_answer(version, tmp, "account")}
  end

  for version <- @versions do
    @tag version: version
    if version not in @by_default, do: @tag(:long)

    test "Baileys #{version} goes on as it does alone, and a current one reads it all", context do
      %{version: version, account: account, tmp: tmp, alone: alone} = context
      print(version, "alone", alone)
      assert alone.of["group next"] == 16 and alone.of["group late"] == 19
      # 4.4.0 and whaileys cannot delete a key, so two of the messages come too late for them.
      assert alone.read["group next"] >= 14

      # Every key, loaded and saved in place.
      saved = Path.join(tmp, "saved")
      File.cp_r!(account, saved)
      save_again(FilePersistence, saved)
      assert_no_less(version, "saved as JSON", tmp, saved, alone)

      # To native, saved there, and back, without an option for the form.
      native = Path.join(tmp, "native")
      {:ok, there} = PersistenceMigration.migrate_compat_json_to_native(account, native)
      assert there.sender_keys == :array
      assert there.skipped == []
      save_again(NativeFilePersistence, native)
      [number | _] = String.split(version, "+")
      old? = number in @old_device_names
      assert old? == (there.renamed != [])
      options = if old?, do: [device_names: :old], else: []
      back = Path.join(tmp, "back")
      {:ok, _} = PersistenceMigration.migrate_native_to_compat_json(native, back, options)
      assert_no_less(version, "to native and back", tmp, back, alone)

      # For the current version: in its form, under its names, and without any loss.
      current = Path.join(tmp, "current")

      {:ok, %{sender_keys: :buffer}} =
        PersistenceMigration.migrate_native_to_compat_json(native, current, sender_keys: :buffer)

      reports = read_and_answer(@current, tmp, "current")
      print(version, "then #{@current}", reports)
      for {kind, count} <- alone.read, do: assert(reports.read[kind] >= count, kind)

      # In place, between two of its own runs.
      assert %{"failures" => failures} = Baileys.run("continue.mjs", [version, account, tmp])
      between = read_and_answer(version, tmp, "account")
      save_again(FilePersistence, account)
      assert_no_less(version, "in place between two runs", tmp, account, between)
      assert Enum.all?(failures, &(&1["kind"] =~ "group"))
    end
  end

  defp save_again(backend, dir) do
    {:ok, state} = backend.load_credentials(dir)
    {:ok, keys} = backend.list_keys(dir)

    for {type, ids} <- keys, id <- ids do
      {:ok, value} = backend.load_keys(dir, type, id)
      :ok = backend.save_keys(dir, type, id, value)
    end

    :ok = backend.save_credentials(dir, state)
  end

  defp assert_no_less(version, direction, world, dir, alone) do
    reports = read_and_answer(version, world, Path.basename(dir))
    print(version, direction, reports)
    assert reports.of == alone.of
    for {kind, count} <- alone.read, do: assert(reports.read[kind] >= count, kind)
  end

  defp read_and_answer(version, world, name) do
    dir = Path.join(world, name)

    reports =
      Baileys.run_all(
        for script <- ["read.mjs", "answer.mjs"], do: {script, [version, dir, world]}
      )

    %{
      read: Enum.reduce(reports, %{}, &Map.merge(&2, &1["read"])),
      of: Enum.reduce(reports, %{}, &Map.merge(&2, &1["of"]))
    }
  end

  # The README's table is made of these lines.
  defp print(version, direction, %{read: read, of: of}) do
    kinds = for {kind, total} <- Enum.sort(of), do: "#{kind} #{read[kind]}/#{total}"
    sum = "all #{Enum.sum(Map.values(read))}/#{Enum.sum(Map.values(of))}"
    IO.puts("interop: Baileys #{version} | #{direction} | #{Enum.join([sum | kinds], ", ")}")
  end
end
