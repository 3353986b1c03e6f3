defmodule Bench.Peer do
  @moduledoc false
  # The programs on the other side: one line in, one line out.

  alias BaileysEx.Test.JSON

  @longest_line 1_000_000

  @doc "The floor: `native/auth_store/examples/floor.rs`."
  @spec floor() :: port()
  def floor, do: open(System.fetch_env!("BENCH_FLOOR"), [])

  @doc "Baileys in Node: `bench/node/baileys_bench.mjs`. `nil` without Node."
  @spec baileys() :: port() | nil
  def baileys do
    with node when is_binary(node) <- System.get_env("BENCH_NODE") do
      open(System.find_executable(node), [Path.expand("../node/baileys_bench.mjs", __DIR__)])
    end
  end

  @doc "A side of `Bench.Measure` that is `command` of the floor, some times."
  @spec floor_side(port(), String.t(), Path.t(), Path.t(), pos_integer()) :: Bench.Measure.side()
  def floor_side(floor, command, directory, payload, count) do
    fn ->
      case ask(floor, "#{command} #{directory} #{payload} #{count}") do
        "error " <> error -> raise "floor: #{error}"
        nanoseconds -> {String.to_integer(nanoseconds), count}
      end
    end
  end

  @doc "A side that is one operation of Baileys, `\"iterations\"` times."
  @spec baileys_side(port(), map()) :: Bench.Measure.side()
  def baileys_side(node, command) do
    fn ->
      case node |> ask(JSON.encode(command)) |> JSON.decode!() do
        %{"error" => error} -> raise "Baileys: #{error}"
        %{"ns" => nanoseconds} -> {nanoseconds, 1}
      end
    end
  end

  defp open(program, args) do
    Port.open({:spawn_executable, program}, [
      :binary,
      :exit_status,
      line: @longest_line,
      args: args
    ])
  end

  defp ask(port, line) do
    Port.command(port, line <> "\n")

    receive do
      {^port, {:data, {:eol, answer}}} -> answer
      {^port, {:exit_status, status}} -> raise "a peer ended with status #{status}"
    end
  end
end
