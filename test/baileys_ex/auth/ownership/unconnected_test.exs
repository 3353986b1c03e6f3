defmodule BaileysEx.Auth.Ownership.UnconnectedTest do
  # Unconnected processes of the operating system on one directory. Few by default; `mix test --only long`
  # produces the figures of the README.
  use ExUnit.Case, async: true

  import BaileysEx.Auth.TempDir

  alias BaileysEx.Auth.{FilePersistence, Fixtures, NativeFilePersistence, State}
  alias BaileysEx.Test.{OwnerWorkload, Vm}

  @moduletag timeout: 600_000

  setup :setup_temp_dir

  for backend <- [NativeFilePersistence, FilePersistence],
      {tag, count} <- [default: 150, long: 2_500] do
    @tag tag
    test "#{inspect(backend)}: no commit of two that write at once is lost or torn (#{count} each)",
         %{tmp: tmp} do
      backend = unquote(backend)
      path = Path.join(tmp, "auth")
      vms = for name <- ~w(one two), do: {name, writer(backend, path, name, unquote(count))}

      for {name, vm} <- vms do
        {lines, 0} = collect(vm)
        assert lines == for(n <- 1..unquote(count), do: "ok #{n}"), name
        assert {:ok, "#{name}:#{unquote(count)}"} == load(backend, path, "own-#{name}")
      end

      assert whole?(backend, path)
    end

    @tag tag
    test "#{inspect(backend)}: nor where one of them is killed (#{count} each)", %{tmp: tmp} do
      backend = unquote(backend)

      for round <- 1..max(div(unquote(count), 100), 3) do
        path = Path.join(tmp, "auth-#{round}")
        survivor = writer(backend, path, "survivor", 60)
        victim = writer(backend, path, "victim", 100_000)
        killed = kill_after(victim, :rand.uniform(40))
        {lines, 0} = collect(survivor)
        assert lines == for(n <- 1..60, do: "ok #{n}")
        assert {:ok, "survivor:60"} == load(backend, path, "own-survivor")
        assert acknowledged(backend, path, "victim") >= killed
        assert whole?(backend, path)
      end
    end
  end

  for backend <- [NativeFilePersistence, FilePersistence] do
    test "#{inspect(backend)}: no key that only the manifest knows is lost", %{tmp: tmp} do
      backend = unquote(backend)
      path = Path.join(tmp, "auth")
      names = ~w(one two three)

      vms =
        for name <- names, do: start(OwnerWorkload, :commit_irregular, [backend, path, name, 30])

      for vm <- vms, do: assert({_lines, 0} = collect(vm))

      ids = for name <- names, n <- 1..30, do: OwnerWorkload.irregular_id(name, n)
      for id <- ids, do: assert({:ok, id} == load(backend, path, id))
      {:ok, %{"lid-mapping": listed}} = backend.list_keys(path)
      assert Enum.sort(listed) == Enum.sort(ids)
    end
  end

  test "alternating increments of a store and of plain functions all count", %{tmp: tmp} do
    path = Path.join(tmp, "auth")
    :ok = NativeFilePersistence.save_keys(path, :"lid-mapping", "n", "0")
    store = start(OwnerWorkload, :increment, [path, "store", 0 + 1])
    assert "claimed" = line(store)
    {["done"], 0} = collect(start(OwnerWorkload, :increment, [path, "plain", 20]))
    Vm.kill(store)
    second = start(OwnerWorkload, :increment, [path, "store", 10])
    assert ["claimed", "done"] = [line(second), line(second)]
    Vm.kill(second)
    assert {:ok, "31"} = NativeFilePersistence.load_keys(path, :"lid-mapping", "n")
  end

  for {tag, rounds} <- [default: 4, long: 50] do
    @tag tag
    test "a takeover loses nothing that was acknowledged, and fences the old owner (#{rounds})",
         %{tmp: tmp} do
      for round <- 1..unquote(rounds) do
        backend = Enum.at([NativeFilePersistence, FilePersistence], rem(round, 2))
        path = Path.join(tmp, "auth-#{round}")
        :ok = backend.save_credentials(path, State.new())
        old = start(OwnerWorkload, :own, [backend, path, "old"])
        assert "claimed " <> _ = line(old)
        Process.sleep(:rand.uniform(60))
        # Sometimes the old owner dies, sometimes the new one.
        fate = Enum.at([:both_live, :old_dies, :new_dies], rem(round, 3))
        new = start(OwnerWorkload, :own, [backend, path, "new"])
        if fate == :old_dies, do: Vm.kill(old)
        assert "claimed " <> new_pid = line(new)
        until(new, &(&1 == "creds 1"))
        Process.sleep(:rand.uniform(60))
        if fate == :new_dies, do: Vm.kill(new)

        if fate != :old_dies do
          # The last lines of the old owner: it was refused, named the new owner, and has written nothing
          # since.
          lines = until(old, &(&1 in ["silent", "wrote"]))

          assert Enum.count(lines, &(&1 =~ "[warning] the key store has lost its claim")) == 1
          said = Enum.filter(lines, &(&1 =~ ~r/^[a-z]+( \d+)?$/))

          assert Enum.take(said, -2) == ["lost #{new_pid}", "silent"],
                 inspect(Enum.take(said, -8))

          [last] = lines |> Enum.filter(&(&1 =~ ~r/^ok /)) |> Enum.take(-1)
          # What was acknowledged to it before the claim is still there.
          assert load(backend, path, "own-old") ==
                   {:ok, "old:" <> String.trim_leading(last, "ok ")}

          Vm.kill(old)
        end

        if fate != :new_dies, do: Vm.kill(new)
        # This VM has the directory open, and does not know about the deaths.
        :ok = backend.recover(path)
        {:ok, value} = load(backend, path, "a")
        assert "new:" <> _ = value
        assert whole?(backend, path)
        {:ok, %{platform: "new:" <> _}} = backend.load_credentials(path)
      end
    end
  end

  for {tag, rounds} <- [default: 3, long: 40] do
    @tag tag
    test "migrations and snapshots to one target at once are whole or absent (#{rounds})",
         context do
      %{tmp: tmp} = context
      source = Fixtures.copy!(:baileys, tmp)
      more = Map.new(1..1_500, &{"#{&1}", "9#{&1}"})
      :ok = FilePersistence.commit_keys(source, %{"lid-mapping": more})
      {:ok, listed} = FilePersistence.list_keys(source)
      keys = listed |> Map.values() |> Enum.map(&length/1) |> Enum.sum()

      for round <- 1..unquote(rounds) do
        kind = Enum.at(~w(migrate snapshot overwrite), rem(round, 3))
        target = Path.join(tmp, "target-#{round}")
        count = Enum.at([2, 3, 5], rem(div(round, 3), 3))

        vms =
          for _ <- 1..count do
            Process.sleep(:rand.uniform(30))
            start(OwnerWorkload, :publish, [kind, source, target])
          end

        {killed, living} = Enum.split(vms, if(rem(round, 2) == 0, do: 1, else: 0))

        for vm <- killed do
          Process.sleep(:rand.uniform(600))
          Vm.kill(vm)
        end

        answers = Enum.map(living, &collect/1)
        Enum.each(killed, &collect/1)
        succeeded = for {["ok" <> _], 0} <- answers, do: :ok

        # At least one of the survivors has published, and whatever is there is complete.
        assert succeeded != [] or killed != [], inspect(answers)

        if kind == "overwrite" and killed == [],
          do: assert(length(succeeded) == count, inspect(answers))

        backend = if kind == "snapshot", do: FilePersistence, else: NativeFilePersistence

        if File.dir?(target) do
          assert {:ok, report} = backend.verify(target)
          assert report.credentials?
          assert report.families |> Map.values() |> Enum.sum() == keys
        end

        # The next migration removes the leftovers of a killed one.
        {["ok" <> _], 0} = collect(start(OwnerWorkload, :publish, ["overwrite", source, target]))
        refute Enum.any?(File.ls!(tmp), &(&1 =~ "baileys_ex.tmp-")), inspect(File.ls!(tmp))
      end
    end
  end

  defp writer(backend, path, name, count),
    do: start(OwnerWorkload, :commit, [backend, path, name, count])

  defp start(module, function, arguments), do: Vm.start(Vm.call(module, function, arguments))

  defp line(vm) do
    receive do
      {^vm, {:data, {:eol, line}}} -> line
      {^vm, {:exit_status, status}} -> flunk("the VM ended with status #{status}")
    after
      60_000 -> flunk("the VM is silent")
    end
  end

  defp until(vm, last?) do
    line = line(vm)
    if last?.(line), do: [line], else: [line | until(vm, last?)]
  end

  defp collect(vm, lines \\ []) do
    receive do
      {^vm, {:data, {_eol, line}}} -> collect(vm, [line | lines])
      {^vm, {:exit_status, status}} -> {Enum.reverse(lines), status}
    after
      120_000 -> flunk("the VM is silent")
    end
  end

  # Kills it after this many commits, and returns the number of the last one that it reported.
  defp kill_after(vm, commits) do
    for _ <- 1..commits, do: assert("ok " <> _ = line(vm))
    Vm.kill(vm)
    {lines, _killed} = collect(vm)
    commits + Enum.count(lines, &(&1 =~ ~r/^ok \d+$/))
  end

  defp acknowledged(backend, path, name) do
    {:ok, value} = load(backend, path, "own-#{name}")
    [_name, n] = String.split(value, ":")
    String.to_integer(n)
  end

  defp whole?(backend, path) do
    values = for id <- ~w(a b c), do: load(backend, path, id)
    match?([{:ok, same}, {:ok, same}, {:ok, same}], values)
  end

  defp load(backend, path, id), do: backend.load_keys(path, :"lid-mapping", id)
end
