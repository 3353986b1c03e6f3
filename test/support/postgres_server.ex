defmodule BaileysEx.Test.PostgresServer do
  @moduledoc """
  A PostgreSQL server for the tests, in a temporary directory, run by a user other than root. It listens on a
  free port of 127.0.0.1, because `p1_pgsql` does not support sockets in the file system.
  """

  use GenServer

  @doc "Returns why the tests cannot run, or `nil`."
  def missing do
    cond do
      bin() == nil -> "PostgreSQL is not installed"
      not Code.ensure_loaded?(:pgsql) -> "erlang-p1-pgsql is not installed"
      true -> nil
    end
  end

  @doc """
  Starts a server under the test's supervisor, and returns its directory. With `replica_of:` and the directory
  of another server, it is a standby of that server.
  """
  def start!(opts \\ []) do
    ExUnit.Callbacks.start_supervised!({__MODULE__, opts}) |> GenServer.call(:directory)
  end

  @doc "Runs `pg_ctl`, for example with `[\"stop\", \"-m\", \"immediate\"]`."
  def ctl!(directory, args), do: run!("pg_ctl", ["-D", data(directory), "-w", "-s" | args])

  @doc "Waits for the processes of a killed server, which still hold its shared memory for a moment."
  def start_again!(directory, tries \\ 100) do
    ctl!(directory, ["start", "-l", directory <> "/log"])
  rescue
    error in RuntimeError ->
      if tries == 1, do: reraise(error, __STACKTRACE__)
      Process.sleep(100)
      start_again!(directory, tries - 1)
  end

  @doc "Runs `kill -9` on the server itself: its backends end by themselves, and nothing is shut down properly."
  def kill!(directory) do
    [pid | _rest] = (data(directory) <> "/postmaster.pid") |> File.read!() |> String.split("\n")
    {_out, 0} = System.cmd("kill", ["-9", pid])
    :ok
  end

  @doc """
  Restarts the server with a file system of a few MiB mounted at the path that is returned, visible only to
  its processes. Raises if mounting is not allowed.
  """
  def start_again_beside_small_disk!(directory) do
    small = Path.join(directory, "small")
    File.mkdir_p!(small)
    ctl!(directory, ["stop", "-m", "fast"])
    start = script("pg_ctl", ["-D", data(directory), "-w", "-s", "start"])
    as_user = if root?(), do: "runuser -u #{user()} -- ", else: ""
    mount = "mount -t tmpfs -o size=4m none #{small}; chown #{user()} #{small}; cd /; "
    {_out, 0} = System.cmd("unshare", ["-m", "sh", "-ec", mount <> as_user <> start])
    small
  end

  @doc "Returns the port on which it listens."
  def port(directory), do: directory |> port_file() |> File.read!() |> String.to_integer()

  def start_link(opts), do: GenServer.start_link(__MODULE__, opts)

  def child_spec(opts) do
    %{id: {__MODULE__, opts}, start: {__MODULE__, :start_link, [opts]}, shutdown: 30_000}
  end

  @impl true
  def init(opts) do
    Process.flag(:trap_exit, true)
    directory = Path.join(System.tmp_dir!(), "pg-#{System.pid()}-#{:rand.uniform(1_000_000)}")
    File.mkdir_p!(directory)
    if root?(), do: {_out, 0} = System.cmd("chown", [user(), directory])
    make_data!(directory, opts)
    port = free_port()
    File.write!(port_file(directory), "#{port}")

    settings = """

    listen_addresses = '127.0.0.1'
    port = #{port}
    unix_socket_directories = ''
    max_connections = 60
    # The driver ends at a notice.
    client_min_messages = warning
    """

    File.write!(data(directory) <> "/postgresql.conf", settings, [:append])
    start_again!(directory)
    {:ok, directory}
  end

  @impl true
  def handle_call(:directory, _from, directory), do: {:reply, directory, directory}

  # Exits of the programs that were run.
  @impl true
  def handle_info({:EXIT, _port, :normal}, directory), do: {:noreply, directory}

  @impl true
  def terminate(_reason, directory) do
    args = ["-D", data(directory), "-w", "-s", "-m", "immediate", "stop"]
    command("pg_ctl", args)
    File.rm_rf!(directory)
  end

  defp make_data!(directory, replica_of: primary) do
    from = ["-h", "127.0.0.1", "-p", "#{port(primary)}", "-U", "test"]
    run!("pg_basebackup", ["-D", data(directory), "-R", "-c", "fast" | from])
  end

  defp make_data!(directory, _opts) do
    run!("initdb", ["-D", data(directory), "-U", "test", "-A", "trust", "-E", "UTF8", "-N"])
  end

  defp port_file(directory), do: Path.join(directory, "port")

  defp free_port do
    {:ok, socket} = :gen_tcp.listen(0, ip: {127, 0, 0, 1})
    {:ok, port} = :inet.port(socket)
    :gen_tcp.close(socket)
    port
  end

  defp data(directory), do: Path.join(directory, "data")

  defp run!(program, args) do
    {out, status} = command(program, args)
    if status != 0, do: raise("#{program}: #{out}")
    :ok
  end

  # A server that stays in the background must not keep the port's pipe open.
  defp command(program, args) do
    script = script(program, args)

    if root?(),
      do: System.cmd("runuser", ["-u", user(), "--", "sh", "-c", script], cd: "/"),
      else: System.cmd("sh", ["-c", script], cd: "/")
  end

  defp script(program, args) do
    quoted = Enum.map_join([Path.join(bin(), program) | args], " ", &"'#{&1}'")
    "#{quoted} >/dev/null 2>&1 </dev/null"
  end

  defp root?, do: match?({"0\n", 0}, System.cmd("id", ["-u"]))

  defp user do
    case System.cmd("id", ["postgres"], stderr_to_stdout: true) do
      {_out, 0} -> "postgres"
      _none -> "nobody"
    end
  end

  defp bin do
    found = Path.wildcard("/usr/lib/postgresql/*/bin/initdb") |> List.last()
    path = found || System.find_executable("initdb")
    path && Path.dirname(path)
  end
end

defmodule BaileysEx.Test.PostgresRows do
  @moduledoc "Accesses the rows of an account directly, without the backend."

  def of(context) do
    {module, driver} = context[:connection]
    prefix = context[:prefix] || "public"

    query = fn sql ->
      {:ok, rows} = module.query(driver, sql, [context[:account]])
      rows
    end

    {
      query.("SELECT creds FROM #{prefix}.baileys_auth_accounts WHERE account = $1::text"),
      query.("""
      SELECT type, id, value FROM #{prefix}.baileys_auth_keys WHERE account = $1::text
      ORDER BY type, id
      """)
    }
  end
end
