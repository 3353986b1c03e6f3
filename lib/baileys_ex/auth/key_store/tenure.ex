defmodule BaileysEx.Auth.KeyStore.Tenure do
  @moduledoc false
  # A store's hold on what it works on: from the claim at its start to the release at its end, or to
  # the moment when it learns that somebody else has claimed it since.

  require Logger

  alias BaileysEx.Auth.{NotOwnerError, Owner, Telemetry}
  alias BaileysEx.Auth.KeyStore.{Backend, Cache}
  alias BaileysEx.Auth.Lock

  # Which process has which place in this VM. Owned by the lock server, which outlives all stores.
  @places BaileysEx.Auth.Lock.Server.Places

  @type t() :: %{backend: Backend.t(), owner: Owner.t(), place: term() | nil}

  @doc """
  Settles what a crash left, and claims. `{:error, {:already_started, pid}}` where a living store of
  this VM has the place.
  """
  @spec begin(Backend.t()) :: {:ok, t()} | {:error, term()}
  def begin(backend) do
    with :ok <- vacant(Backend.place_of(backend)),
         :ok <- Backend.recover(backend),
         owner = Owner.new(),
         :ok <- Backend.claim(backend, owner) do
      Telemetry.execute([:owner, :claimed], %{}, metadata(backend, owner))
      {:ok, %{backend: backend, owner: owner, place: Backend.place_of(backend)}}
    end
  end

  @doc "From here on the calling process, a store, has the place."
  @spec occupy(t()) :: :ok | {:error, {:already_started, pid()}}
  def occupy(%{place: nil}), do: :ok

  def occupy(%{place: place}) do
    with :ok <- vacant(place) do
      :ets.insert(places(), {place, self()})
      :ok
    end
  end

  @doc "Ends it. What cannot be given back now, the next claim takes."
  @spec finish(t()) :: :ok
  def finish(%{backend: backend, owner: owner, place: place}) do
    if place, do: :ets.delete_object(places(), {place, self()})

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
      Logger.warning("the key store has lost its place: " <> Exception.message(error))
      Telemetry.execute([:owner, :lost], %{}, metadata(backend, error.owner))
    end

    :ok
  end

  defp vacant(nil), do: :ok

  defp vacant(place) do
    case :ets.lookup(places(), place) do
      [{_place, pid}] -> if Process.alive?(pid), do: {:error, {:already_started, pid}}, else: :ok
      [] -> :ok
    end
  end

  defp places do
    if :ets.whereis(@places) == :undefined, do: Lock.Server.ensure_started()
    @places
  end

  defp metadata(backend, owner), do: %{backend: backend.module, owner: owner}
end
