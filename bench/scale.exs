# Many directories, and one with many keys. `bin/scale` calls this, a VM for each line it prints:
#
#   mix run bench/scale.exs directories COUNT DIRECTORY    commits and loads in each of COUNT
#   mix run bench/scale.exs fill KEYS DIRECTORY            makes a directory of so many keys
#   mix run bench/scale.exs measure DIRECTORY              one save, load and list there
defmodule BaileysEx.Bench.Scale do
  alias BaileysEx.Auth.NativeFilePersistence, as: Native

  @rounds 51
  @most_memory 256 * 1024

  def run(["directories", count, root]), do: directories(String.to_integer(count), root)
  def run(["fill", keys, path]), do: fill(String.to_integer(keys), path)
  def run(["measure", path]), do: measure(path)

  defp directories(count, root) do
    paths = for number <- 1..count, do: Path.join(root, "account-#{number}")
    before = memory("VmRSS")

    {micros, most} =
      :timer.tc(fn ->
        Enum.reduce(paths, 0, fn path, most ->
          :ok = Native.commit_keys(path, %{"lid-mapping": %{"1" => path, "2" => path}})
          {:ok, ^path} = Native.load_keys(path, :"lid-mapping", "1")
          max(most, descriptors())
        end)
      end)

    # All directories once more, now that the VM knows all of them: with 20 kB, which are in no file yet.
    values = Map.new(3..22, &{Integer.to_string(&1), String.duplicate("v", 1_000)})

    {again, most} =
      :timer.tc(fn ->
        Enum.reduce(paths, most, fn path, most ->
          :ok = Native.commit_keys(path, %{"lid-mapping": values})
          {:ok, ^path} = Native.load_keys(path, :"lid-mapping", "2")
          max(most, descriptors())
        end)
      end)

    memory = max(memory("VmRSS") - before, 0)

    IO.puts(
      "#{count} directories: made in #{seconds(micros)}, used again in #{seconds(again)}, " <>
        "at most #{most} open files of #{limit()}, #{memory} KiB more of memory"
    )

    if memory > @most_memory, do: raise("more than #{@most_memory} KiB of memory")
  end

  # As if from an unpacked backup: without this library, which would sync every file.
  defp fill(keys, path) do
    {micros, :ok} =
      :timer.tc(fn ->
        File.mkdir_p!(path)

        Enum.each(1..keys, fn number ->
          file = Path.join(path, "lid-mapping-#{number}.etf")
          :ok = :file.write_file(file, :erlang.term_to_binary("value #{number}"), [:raw])
        end)
      end)

    IO.puts("#{keys} files made in #{seconds(micros)}")
  end

  defp measure(path) do
    # With the modules and the library that the first call of a VM loads.
    {[open], open_growth} =
      growth(fn -> [time(fn -> {:ok, _} = Native.load_keys(path, :"lid-mapping", "1") end)] end)

    save = fn -> :ok = Native.save_keys(path, :"lid-mapping", "7", "value 7") end
    load = fn -> {:ok, "value 3"} = Native.load_keys(path, :"lid-mapping", "3") end
    # The part that is loaded and allocated once per VM, and created once per directory.
    save.()
    load.()

    {save_time, save_growth} = rounds(save)
    {load_time, load_growth} = rounds(load)
    {[list_time], list_growth} = growth(fn -> [time(fn -> keys(path) end)] end)

    IO.puts("""
    #{keys(path)} keys
      first touch  #{millis(open)}  #{open_growth} KiB more at the peak
      save         #{millis(save_time)}  #{save_growth} KiB more at the peak
      load         #{millis(load_time)}  #{load_growth} KiB more at the peak
      list         #{millis(list_time)}  #{list_growth} KiB more at the peak\
    """)
  end

  defp keys(path) do
    {:ok, %{"lid-mapping": ids}} = Native.list_keys(path)
    length(ids)
  end

  # Returns the median time, and how much the process has grown.
  defp rounds(fun) do
    {times, growth} = growth(fn -> for _ <- 1..@rounds, do: time(fun) end)
    {times |> Enum.sort() |> Enum.at(div(@rounds, 2)), growth}
  end

  defp time(fun), do: fun |> :timer.tc() |> elem(0)

  # Returns how much more memory than before the operating system had to provide at the peak.
  defp growth(fun) do
    :erlang.garbage_collect()
    reset_peak()
    before = memory("VmRSS")
    result = fun.()
    {result, max(memory("VmHWM") - before, 0)}
  end

  defp reset_peak, do: File.write("/proc/self/clear_refs", "5")

  defp memory(what) do
    case File.read("/proc/self/status") do
      {:ok, status} ->
        [_, kibibytes] = Regex.run(~r/#{what}:\s+(\d+)/, status)
        String.to_integer(kibibytes)

      {:error, _not_linux} ->
        div(:erlang.memory(:total), 1024)
    end
  end

  # Without the descriptor that reads this.
  defp descriptors do
    case File.ls("/proc/self/fd") do
      {:ok, descriptors} -> length(descriptors) - 1
      {:error, _not_linux} -> 0
    end
  end

  defp limit do
    {limit, 0} = System.cmd("sh", ["-c", "ulimit -n"])
    String.trim(limit)
  end

  defp seconds(micros), do: "#{Float.round(micros / 1_000_000, 1)} s"
  defp millis(micros), do: String.pad_leading("#{Float.round(micros / 1_000, 3)} ms", 14)
end

BaileysEx.Bench.Scale.run(System.argv())
