defmodule BaileysEx.Auth.KeyStore.Tenure do
  @moduledoc false
  # A store's hold on its place: from the claim at its start to the release at its end, or until it learns
  # that somebody else has claimed the place.

  require Logger

  alias BaileysEx.Auth.{Claims, NotOwnerError, Owner, Telemetry}
  alias BaileysEx.Auth.KeyStore.{Backend, Cache}
  alias BaileysEx.Auth.Telemetry.Reason

  @type t() :: %{backend: Backend.t(), owner: Owner.t(), place: term() | nil}

  @doc """
  Settles an interrupted commit, and claims. Returns `{:error, {:already_started, pid}}` if a living store of
  this VM has the place.
  """
  @spec begin(Backend.t()) :: {:ok, t()} | {:error, term()}
  def begin(backend) do
    with :ok <- Claims.vacant(Backend.place_of(backend)),
         :ok <- Backend.recover(backend),
         owner = Owner.new(),
         :ok <- Backend.claim(backend, owner) do
      Telemetry.execute([:owner, :claimed], %{}, metadata(backend, owner))
      {:ok, %{backend: backend, owner: owner, place: Backend.place_of(backend)}}
    end
  end

  @doc "Gives the place to the calling process, a store with this table."
  @spec occupy(t(), Cache.table()) :: :ok
  def occupy(%{place: place, backend: backend}, table) do
    Claims.occupy(place, &told(table, backend, &1))
  end

  @doc "Ends the hold. If the claim cannot be released now, the next claim replaces it."
  @spec finish(t()) :: :ok
  def finish(%{backend: backend, owner: owner, place: place}) do
    Claims.vacate(place)

    with :ok <- Backend.release(backend, owner) do
      Telemetry.execute([:owner, :released], %{}, metadata(backend, owner))
    end

    :ok
  end

  @doc """
  Checks whether somebody else has changed anything, and if so empties the cache. If the claim is lost,
  returns `{:error, reason}` now and in all later calls.
  """
  @spec look(Cache.table(), Backend.t()) ::
          {:ok, seen :: non_neg_integer() | nil} | {:error, term()}
  def look(table, backend) do
    with :ok <- Cache.held(table) do
      case Backend.changes_seen(backend) do
        {:ok, seen} ->
          Cache.seen(table, seen)
          {:ok, seen}

        {:error, %NotOwnerError{} = error} ->
          lose(table, backend, error)
          {:error, error}

        # The error does not concern the cache; the next read or write will report it.
        {:error, _reason} ->
          {:ok, nil}
      end
    end
  end

  @doc "Handles a lost claim: the store reports it, once and permanently."
  @spec lose(Cache.table(), Backend.t(), NotOwnerError.t()) :: :ok
  def lose(table, backend, error) do
    if Cache.lose(table, error) do
      Logger.warning("the key store has lost its claim: " <> Exception.message(error))
      Telemetry.execute([:owner, :lost], %{}, metadata(backend, error.owner))
    end

    :ok
  end

  # If the store has ended in the meantime, nobody needs to be told.
  defp told(table, backend, error) do
    lose(table, backend, error)
  rescue
    ArgumentError -> :ok
  end

  @doc "Emits the event that a store has started."
  @spec started(Backend.t()) :: :ok
  def started(backend), do: Telemetry.execute([:store, :started], %{}, of_store(backend))

  @doc "Emits the event that a store stops, and why."
  @spec stopped(Backend.t(), started_at :: integer(), reason :: term()) :: :ok
  def stopped(backend, started_at, reason) do
    duration = System.monotonic_time() - started_at
    metadata = Map.put(of_store(backend), :reason, Reason.kind(reason))
    Telemetry.execute([:store, :stopped], %{duration: duration}, metadata)
  end

  defp of_store(backend) do
    %{backend: backend.module, place: backend.place_name, pid: self()}
  end

  defp metadata(backend, owner), do: %{backend: backend.module, owner: owner}
end
