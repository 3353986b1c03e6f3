defmodule BaileysEx.Auth.PersistenceMigration.BackendTarget do
  @moduledoc false
  # Makes keys of any other backend from rows: all of them with one `commit_keys`, and then the credentials.
  @behaviour BaileysEx.Auth.PersistenceMigration.Rows

  alias BaileysEx.Auth.{AuthState, InvalidTermError, Keys}
  alias BaileysEx.Auth.PersistenceMigration.Received
  alias BaileysEx.Auth.Postgres.Value

  @enforce_keys [:backend, :context]
  defstruct [:backend, :context, :overwrite?, :received]

  @callbacks [commit_keys: 2, list_keys: 1, save_credentials: 2]

  @impl true
  def described(target), do: {target.backend, inspect(target.backend)}

  @impl true
  def directories(_target), do: []

  @impl true
  def receive(%{backend: backend} = target, _call, opts, _sender_keys, source) do
    for {callback, arity} <- @callbacks,
        not (Code.ensure_loaded?(backend) and function_exported?(backend, callback, arity)) do
      raise ArgumentError, "#{inspect(backend)} has no #{callback}/#{arity} to migrate by"
    end

    with {:ok, listed} <- backend.list_keys(target.context) do
      if listed == %{} or opts.overwrite?,
        do: {:ok, %{target | overwrite?: opts.overwrite?, received: received(source, opts)}},
        else: {:error, {:target_not_empty, inspect(backend)}}
    end
  end

  defp received(source, opts), do: %Received{source: source, skip?: opts.skip?}

  @impl true
  def put(target, rows), do: {:ok, %{target | received: Received.put(target.received, rows)}}

  @impl true
  def publish(%{backend: backend, context: context} = target, carried) do
    {keys, %{creds: creds} = received} = Received.drain(target.received)

    with {:ok, skipped} <- Received.skipped(received),
         {unknown, keys} = Enum.split_with(keys, fn {type, _id, _bytes} -> type == "" end),
         {:ok, state} <- state(creds),
         {:ok, new} <- terms(keys, []),
         {:ok, before} <- backend.list_keys(context),
         :ok <- backend.commit_keys(context, changes(before, new)),
         :ok <- if(state, do: backend.save_credentials(context, state), else: :ok) do
      {:ok,
       Map.merge(carried, %{
         migrated_keys: length(keys),
         families: Value.families(keys),
         bytes_written: Value.bytes(keys) + byte_size(creds || ""),
         skipped: carried.skipped ++ skipped,
         ignored: carried.ignored ++ Enum.map(unknown, &elem(&1, 1))
       })}
    end
  end

  defp state(nil), do: {:ok, nil}

  defp state(bytes) do
    with {:ok, [{"creds", nil, term}]} <- terms([{"creds", nil, bytes}], []),
         do: AuthState.complete(term)
  end

  # If the bytes of one row are unsafe to decode, all rows are refused.
  defp terms([], terms), do: {:ok, terms}

  defp terms([{type, id, bytes} | rows], terms) do
    case Value.term(bytes) do
      {:ok, term} -> terms(rows, [{type, id, term} | terms])
      {:error, problem} -> {:error, %InvalidTermError{member: type, problem: problem}}
    end
  end

  defp changes(before, new) do
    gone = for {type, ids} <- before, id <- ids, do: {type, id, nil}
    new = for {type, id, term} <- new, do: {Keys.type(type), id, term}

    Enum.reduce(gone ++ new, %{}, fn {type, id, value}, changes ->
      Map.update(changes, type, %{id => value}, &Map.put(&1, id, value))
    end)
  end

  @impl true
  def close(_target), do: :ok
end
