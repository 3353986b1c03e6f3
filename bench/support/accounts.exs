defmodule Bench.Accounts do
  @moduledoc false
  # Directories and terms to work on, made of the account in `test/fixtures`.

  alias BaileysEx.Auth.FilePersistence
  alias BaileysEx.Signal.SessionRecord

  @fixture Path.expand("../../test/fixtures/baileys-7.0.0-rc14", __DIR__)
  @session "15559990002.0"

  @doc """
  Returns an unused path under the directory of this run. Nothing is deleted before the run ends, because
  deletions can slow later work: a file system may create files more slowly for a while (ext4 without a
  journal skips each inode that was freed in the last minute), and disks learn of freed blocks in the
  background.
  """
  @spec path(String.t()) :: Path.t()
  def path(name) do
    number = System.unique_integer([:positive, :monotonic])
    Path.join(System.fetch_env!("BENCH_DIRECTORY"), "#{name}-#{number}")
  end

  @doc "A JSON directory as Baileys writes it, with this many keys: sessions, sender keys, pre-keys, mappings."
  @spec json(String.t(), pos_integer()) :: Path.t()
  def json(name, keys) do
    path = path(name)
    File.mkdir_p!(path)
    File.cp!(Path.join(@fixture, "creds.json"), Path.join(path, "creds.json"))
    samples = List.to_tuple(samples())

    for n <- 1..keys do
      {family, suffix, bytes} = elem(samples, rem(n, tuple_size(samples)))
      File.write!(Path.join(path, "#{family}-#{1_000_000 + n}#{suffix}.json"), bytes, [:raw])
    end

    path
  end

  @doc "A session of about 1 kB: two entries, as the fixture has it."
  @spec session() :: SessionRecord.t()
  def session do
    {:ok, record} = FilePersistence.load_keys(@fixture, :session, @session)
    record
  end

  @doc "A session of about 40 kB in Baileys' form: the same with closed entries."
  @spec long_session() :: SessionRecord.t()
  def long_session do
    %SessionRecord{sessions: sessions} = record = session()
    [entry | _] = Map.values(sessions)

    closed =
      for n <- 1..27, into: %{} do
        base_key = <<5, n::256>>

        index = Map.merge(entry.index_info, %{base_key: base_key, closed: 1_700_000_000_000 + n})

        {base_key, %{entry | index_info: index}}
      end

    %{record | sessions: Map.merge(sessions, closed)}
  end

  @doc "New pre-keys, in the form in which they are uploaded."
  @spec pre_keys(Range.t()) :: %{optional(String.t()) => map()}
  def pre_keys(ids) do
    Map.new(ids, fn id ->
      {Integer.to_string(id),
       %{public: :crypto.strong_rand_bytes(32), private: :crypto.strong_rand_bytes(32)}}
    end)
  end

  @doc "Fills a directory of either backend with ten sessions and the credentials."
  @spec small(module(), String.t()) :: Path.t()
  def small(backend, name) do
    path = path(name)
    {:ok, state} = FilePersistence.load_credentials(@fixture)
    :ok = backend.save_credentials(path, state)
    for n <- 0..9, do: :ok = backend.save_keys(path, :session, "#{n}.0", session())
    path
  end

  @doc "Returns the bytes of a term in a file, which the reference program writes."
  @spec payload(String.t(), binary()) :: Path.t()
  def payload(name, bytes) do
    path = path(name)
    File.write!(path, bytes)
    path
  end

  @doc "Returns what the native backend writes for a term."
  @spec native_bytes(term()) :: binary()
  def native_bytes(term), do: :erlang.term_to_binary(term)

  @doc "Returns the native backend's file of a key."
  @spec native_file(Path.t(), atom(), String.t()) :: Path.t()
  def native_file(path, type, id), do: Path.join(path, "#{type}-#{id}.etf")

  # A busy account: mostly pre-keys and mappings, a quarter sessions and sender keys.
  defp samples do
    [
      {"pre-key", "", "pre-key-1.json"},
      {"session", ".0", "session-15559990002.0.json"},
      {"lid-mapping", "", "lid-mapping-15550000000.json"},
      {"pre-key", "", "pre-key-2.json"},
      {"sender-key", "@g.us--15551230001--7",
       "sender-key-120363041234567890@g.us--15551230001--7.json"},
      {"lid-mapping", "_reverse", "lid-mapping-800000000_reverse.json"},
      {"pre-key", "", "pre-key-4.json"},
      {"device-list", "", "device-list-15551230001.json"}
    ]
    |> Enum.map(fn {family, suffix, file} ->
      {family, suffix, File.read!(Path.join(@fixture, file))}
    end)
  end
end
