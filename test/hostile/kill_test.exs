defmodule BaileysEx.Hostile.KillTest do
  # `kill -9` at random moments: the next VM finds everything that was acknowledged, and nothing half done.
  use ExUnit.Case, async: false

  import BaileysEx.Auth.TempDir

  alias BaileysEx.Test.{NumberedBatches, Vm}

  # At least 200 kills in all, over three writers; KILLS=n sets the number for each.
  @kills String.to_integer(System.get_env("KILLS", "70"))
  @writers ["native", "json", "key_store"]

  setup :setup_temp_dir

  @tag timeout: :infinity
  test "a VM that is killed loses no acknowledged batch and tears none", %{tmp: tmp} do
    results =
      @writers
      |> Enum.map(fn writer ->
        Task.async(fn -> {writer, kill_again_and_again(writer, Path.join(tmp, writer))} end)
      end)
      |> Task.await_many(:infinity)

    for {writer, {kills, acknowledged}} <- results do
      path = Path.join(tmp, writer)
      assert {:ok, last} = NumberedBatches.found(NumberedBatches.backend(writer), path)
      assert last >= acknowledged
      # Otherwise the kills have hit a VM that was doing nothing.
      assert acknowledged > 0
      IO.puts("#{writer}: #{kills} kills survived, #{last} batches, none lost, none torn")
    end
  end

  defp kill_again_and_again(writer, path) do
    Enum.reduce(1..@kills, {0, 0}, fn _, {kills, acknowledged} ->
      vm = Vm.start(Vm.call(NumberedBatches, :run, [writer, path]))
      found = await_found(vm)
      assert found >= acknowledged, "#{writer} lost batches #{found + 1} to #{acknowledged}"
      # Some kills hit the very first commit, which creates the directory.
      pause = if rem(kills, 3) == 0, do: :rand.uniform(4) - 1, else: :rand.uniform(60)
      Process.send_after(self(), {:kill, vm}, pause)
      {kills + 1, max(found, acknowledged_until_killed(vm, acknowledged))}
    end)
  end

  defp await_found(vm) do
    receive do
      {^vm, {:data, {:eol, "found " <> number}}} -> String.to_integer(number)
      {^vm, {:data, {_, line}}} -> flunk("the directory after a kill: #{line}")
      {^vm, {:exit_status, status}} -> flunk("the VM ended by itself with #{status}")
    end
  end

  defp acknowledged_until_killed(vm, acknowledged) do
    receive do
      {:kill, ^vm} ->
        Vm.kill(vm)
        acknowledged_until_killed(vm, acknowledged)

      {^vm, {:data, {:eol, number}}} ->
        acknowledged_until_killed(vm, String.to_integer(number))

      # The last line of a killed VM.
      {^vm, {:data, {:noeol, _cut_off}}} ->
        acknowledged_until_killed(vm, acknowledged)

      {^vm, {:exit_status, 137}} ->
        acknowledged

      {^vm, {:exit_status, status}} ->
        flunk("the VM ended by itself with #{status}")
    end
  end
end
