defmodule BaileysEx.Test.MariadbServer do
  @moduledoc """
  A MariaDB server for the tests, in a temporary directory, on its own socket, run by a user other than root,
  with the database `base`.
  """

  use GenServer

  @tries 300

  @doc "Returns why the tests cannot run, or `nil`."
  def missing do
    if Enum.all?(["mariadb-install-db", "mariadbd", "mariadb"], &program/1),
      do: nil,
      else: "MariaDB is not installed"
  end

  @doc "Starts the server under the test's supervisor, and returns its socket."
  def start! do
    ExUnit.Callbacks.start_supervised!(__MODULE__, shutdown: 30_000) |> GenServer.call(:socket)
  end

  def start_link(_opts), do: GenServer.start_link(__MODULE__, [])

  @impl true
  def init([]) do
    Process.flag(:trap_exit, true)
    directory = Path.join(System.tmp_dir!(), "my-#{System.pid()}-#{:rand.uniform(1_000_000)}")
    File.mkdir_p!(directory)
    if root?(), do: {_out, 0} = System.cmd("chown", ["nobody", directory])

    run!("mariadb-install-db", [
      "--no-defaults",
      "--datadir=#{directory}/data",
      "--auth-root-authentication-method=normal",
      "--skip-test-db"
    ])

    server =
      Port.open({:spawn_executable, "/bin/sh"}, [
        :exit_status,
        :stderr_to_stdout,
        args: [
          "-c",
          "exec " <> command("mariadbd", server_args(directory)) <> " >#{directory}/log 2>&1"
        ]
      ])

    await(socket(directory), @tries)
    {:ok, %{directory: directory, server: server}}
  end

  defp server_args(directory) do
    [
      "--no-defaults",
      "--datadir=#{directory}/data",
      "--socket=#{socket(directory)}",
      "--pid-file=#{directory}/pid",
      "--local-infile=1",
      # The default of MySQL since 8.0. Otherwise the store loses credentials with a name that is not Latin.
      "--character-set-server=utf8mb4",
      "--skip-networking"
    ]
  end

  defp socket(directory), do: Path.join(directory, "socket")

  defp await(_socket, 0), do: raise("MariaDB does not start")

  defp await(socket, tries) do
    args = ["-u", "root", "-S", socket, "-e", "CREATE DATABASE base"]

    case System.cmd(program("mariadb"), args, stderr_to_stdout: true) do
      {_out, 0} ->
        :ok

      _not_yet ->
        Process.sleep(100)
        await(socket, tries - 1)
    end
  end

  @impl true
  def handle_call(:socket, _from, state), do: {:reply, socket(state.directory), state}

  @impl true
  def handle_info(_message, state), do: {:noreply, state}

  @impl true
  def terminate(_reason, %{directory: directory, server: server}) do
    pid = directory |> Path.join("pid") |> File.read!() |> String.trim()
    System.cmd("kill", ["-9", pid])

    receive do
      {^server, {:exit_status, _status}} -> File.rm_rf!(directory)
    after
      5_000 -> :ok
    end
  end

  defp run!(program, args) do
    {out, status} = System.cmd("sh", ["-c", command(program, args)], stderr_to_stdout: true)
    if status != 0, do: raise("#{program}: #{out}")
  end

  defp command(program, args) do
    quoted = Enum.map_join([program(program) | args], " ", &"'#{&1}'")
    if root?(), do: "runuser -u nobody -- " <> quoted, else: quoted
  end

  defp program(name) do
    System.find_executable(name) || Enum.find(["/usr/sbin/#{name}"], &File.exists?/1)
  end

  defp root?, do: match?({"0\n", 0}, System.cmd("id", ["-u"]))
end
