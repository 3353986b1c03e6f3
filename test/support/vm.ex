defmodule BaileysEx.Test.Vm do
  @moduledoc """
  Separate virtual machines, as operating system processes: what a fresh one does, what a killed one leaves
  behind, what one with few file descriptors can do.

  They run without Mix, from the compiled modules alone, as a release does.
  """

  @type t() :: port()

  # Its input ends together with the VM of the tests. Otherwise it would go on committing for ever.
  @stop_with_parent "spawn(fun Wait() -> " <>
                      "case io:get_line([]) of [_ | _] -> Wait(); _ -> halt(1) end end), "

  @doc """
  Starts a VM with this project's modules, which runs Erlang source code and then stops. Its lines arrive as
  `{vm, {:data, {:eol, line}}}`, and its end as `{vm, {:exit_status, status}}`.

  Options: `:limit`, the number of files it may have open; `:schedulers`, 1 by default.
  """
  @spec start(String.t(), keyword()) :: t()
  def start(code, opts \\ []) do
    limit = if limit = opts[:limit], do: "ulimit -n #{limit}; ", else: ""
    schedulers = Keyword.get(opts, :schedulers, 1)

    erl =
      [System.find_executable("erl"), "-noshell", "+S", "#{schedulers}:#{schedulers}"] ++
        Enum.flat_map(code_path(), &["-pa", &1]) ++
        ["-eval", @stop_with_parent <> code <> ", halt(0)."]

    Port.open({:spawn_executable, System.find_executable("sh")}, [
      :binary,
      :exit_status,
      :stderr_to_stdout,
      line: 65_536,
      args: ["-c", limit <> ~s(exec "$@"), "sh" | erl]
    ])
  end

  @doc "Runs code to its end, and returns what it printed and its exit status."
  @spec run(String.t(), keyword()) :: {[String.t()], non_neg_integer()}
  def run(code, opts \\ []), do: collect(start(code, opts), [])

  @doc "Returns `module:function(args)`, from a text and text arguments, as code for `run/2`."
  @spec call(module(), atom(), [String.Chars.t()]) :: String.t()
  def call(module, function, args) do
    args = Enum.map_join(args, ", ", &"<<#{&1 |> to_string() |> bytes()}>>")
    "'#{module}':#{function}(#{args})"
  end

  @doc "Runs `kill -9`: the VM gets no chance to do anything more."
  @spec kill(t()) :: :ok
  def kill(vm) do
    # It may have ended by itself.
    with {:os_pid, os_pid} <- Port.info(vm, :os_pid) do
      System.cmd("kill", ["-9", "#{os_pid}"], stderr_to_stdout: true)
    end

    :ok
  end

  defp collect(vm, lines) do
    receive do
      {^vm, {:data, {_eol, line}}} -> collect(vm, [line | lines])
      {^vm, {:exit_status, status}} -> {Enum.reverse(lines), status}
    end
  end

  defp bytes(text), do: text |> :binary.bin_to_list() |> Enum.join(",")

  defp code_path do
    for application <- [:elixir, :logger, :baileys_ex_auth] do
      application |> :code.lib_dir() |> Path.join("ebin")
    end
  end
end
