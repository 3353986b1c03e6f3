defmodule BaileysEx.Hostile.SecretsTest do
  # Every field of every term and file contains a mark, everything that can fail does, and everything that is
  # reported is searched for the mark.
  use ExUnit.Case, async: false

  import BaileysEx.Auth.TempDir
  import ExUnit.CaptureLog

  alias BaileysEx.Auth.{
    FilePersistence,
    Fixtures,
    KeyStore,
    NativeFilePersistence,
    PersistenceMigration,
    State
  }

  alias BaileysEx.Signal.{Curve, SessionRecord}
  alias BaileysEx.Signal.Group.{SenderChainKey, SenderKeyRecord, SenderMessageKey}
  alias BaileysEx.Test.{JSON, Marks, Members, Vm}

  @moduletag :capture_log

  setup :setup_temp_dir

  setup_all do
    terms = Fixtures.load_all!(FilePersistence, Fixtures.path(:baileys))
    creds = Marks.plant(terms.creds)

    creds = %{
      creds
      | routing_info: Marks.text(20),
        pairing_code: Marks.text(8),
        additional_data: %{Marks.mark() => %{"inner" => [Marks.text(40), Marks.text(7)]}},
        unknown_fields: %{Marks.mark() => Marks.text(40), "later" => %{"x" => Marks.text(40)}}
    }

    # The richest key of each family.
    keys =
      terms
      |> Map.delete(:creds)
      |> Enum.sort_by(fn {_key, term} -> -byte_size(:erlang.term_to_binary(term)) end)
      |> Enum.uniq_by(fn {{type, _id}, _term} -> type end)
      |> Map.new(fn {{type, _id}, term} -> {type, Marks.plant(term)} end)
      # Too short for a whole mark.
      |> Map.merge(%{"lid-mapping": Marks.text(40), "device-list": [Marks.text(40)]})

    {:ok, creds: creds, keys: keys}
  end

  # Credentials, and one key of each family under the id "1".
  defp directory!(backend, path, %{creds: creds, keys: keys}) do
    :ok = backend.save_credentials(path, creds)
    :ok = backend.commit_keys(path, Map.new(keys, fn {type, term} -> {type, %{"1" => term}} end))
    if backend == NativeFilePersistence, do: backend.checkpoint(path)
    path
  end

  # Checks an error or a struct in all forms in which it may be printed. A loaded value belongs to the caller.
  defp refute_shown({:ok, _loaded} = result, _what), do: result

  defp refute_shown(result, what) do
    texts = [
      inspect(result, limit: :infinity, printable_limit: :infinity, width: 200),
      :io_lib.format("~tp", [inspect(result)]),
      message(result)
    ]

    for text <- texts, form = Marks.shown(text) do
      flunk("#{what}: shows a secret as #{form}")
    end

    result
  end

  defp message({:error, exception}) when is_exception(exception), do: Exception.message(exception)

  defp message({:error, {_tag, exception}}) when is_exception(exception),
    do: Exception.message(exception)

  defp message(_other), do: ""

  # Checks what a process that does this and crashes leaves in the log, with its stack and arguments.
  defp refute_logged(what, fun) do
    printed =
      capture_log(fn ->
        {:ok, pid} = Task.start(fn -> must_be_ok(fun.()) end)
        monitor = Process.monitor(pid)
        assert_receive {:DOWN, ^monitor, :process, ^pid, _reason}, 10_000
      end)

    if form = Marks.shown(printed), do: flunk("#{what}: logs a secret as #{form}\n#{printed}")
    printed
  end

  # Like an application that expects success.
  defp must_be_ok(result), do: :ok = result

  test "the marks are found in whatever prints bytes" do
    secret = Marks.text(32)

    for printed <- [
          secret,
          inspect(secret <> <<0>>, limit: :infinity),
          inspect(:binary.bin_to_list(secret), limit: :infinity, charlists: :as_lists),
          Base.encode64(secret),
          Base.encode64("x" <> secret),
          Base.encode64("xy" <> secret),
          Base.encode16(secret),
          Base.encode16(secret, case: :lower)
        ] do
      assert Marks.shown(printed), printed
    end

    refute Marks.shown("noise_key.private has 31 bytes instead of 32")
  end

  for backend <- [FilePersistence, NativeFilePersistence] do
    @tag backend: backend, timeout: 120_000
    test "files of #{inspect(backend)} that are damaged member by member",
         %{tmp: tmp, backend: backend} = context do
      path = directory!(backend, Path.join(tmp, "auth"), context)
      files = for name <- File.ls!(path), not String.starts_with?(name, "."), do: name
      assert length(files) == 11

      # The files contain the marks. Otherwise the search would prove nothing.
      for name <- files -- ["sender-key-1.json"] do
        assert Marks.shown(File.read!(Path.join(path, name))), name
      end

      errors =
        for name <- files,
            whole = File.read!(Path.join(path, name)),
            {what, bytes} <- damages(name, whole) do
          File.write!(Path.join(path, name), bytes)
          result = refute_shown(load(backend, path, name), "#{name}: #{what}")
          File.write!(Path.join(path, name), whole)
          result
        end

      assert Enum.count(errors, &match?({:error, _}, &1)) > 200

      # All at once, and in the words of verification and migration.
      for name <- files do
        whole = File.read!(Path.join(path, name))
        {_what, bytes} = Enum.random(damages(name, whole))
        File.write!(Path.join(path, name), bytes)
      end

      refute_shown(backend.verify(path), "verify")
      refute_shown(migrate(backend, path, Path.join(tmp, "target")), "migration")

      refute_logged("a store on damaged files", fn ->
        {:ok, pid} = KeyStore.start_link(persistence_module: backend, persistence_context: path)
        for type <- Map.keys(context.keys), do: KeyStore.get(KeyStore.wrap(pid), type, ["1"])
        # A value that could be read in spite of its damage is not a failure.
        :ok
      end)
    end

    @tag backend: backend, timeout: 120_000
    test "saves that #{inspect(backend)} refuses", %{tmp: tmp, backend: backend} = context do
      path = directory!(backend, Path.join(tmp, "auth"), context)

      results =
        for {type, term} <- Map.put(context.keys, :creds, context.creds),
            {member, _binary} <- [{[], nil} | Members.binaries(term)],
            bad <- [
              self(),
              fn -> Marks.mark() end,
              {Marks.mark(), self()},
              [Marks.mark() | self()]
            ] do
          planted = Members.put(term, member, bad)
          what = "#{type}#{Members.name(member)}"
          result = refute_shown(save(backend, path, type, planted), what)
          {what, planted, type, result}
        end

      assert Enum.count(results, &match?({_, _, _, {:error, _}}, &1)) > 200

      for {what, planted, type, _} <- Enum.take_random(results, 20) do
        refute_logged(what, fn -> save(backend, path, type, planted) end)
      end

      {:ok, pid} =
        KeyStore.start_link(
          persistence_module: backend,
          persistence_context: path,
          max_commit_retries: 1
        )

      store = KeyStore.wrap(pid)
      bad = %{session: %{"1" => %{secret: Marks.mark(), pid: self()}}}
      error = catch_error(KeyStore.set(store, bad))
      refute_shown({:error, error}, "a store's commit")
      refute_logged("a store's commit", fn -> KeyStore.set(store, bad) end)

      refute_logged("a store's transaction", fn ->
        KeyStore.transaction(store, "k", fn tx ->
          KeyStore.set(tx, bad)
        end)
      end)
    end

    @tag backend: backend
    test "calls of #{inspect(backend)} that make no sense",
         %{tmp: tmp, backend: backend} = context do
      path = directory!(backend, Path.join(tmp, "auth"), context)
      secret = Marks.text(40)
      fields = Map.from_struct(context.creds)
      {:ok, helper} = use_auth_state(backend, path)

      for {what, call} <- [
            {"fields for a state", fn -> backend.save_credentials(path, fields) end},
            {"a secret for a state", fn -> backend.save_credentials(path, secret) end},
            {"a secret for changes", fn -> backend.commit_keys(path, secret) end},
            {"a secret for entries", fn -> backend.commit_keys(path, %{session: secret}) end},
            {"a list for entries", fn -> backend.commit_keys(path, %{session: [secret]}) end},
            {"a list for changes", fn -> backend.commit_keys(path, [secret]) end},
            {"a secret for creds", fn -> helper.save_creds.(secret) end},
            {"creds that are a secret", fn -> helper.save_creds.(%{creds: secret}) end},
            {"half of the fields", fn -> helper.save_creds.(Map.delete(fields, :noise_key)) end}
          ] do
        printed = refute_logged(what, call)
        assert printed != "", "#{what} was taken"
      end
    end
  end

  test "calls of the run-time terms that make no sense", %{creds: creds, keys: keys} do
    secret = Marks.text(32)
    bad = {secret, :bad}

    for {what, call} <- [
          {"signing", fn -> Curve.sign(Marks.text(31), "message") end},
          {"sharing", fn -> Curve.shared_key(Marks.text(31), Marks.text(31)) end},
          {"verifying", fn -> Curve.verify(Marks.text(31), "message", Marks.text(64)) end},
          {"a key pair", fn -> Curve.generate_key_pair(private_key: Marks.text(31)) end},
          {"a session", fn -> SessionRecord.get_session(keys.session, bad) end},
          {"closing", fn -> SessionRecord.close_session(keys.session, bad) end},
          {"a record", fn -> SenderKeyRecord.add_state(keys[:"sender-key"], 1, 2, 3, bad) end},
          {"a chain",
           fn -> SenderChainKey.next(struct!(SenderChainKey, iteration: secret, seed: secret)) end},
          {"a message key", fn -> SenderMessageKey.new(bad, Marks.text(31)) end},
          {"an update", fn -> State.merge_updates(creds, %{noise_key: bad}) end}
        ] do
      refute_logged(what, call)
    end
  end

  test "whole terms that are inspected", %{creds: creds, keys: keys} do
    structs = for %_{} = struct <- [creds | Map.values(keys)], do: struct
    assert length(structs) == 3
    for struct <- structs, do: refute_shown(struct, inspect(struct.__struct__))
    refute_shown(%{creds: creds, state: [creds], account: creds.account}, "nested")
  end

  test "the demo, whether it works or not", %{tmp: tmp} = context do
    path = directory!(FilePersistence, Path.join(tmp, "auth"), context)

    for {damage?, status, shows} <- [{false, 0, "Migrated"}, {true, 1, "was not migrated"}] do
      if damage? do
        for name <- File.ls!(path), String.ends_with?(name, "-1.json") do
          whole = File.read!(Path.join(path, name))
          File.write!(Path.join(path, name), binary_part(whole, 0, byte_size(whole) - 3))
        end
      end

      {lines, ^status} = demo([path, Path.join(tmp, "native-#{damage?}")])
      printed = Enum.join(lines, "\n")
      assert printed =~ shows
      refute Marks.shown(printed)
    end
  end

  defp demo(arguments) do
    Vm.run(
      "application:ensure_all_started(baileys_ex_auth), " <>
        "'Elixir.System':argv([#{Enum.map_join(arguments, ", ", &"<<\"#{&1}\">>")}]), " <>
        Vm.call(Code, :eval_file, [Path.expand("../../examples/demo.exs", __DIR__)])
    )
  end

  defp load(backend, path, name) do
    case name |> Path.rootname() |> String.replace_suffix("-1", "") do
      "creds" -> backend.load_credentials(path)
      type -> backend.load_keys(path, String.to_existing_atom(type), "1")
    end
  end

  defp save(backend, path, :creds, state), do: backend.save_credentials(path, state)
  defp save(backend, path, type, term), do: backend.save_keys(path, type, "1", term)

  defp migrate(FilePersistence, path, target),
    do: PersistenceMigration.migrate_compat_json_to_native(path, target)

  defp migrate(NativeFilePersistence, path, target),
    do: PersistenceMigration.migrate_native_to_compat_json(path, target)

  defp use_auth_state(FilePersistence, path), do: FilePersistence.use_multi_file_auth_state(path)

  defp use_auth_state(NativeFilePersistence, path),
    do: NativeFilePersistence.use_native_file_auth_state(path)

  # Cuts the content in several places, changes one byte in several places, and replaces each member.
  defp damages(name, whole) do
    size = byte_size(whole)
    places = for part <- 1..12, do: div(size * part, 13)

    cuts = for at <- places, do: {"cut at #{at}", binary_part(whole, 0, at)}

    changed =
      for at <- places, byte <- [0, ?", 0xFF] do
        {before, <<_, rest::binary>>} = :erlang.split_binary(whole, at)
        {"byte #{at} changed", <<before::binary, byte, rest::binary>>}
      end

    cuts ++ changed ++ members(Path.extname(name), whole)
  end

  defp members(".json", whole) do
    term = JSON.decode!(whole)

    for {path, binary} <- Members.binaries(term),
        wrong <- [[binary], %{binary => binary}, binary <> binary, binary <> "!", 7, nil] do
      {Members.name(path), JSON.encode(Members.put(term, path, wrong))}
    end
  end

  defp members(".etf", whole) do
    term = :erlang.binary_to_term(whole)

    for {path, binary} <- Members.binaries(term),
        wrong <- [[binary], %{binary => binary}, binary <> binary, {binary}, self(), nil] do
      {Members.name(path), :erlang.term_to_binary(Members.put(term, path, wrong))}
    end
  end
end
