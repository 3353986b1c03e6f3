defmodule BaileysEx.Auth.PersistenceMigration.Export do
  @moduledoc false
  # An account as a stream of `{name, json}`. A separate process provides the rows, as in any migration, and
  # waits in each step until the stream asks for more. The locks of a directory are held from the first step
  # to the last.
  @behaviour BaileysEx.Auth.PersistenceMigration.Rows

  alias BaileysEx.Auth.{BaileysJSON, DamagedRowsError, Native, State}
  alias BaileysEx.Auth.PersistenceMigration.Rows
  alias BaileysEx.Auth.Postgres.Value

  @enforce_keys [:prefix, :creds, :sender_keys, :lists?]
  defstruct [
    :prefix,
    :creds,
    :sender_keys,
    :lists?,
    :reader,
    :monitor,
    :ref,
    :source,
    :skip?,
    :identity,
    damaged: []
  ]

  @type t() :: %__MODULE__{}

  @doc "Returns the stream. Nothing is read before the stream is."
  @spec stream(struct(), t(), Rows.opts()) :: Enumerable.t()
  def stream(source, target, opts) do
    Stream.resource(
      fn -> start(source, target, opts) end,
      &more/1,
      &stop/1
    )
  end

  defp start(source, target, opts) do
    target = %{target | reader: self(), ref: make_ref()}

    {pid, monitor} =
      spawn_monitor(fn ->
        # Messages contain keys: this flag keeps them out of crash dumps and process information.
        Process.flag(:sensitive, true)
        target = %{target | monitor: Process.monitor(target.reader)}
        send(target.reader, {target.ref, :ended, Rows.migrate(source, target, opts)})
      end)

    {pid, monitor, target.ref}
  end

  defp more({pid, monitor, ref} = carrier) do
    send(pid, {ref, :more})

    receive do
      {^ref, :values, values} -> {values, carrier}
      {^ref, :ended, {:ok, _summary}} -> {:halt, carrier}
      {^ref, :ended, {:error, reason}} -> fail!(reason)
      {:DOWN, ^monitor, :process, _pid, _reason} -> raise "the export has ended before its time"
    end
  end

  @spec fail!(term()) :: no_return()
  defp fail!(reason) when is_exception(reason), do: raise(reason)
  defp fail!(reason), do: raise("the export has failed: #{inspect(reason)}")

  defp stop({pid, monitor, ref}) do
    Process.demonitor(monitor, [:flush])
    Process.exit(pid, :kill)
    monitor = Process.monitor(pid)

    receive do
      {:DOWN, ^monitor, :process, _pid, _reason} -> flush(ref)
    end
  end

  defp flush(ref) do
    receive do
      {^ref, _what, _values} -> flush(ref)
    after
      0 -> :ok
    end
  end

  @impl true
  def described(_target), do: {BaileysJSON, "the export"}

  @impl true
  def directories(_target), do: []

  @impl true
  def receive(target, _call, opts, sender_keys, source) do
    form = target.sender_keys || sender_keys || :buffer
    {:ok, %{target | source: source, sender_keys: form, skip?: opts.skip?}}
  end

  @impl true
  def put(target, rows) do
    target = identified(target, rows)

    answers =
      rows
      |> Native.codec_export(target.identity, target.sender_keys, target.lists?)
      |> Enum.zip(rows)

    give(target, for({{:ok, text}, row} <- answers, do: {name(target, row), text}))

    damaged =
      for {{:error, problem}, row} <- answers,
          do: {BaileysJSON.damage(name(target, row), problem), elem(row, 1) != nil}

    {:ok, %{target | damaged: target.damaged ++ damaged}}
  end

  # The credentials come first. The JSON of a session leaves out the identity, which is taken from them.
  defp identified(target, [{"creds", nil, bytes} | _rows]) do
    with {:ok, term} <- Value.term(bytes),
         {:ok, state} <- State.complete(term) do
      %{target | identity: BaileysJSON.identity(state)}
    else
      {:error, _problem} -> target
    end
  end

  defp identified(target, _rows), do: target

  defp name(target, {"creds", nil, _bytes}), do: target.prefix <> target.creds
  defp name(target, {"", name, _bytes}), do: target.prefix <> name
  defp name(target, {family, id, _bytes}), do: "#{target.prefix}#{family}-#{id}"

  defp give(_target, []), do: :ok

  # A reader that has ended asks for no more.
  defp give(%{ref: ref, reader: reader, monitor: monitor}, values) do
    receive do
      {^ref, :more} -> send(reader, {ref, :values, values})
      {:DOWN, ^monitor, :process, _pid, _reason} -> exit(:normal)
    end
  end

  # Credentials cannot be left out.
  @impl true
  def publish(%{damaged: damaged} = target, carried) do
    errors = for {error, _can_be_skipped?} <- damaged, do: error

    if errors == [] or (target.skip? and Enum.all?(damaged, &elem(&1, 1))),
      do: {:ok, %{carried | skipped: carried.skipped ++ errors}},
      else: {:error, %DamagedRowsError{source: place(target.source), rows: errors}}
  end

  defp place(%from{} = source), do: source |> from.described() |> elem(1)

  @impl true
  def close(_target), do: :ok
end
