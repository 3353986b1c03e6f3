defmodule Bench.SlowFlush do
  @moduledoc false
  # Switches `bench/native/slow_flush.c`, which is preloaded into this VM and into the floor.

  @doc "Whether flushes can be made slower here."
  @spec available?() :: boolean()
  def available?, do: System.get_env("SLOW_FLUSH") != nil

  @doc "Runs `fun` while each flush of this VM and of the floor takes a millisecond longer."
  @spec with_millisecond((() -> result)) :: result when result: term()
  def with_millisecond(fun) do
    set(1_000_000)
    fun.()
  after
    set(0)
  end

  # In place: the file is mapped, and must never be shorter.
  defp set(nanoseconds) do
    {:ok, file} = :file.open(System.fetch_env!("SLOW_FLUSH"), [:read, :write, :raw, :binary])
    :ok = :file.pwrite(file, 0, <<nanoseconds::signed-native-64>>)
    :ok = :file.close(file)
  end
end
