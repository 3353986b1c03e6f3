defmodule BaileysEx.Auth.CLI.Terminal do
  @moduledoc false
  # Where output goes, and what it can show.

  @enforce_keys [:interactive?, :colour?, :columns]
  defstruct @enforce_keys

  @type t() :: %__MODULE__{interactive?: boolean(), colour?: boolean(), columns: pos_integer()}

  @default_columns 80

  @doc "Looks at standard output and the environment."
  @spec detect() :: t()
  def detect do
    case size() do
      {:ok, columns} ->
        smart? = System.get_env("TERM", "dumb") != "dumb"
        %__MODULE__{interactive?: smart?, colour?: smart? and colours_wanted?(), columns: columns}

      :error ->
        plain()
    end
  end

  @doc "Output that is not a terminal."
  @spec plain() :: t()
  def plain, do: %__MODULE__{interactive?: false, colour?: false, columns: @default_columns}

  @spec plain(t()) :: t()
  def plain(%__MODULE__{} = terminal), do: %{terminal | interactive?: false, colour?: false}

  @spec print(iodata()) :: :ok
  def print(text), do: IO.write(text)

  @spec print_error(iodata()) :: :ok
  def print_error(text), do: IO.write(:stderr, text)

  @doc "Renders ANSI data with colours, or without."
  @spec paint(t(), IO.ANSI.ansidata()) :: iodata()
  def paint(%__MODULE__{colour?: colour?}, data), do: IO.ANSI.format(data, colour?)

  @doc """
  Returns text from a directory without anything that a terminal would interpret: the name of a file or an
  account may contain escape sequences and invalid bytes.
  """
  @spec safe(binary()) :: String.t()
  def safe(text) do
    # Control characters except the newline, and characters that reverse the direction of writing.
    text
    |> String.chunk(:valid)
    |> Enum.map_join(&if(String.valid?(&1), do: &1, else: "?"))
    |> String.replace(
      ~r/[\x{00}-\x{09}\x{0b}-\x{1f}\x{7f}-\x{9f}\x{200e}\x{200f}\x{2028}-\x{202e}\x{2066}-\x{2069}]/u,
      "?"
    )
  end

  @doc "As `safe/1`, but on one line, for example for a cell of a table."
  @spec safe_line(binary()) :: String.t()
  def safe_line(text), do: text |> safe() |> String.replace("\n", "?")

  # https://no-color.org: set, and not empty.
  defp colours_wanted?, do: System.get_env("NO_COLOR", "") == ""

  # On some OTP releases, the VM does not know whether its standard output is a terminal. A child process that
  # gets no pipes for it (`:nouse_stdio`: it communicates through 3 and 4) has the same standard output.
  defp size do
    case System.find_executable("sh") do
      nil -> :error
      sh -> ask(sh)
    end
  end

  defp ask(sh) do
    script = "test -t 1 || exit 1; stty size <&1 >&4 2>/dev/null; exit 0"
    options = [:nouse_stdio, :binary, :exit_status, args: ["-c", script]]
    port = Port.open({:spawn_executable, sh}, options)
    answer(port, "")
  end

  defp answer(port, text) do
    receive do
      {^port, {:data, more}} -> answer(port, text <> more)
      {^port, {:exit_status, 0}} -> {:ok, columns(text)}
      {^port, {:exit_status, _status}} -> :error
    end
  end

  # "rows columns"; both are 0 if nobody has set them.
  defp columns(text) do
    with [_rows, columns] <- String.split(text),
         {columns, ""} when columns > 0 <- Integer.parse(columns) do
      columns
    else
      _ -> @default_columns
    end
  end
end
