defmodule BaileysEx.Auth.PersistenceMigration.JsonSource do
  @moduledoc false
  # The rows of an account whose JSON is kept outside a directory. They come only once and in any order, and
  # the credentials may be the last. All rows are therefore first written to a spool, which finds the common
  # prefix of the names and the credentials. Then they are migrated.
  @behaviour BaileysEx.Auth.PersistenceMigration.Rows

  import BaileysEx.Auth.PersistenceMigration.JsonRows, only: [name: 1, text: 1]

  alias BaileysEx.Auth.{BaileysJSON, DamagedRowsError, Keys, Native, State}
  alias BaileysEx.Auth.PersistenceMigration.{Directories, Names, Rows, Spool}

  @enforce_keys [:name, :rows, :prefix, :directory]
  defstruct [
    :name,
    :rows,
    :prefix,
    :directory,
    :spool,
    :identity,
    :opts,
    # Offsets by the hash of their key: a second row with the same key is compared with the first.
    :seen,
    creds: [],
    sender_keys: [],
    offset: 0,
    done: 0,
    total: 0,
    # Rows under old names of devices, which rows under new names supersede.
    late: [],
    damaged: [],
    carried: nil
  ]

  # How many sender keys are examined for their form.
  @asked 16

  @twice "is there twice, with different content"

  @impl true
  def described(source), do: {BaileysJSON, source.name}

  @impl true
  def directories(_source), do: []

  @impl true
  def open(source, _call, opts) do
    with {:ok, spool} <- spool(source) do
      source = %{source | spool: spool, opts: opts, carried: nothing(source)}

      try do
        read(source)
      catch
        kind, reason ->
          close(source)
          :erlang.raise(kind, reason, __STACKTRACE__)
      else
        {:ok, _source, _total, _form} = opened ->
          opened

        error ->
          close(source)
          error
      end
    end
  end

  defp nothing(source), do: Map.merge(Rows.nothing(), %{prefix: source.prefix, other_rows: 0})

  defp spool(source) do
    with {:error, reason} <- Spool.new(source.directory), do: spool_error(source, reason)
  end

  defp spool_error(source, reason), do: {:error, {:import_spool, source.directory, reason}}

  defp read(source) do
    spooled =
      Enum.reduce_while(source.rows, {:ok, source, %Names{}}, fn row, {:ok, source, names} ->
        case take(source, names, row) do
          {:ok, _source, _names} = taken -> {:cont, taken}
          {:error, reason} -> {:halt, spool_error(source, reason)}
        end
      end)

    with {:ok, source, names} <- spooled,
         {:ok, spool} <- flushed(source),
         {:ok, prefix} <- prefix(source, names) do
      source = %{source | spool: spool, rows: [], carried: %{source.carried | prefix: prefix}}
      begin(source)
    end
  end

  defp flushed(source) do
    with {:error, reason} <- Spool.flush(source.spool), do: spool_error(source, reason)
  end

  # With a given prefix, rows of other accounts can be recognised at once.
  defp take(source, names, {:row, name, text}) do
    case source.prefix && Names.without(name, source.prefix) do
      nil -> add(source, Names.see(names, name), {:row, name, text}, name)
      {:ok, rest} -> add(source, names, {:row, name, text}, rest)
      :error -> {:ok, count(source, :other_rows), names}
    end
  end

  defp take(source, names, {:key, "creds", nil, _text} = row),
    do: add(source, names, row, "creds")

  defp take(source, names, {:key, family, _id, _text} = row),
    do: add(source, names, row, family <> "-")

  defp take(source, names, {:damaged, error}),
    do: {:ok, %{source | damaged: [{error, true} | source.damaged]}, names}

  defp add(source, names, row, name) do
    with {:ok, spool, offset} <- Spool.add(source.spool, row) do
      source = %{source | spool: spool, total: source.total + 1}

      cond do
        String.ends_with?(name, "creds") ->
          {:ok, %{source | creds: [offset | source.creds]}, names}

        length(source.sender_keys) < @asked and name =~ "sender-key-" and
            not (name =~ "sender-key-memory-") ->
          {:ok, %{source | sender_keys: [offset | source.sender_keys]}, names}

        true ->
          {:ok, source, names}
      end
    end
  end

  defp prefix(%{prefix: nil} = source, names) do
    with {:error, prefixes} <- Names.prefix(names),
         do: {:error, {:prefix_needed, source.name, prefixes}}
  end

  defp prefix(source, _names), do: {:ok, source.prefix}

  defp begin(source) do
    with {:ok, creds} <- fetch(source, Enum.reverse(source.creds)),
         {:ok, sender_keys} <- fetch(source, Enum.reverse(source.sender_keys)) do
      form = form(source, sender_keys)
      source = %{source | seen: :ets.new(:seen, [:bag, :private]), sender_keys: []}
      source = %{source | carried: %{source.carried | sender_keys: form}}

      case Enum.filter(creds, fn {_at, row} -> key(source, row) == {:ok, {"creds", nil}} end) do
        [] -> without_credentials(source, form)
        [first | _others] -> with_credentials(%{source | creds: [first]}, first, form)
      end
    end
  end

  defp fetch(source, offsets) do
    Enum.reduce_while(Enum.reverse(offsets), {:ok, []}, fn offset, {:ok, rows} ->
      case Spool.fetch(source.spool, offset) do
        {:ok, row} -> {:cont, {:ok, [{offset, row} | rows]}}
        {:error, reason} -> {:halt, spool_error(source, reason)}
      end
    end)
  end

  defp form(source, rows) do
    values =
      for {_at, row} <- rows,
          {:ok, {"sender-key", id}} <- [key(source, row)],
          do: {"sender-key", id, text(row)}

    forms = for {:ok, _bytes, _dropped, form, _id} <- Native.codec_import(values, nil), do: form
    Enum.find([:buffer, :array], &(&1 in forms))
  end

  defp without_credentials(%{total: 0, damaged: []} = source, _form),
    do: {:error, {:not_an_auth_directory, source.name}}

  defp without_credentials(source, form) do
    if source.opts.without_credentials? or source.damaged != [],
      do: {:ok, %{source | creds: []}, source.total, form},
      else: {:error, {:no_credentials, source.name}}
  end

  # Unreadable credentials are reported with the rest of the damage.
  defp with_credentials(source, {_at, row}, form) do
    case BaileysJSON.decode(:creds, text(row)) do
      {:ok, %State{} = state} ->
        {:ok, %{source | identity: BaileysJSON.identity(state)}, source.total, form}

      {:error, _damage} ->
        {:ok, source, source.total, form}
    end
  end

  @impl true
  # The credentials come first and alone, wherever they are.
  def next(%{creds: [{_at, _row} = first]} = source) do
    {source, rows} = carry(%{source | creds: []}, [first])
    {:ok, source, rows, source.done}
  end

  def next(%{offset: offset, spool: %{size: size}} = source) when offset < size do
    with {:ok, taken, next} <- Spool.take(source.spool, offset, Directories.step()) do
      source = %{source | offset: next}
      {source, rows} = carry(source, taken)
      done = min(source.done + length(taken), source.total)
      {:ok, %{source | done: done}, rows, unless_late(source, done)}
    else
      {:error, reason} -> spool_error(source, reason)
    end
  end

  def next(source) do
    {now, later} = Enum.split(source.late, Directories.step())

    with {:ok, rows} <- fetch(source, Enum.map(now, &elem(&1, 0))) do
      ids = Map.new(now)
      source = %{source | late: later}

      {source, rows} =
        rows
        |> Enum.map(fn {at, row} -> {at, row, ids[at]} end)
        |> Enum.reduce({source, []}, &rename/2)

      {:ok, source, rows, unless_late(source, source.total)}
    end
  end

  # The last steps are for the rows that were postponed.
  defp unless_late(%{late: []}, done), do: done
  defp unless_late(source, done), do: min(done, source.total - 1)

  defp carry(source, taken) do
    {source, values} = Enum.reduce(taken, {source, []}, &look/2)
    values = Enum.reverse(values)

    values
    |> Enum.map(fn {_at, row, {family, id}} -> {family, id, text(row)} end)
    |> Native.codec_import(source.identity)
    |> Enum.zip(values)
    |> Enum.reduce({source, []}, &result/2)
    |> then(fn {source, rows} -> {source, Enum.reverse(rows)} end)
  end

  # Takes a row, unless its key has occurred before.
  defp look({at, row}, {source, values}) do
    case key(source, row) do
      {:ok, key} ->
        case first?(source, key, at, text(row)) do
          :first -> {source, [{at, row, key} | values]}
          :again -> {source, values}
          :other -> {damaged(source, row, key, @twice, false), values}
        end

      :error when source.opts.include_unknown? ->
        {source, [{at, row, {"", name(row)}} | values]}

      :error ->
        {note(source, :unknown, name(row)), values}
    end
  end

  defp first?(source, key, at, text) do
    hash = :erlang.phash2(key, 4_294_967_296)
    before = for {_hash, offset} <- :ets.lookup(source.seen, hash), do: offset

    cond do
      at in before -> :again
      twin = Enum.find_value(before, &same_key(source, &1, key)) -> same?(twin, text)
      true -> remember(source, hash, at)
    end
  end

  defp remember(source, hash, at) do
    :ets.insert(source.seen, {hash, at})
    :first
  end

  defp same_key(source, offset, key) do
    with {:ok, row} <- Spool.fetch(source.spool, offset),
         {:ok, ^key} <- key(source, row) do
      text(row)
    else
      _other -> nil
    end
  end

  defp same?(twin, text), do: if(twin == text, do: :again, else: :other)

  defp result({{:ok, bytes, dropped, _form, id}, {at, row, key}}, {source, rows}) do
    source = count(source, :bytes_read, byte_size(text(row)))

    cond do
      id != nil ->
        {%{source | late: [{at, id} | source.late]}, rows}

      dropped > 0 ->
        dropped = %{file: name(row), elements: dropped}
        {source |> note(:dropped, dropped) |> tally(key), [to_row(key, bytes) | rows]}

      true ->
        {tally(source, key), [to_row(key, bytes) | rows]}
    end
  end

  # Some stores keep this for a deleted key.
  defp result({{:error, :not_found}, _value}, acc), do: acc

  defp result({{:error, problem}, {_at, row, key}}, {source, rows}),
    do: {damaged(source, row, key, problem, true), rows}

  defp rename({at, row, id}, {source, rows}) do
    {:ok, {family, _old_id}} = key(source, row)
    key = {family, id}

    if first?(source, key, at, text(row)) == :first do
      [{:ok, bytes, _dropped, _form, _id}] =
        Native.codec_import([{family, id, text(row)}], source.identity)

      renamed = %{from: name(row), to: "#{family}-#{id}"}
      {source |> note(:renamed, renamed) |> tally(key), [to_row(key, bytes) | rows]}
    else
      {note(source, :superseded, name(row)), rows}
    end
  end

  defp to_row({family, id}, bytes), do: {family, id, bytes}

  defp tally(source, {"creds", nil}),
    do: %{source | carried: %{source.carried | credentials?: true}}

  defp tally(source, {family, _id}) do
    type = if family == "", do: :unknown, else: Keys.type(family)
    families = Map.update(source.carried.families, type, 1, &(&1 + 1))
    count(%{source | carried: %{source.carried | families: families}}, :migrated_keys)
  end

  @impl true
  def finish(%{damaged: damaged, opts: opts, carried: carried} = source) do
    errors = for {error, _can_be_skipped?} <- Enum.reverse(damaged), do: error
    missing? = not carried.credentials? and not opts.without_credentials?

    cond do
      errors != [] and (missing? or not opts.skip? or not Enum.all?(damaged, &elem(&1, 1))) ->
        {:error, %DamagedRowsError{source: source.name, rows: errors}}

      not carried.credentials? and carried.migrated_keys == 0 ->
        {:error, {:not_an_auth_directory, source.name}}

      true ->
        {:ok, in_order(%{carried | skipped: errors})}
    end
  end

  # They were collected in reverse.
  defp in_order(carried) do
    for notes <- [:unknown, :dropped, :renamed, :superseded], reduce: carried do
      carried -> Map.update!(carried, notes, &Enum.reverse/1)
    end
  end

  @impl true
  def close(%{spool: nil}), do: :ok

  def close(source) do
    if source.seen, do: :ets.delete(source.seen)
    Spool.close(source.spool)
  end

  @impl true
  def damage(source, rows) do
    for {family, id, member, problem} <- rows do
      name = if id, do: "#{family}-#{id}", else: family
      BaileysJSON.damage((source.carried.prefix || "") <> name, {member, problem})
    end
  end

  @impl true
  def damaged_error(source, damaged), do: %DamagedRowsError{source: source.name, rows: damaged}

  defp key(_source, {:key, family, id, _text}), do: Names.key(family, id)

  defp key(source, {:row, name, _text}) do
    with {:ok, rest} <- Names.without(name, source.carried.prefix), do: Names.parse(rest)
  end

  # Credentials cannot be left out, and nothing decides between two different values.
  defp damaged(source, row, {_family, id}, problem, can_be_skipped?) do
    error = BaileysJSON.damage(name(row), problem)
    %{source | damaged: [{error, can_be_skipped? and id != nil} | source.damaged]}
  end

  defp note(source, of, what),
    do: %{source | carried: Map.update!(source.carried, of, &[what | &1])}

  defp count(source, what, by \\ 1),
    do: %{source | carried: Map.update!(source.carried, what, &(&1 + by))}
end
