defmodule BaileysEx.Auth.KeyStore.Tenure do
  @moduledoc false
  # A store's hold on what it works on: from the claim at its start to the release at its end, or to
  # the moment when it learns that somebody else has claimed it since.

  require Logger

  alias BaileysEx.Auth.{Claims, NotOwnerError, Owner, Telemetry}
  alias BaileysEx.Auth.KeyStore.{Backend, Cache}
  alias BaileysEx.Auth.Telemetry.Reason

  @type t() :: %{backend: Backend.t(), owner: Owner.t(), place: term() | nil}

  @doc """
  Settles what a crash left, and claims. `{:error, {:already_started, pid}}` where a living store of
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

  @doc "From here on the calling process, a store with this table, has the place."
  @spec occupy(t(), Cache.table()) :: :ok
  def occupy(%{place: place, backend: backend}, table) do
    Claims.occupy(place, &told(table, backend, &1))
  end

  @doc "Ends it. What cannot be given back now, the next claim takes."
  @spec finish(t()) :: :ok
  def finish(%{backend: backend, owner: owner, place: place}) do
    Claims.vacate(place)

    with :ok <- Backend.release(backend, owner) do
      Telemetry.execute([:owner, :released], %{}, metadata(backend, owner))
    end

    :ok
  end

  @doc """
  Looks whether somebody else has changed anything, and then drops what is remembered; or whether
  the claim is lost, which `{:error, reason}` says from now on.
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

        # It says nothing of what is remembered; whoever reads or writes next is told.
        {:error, _reason} ->
          {:ok, nil}
      end
    end
  end

  @doc "What the store does when it was told that its claim does not stand: it says so, once and for good."
  @spec lose(Cache.table(), Backend.t(), NotOwnerError.t()) :: :ok
  def lose(table, backend, error) do
    if Cache.lose(table, error) do
      Logger.warning("the key store has lost its claim: " <> Exception.message(error))
      Telemetry.execute([:owner, :lost], %{}, metadata(backend, error.owner))
    end

    :ok
  end

  # Where the store has ended meanwhile, nobody needs to be told.
  defp told(table, backend, error) do
    lose(table, backend, error)
  rescue
    ArgumentError -> :ok
  end

  @doc "Tells that a store has started."
  @spec started(Backend.t()) :: :ok
  def started(backend), do: Telemetry.execute([:store, :started], %{}, of_store(backend))

  @doc "Tells that it stops, and why."
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
