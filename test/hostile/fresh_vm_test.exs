defmodule BaileysEx.Hostile.FreshVmTest do
  # A load as the first action of a VM: no earlier call has loaded, opened or interned anything.
  use ExUnit.Case, async: true

  import BaileysEx.Auth.TempDir

  alias BaileysEx.Auth.{Fixtures, NativeFilePersistence, State}
  alias BaileysEx.Test.{FirstCall, Vm}

  setup :setup_temp_dir

  # One VM for each file: one file of every family, and the credentials.
  for form <- [:baileys, :explicit, :legacy, :native] do
    @tag timeout: 120_000
    test "loads the credentials and each family of the #{form} form" do
      form = unquote(form)
      backend = Fixtures.backend(form)
      # The fixture itself, because a load changes nothing.
      path = Fixtures.path(form)
      terms = Fixtures.load_all!(backend, path)
      refute File.exists?(Path.join(path, ".baileys_ex.lock"))

      firsts =
        terms |> Map.keys() |> Enum.sort() |> Enum.uniq_by(&with({type, _} <- &1, do: type))

      assert length(firsts) == 11

      firsts
      |> Task.async_stream(
        fn key ->
          {type, id} = with :creds <- key, do: {"creds", ""}
          arguments = [backend, path, type, id]
          {key, Vm.run(Vm.call(FirstCall, :load, arguments))}
        end,
        max_concurrency: 2,
        timeout: 60_000
      )
      |> Enum.each(fn {:ok, {key, printed}} ->
        assert printed == {[FirstCall.summary({:ok, terms[key]})], 0}, inspect(key)
      end)
    end
  end

  # One VM loads a whole form after its first call, so that no load depends on an earlier one or breaks the
  # next.
  test "loads every file of every form, one after the other" do
    for form <- Fixtures.forms() do
      path = Fixtures.path(form)
      backend = Fixtures.backend(form)
      expected = for {key, term} <- Fixtures.load_all!(backend, path), do: {inspect(key), term}

      code = Vm.call(FirstCall, :load_all, [backend, path])
      assert {lines, 0} = Vm.run(code)
      assert length(lines) == 99

      assert Enum.sort(lines) ==
               Enum.sort(
                 for {key, term} <- expected, do: "#{key} #{FirstCall.summary({:ok, term})}"
               )
    end
  end

  test "atoms of additional data load where no one has seen them", %{tmp: tmp} do
    path = Path.join(tmp, "auth")
    # Created at run time, so that no module that another VM might load contains them.
    atoms = for name <- ["alpha", "ключ", "é", "with space"], do: String.to_atom("fresh #{name}")
    state = State.new(additional_data: %{hd(atoms) => {List.last(atoms), 1}, labels: atoms})
    :ok = NativeFilePersistence.save_credentials(path, state)

    code = Vm.call(FirstCall, :load, [NativeFilePersistence, path, "creds", ""])
    assert Vm.run(code) == {[FirstCall.summary({:ok, state})], 0}
  end

  test "a script loads and saves with nothing started by hand", %{tmp: tmp} do
    path = Fixtures.copy!(:native, tmp)

    script = """
    alias BaileysEx.Auth.NativeFilePersistence
    {:ok, auth} = NativeFilePersistence.use_native_file_auth_state(#{inspect(path)})
    :ok = auth.save_creds.(%{auth.state | platform: "script"})
    {:ok, %{platform: "script"}} = NativeFilePersistence.load_credentials(#{inspect(path)})
    IO.puts("saved")
    """

    assert elixir(script) == {"saved\n", 0}
    assert {:ok, %{platform: "script"}} = NativeFilePersistence.load_credentials(path)
  end

  test "an application that starts later keeps the locks of the script", %{tmp: tmp} do
    path = Path.join(tmp, "auth")

    script = """
    alias BaileysEx.Auth.{Lock, NativeFilePersistence}
    locks = Lock.Server

    Lock.run(:resource, fn ->
      before = Process.whereis(locks)
      {:ok, _} = Application.ensure_all_started(:baileys_ex_auth)
      ^before = Process.whereis(locks)
      nil = Task.yield(Task.async(fn -> Lock.run(:resource, fn -> :entered end) end), 100)
    end)

    :ok = NativeFilePersistence.save_keys(#{inspect(path)}, :"lid-mapping", "1", "2")
    :ok = Application.stop(:baileys_ex_auth)
    nil = Process.whereis(locks)
    :ok = NativeFilePersistence.save_keys(#{inspect(path)}, :"lid-mapping", "1", "3")
    IO.puts("kept")
    """

    {printed, status} = elixir(script)
    assert {String.contains?(printed, "kept"), status} == {true, 0}, printed
  end

  test "many processes of a script start one lock server", %{tmp: tmp} do
    path = Path.join(tmp, "auth")

    script = """
    1..50
    |> Enum.map(fn n ->
      Task.async(fn ->
        BaileysEx.Auth.NativeFilePersistence.save_keys(#{inspect(path)}, :"pre-key", n, %{n: n})
      end)
    end)
    |> Enum.each(&(:ok = Task.await(&1, 60_000)))

    {:ok, %{"pre-key": ids}} = BaileysEx.Auth.NativeFilePersistence.list_keys(#{inspect(path)})
    IO.puts(length(ids))
    """

    assert elixir(script) == {"50\n", 0}
  end

  defp elixir(script) do
    ebin = :baileys_ex_auth |> :code.lib_dir() |> Path.join("ebin")
    System.cmd("elixir", ["-pa", ebin, "-e", script], stderr_to_stdout: true)
  end
end
