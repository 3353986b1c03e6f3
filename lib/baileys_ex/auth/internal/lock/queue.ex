defmodule BaileysEx.Auth.Lock.Queue do
  @moduledoc false
  # Who holds which resource, and who waits for it in which order. This is the state, or a part of the state,
  # of a GenServer, which owns the monitors. Callers are answered `{:ok, token}` when their turn comes, or
  # `:already_held`.
  #
  # The monitor of a caller is also the token of its claim. A token that is missing from `claims` has been
  # dropped, so a waiter that has died is skipped when its turn comes.

  @enforce_keys [:lines, :claims]
  defstruct [:lines, :claims]

  @type resource() :: term()
  @type token() :: reference()

  # `:pinned` and `:orphaned` outlive the caller: see `pin/2`.
  @typep status() :: :waiting | :held | :pinned | :orphaned

  @type t() :: %__MODULE__{
          lines: %{optional(resource()) => {holder :: pid(), :queue.queue()}},
          claims: %{optional(token()) => {resource(), status()}}
        }

  @spec new() :: t()
  def new, do: %__MODULE__{lines: %{}, claims: %{}}

  @doc "Answers the caller, now or later."
  @spec acquire(t(), resource(), GenServer.from()) :: t()
  def acquire(%__MODULE__{lines: lines} = queue, resource, {pid, _tag} = from) do
    case lines do
      %{^resource => {^pid, _line}} ->
        GenServer.reply(from, :already_held)
        queue

      %{^resource => {holder, line}} ->
        {token, queue} = claim(queue, resource, pid, :waiting)
        put_line(queue, resource, holder, :queue.in({token, from}, line))

      _free ->
        {token, queue} = claim(queue, resource, pid, :held)
        GenServer.reply(from, {:ok, token})
        put_line(queue, resource, pid, :queue.new())
    end
  end

  @doc "Gives a held resource to the next caller in line."
  @spec release(t(), token()) :: t()
  def release(%__MODULE__{claims: claims} = queue, token) do
    case claims do
      %{^token => {resource, status}} when status != :waiting ->
        Process.demonitor(token, [:flush])
        grant_next(%{queue | claims: Map.delete(claims, token)}, resource)

      _unknown ->
        queue
    end
  end

  @doc "Handles the message `{:DOWN, token, :process, _, _}`: drops the claim unless it is pinned."
  @spec down(t(), token()) :: t()
  def down(%__MODULE__{claims: claims} = queue, token) do
    case claims do
      %{^token => {resource, :pinned}} -> put_status(queue, token, resource, :orphaned)
      %{^token => {_resource, :waiting}} -> %{queue | claims: Map.delete(claims, token)}
      _held_or_unknown -> release(queue, token)
    end
  end

  @doc """
  Keeps a resource held even if its holder dies, while another process writes what the holder has decided.
  Returns `:error` if the holder has already died.
  """
  @spec pin(t(), token()) :: {:ok, t()} | :error
  def pin(%__MODULE__{claims: claims} = queue, token) do
    case claims do
      %{^token => {resource, :held}} -> {:ok, put_status(queue, token, resource, :pinned)}
      _gone -> :error
    end
  end

  @doc "Ends `pin/2`, and releases the resource if its holder has died in the meantime."
  @spec unpin(t(), token()) :: t()
  def unpin(%__MODULE__{claims: claims} = queue, token) do
    case claims do
      %{^token => {resource, :pinned}} -> put_status(queue, token, resource, :held)
      %{^token => {_resource, :orphaned}} -> release(queue, token)
      _released -> queue
    end
  end

  @doc "Whether nothing is held and nobody is waiting."
  @spec empty?(t()) :: boolean()
  def empty?(%__MODULE__{lines: lines, claims: claims}), do: lines == %{} and claims == %{}

  defp claim(queue, resource, pid, status) do
    token = Process.monitor(pid)
    {token, put_status(queue, token, resource, status)}
  end

  defp put_status(queue, token, resource, status) do
    %{queue | claims: Map.put(queue.claims, token, {resource, status})}
  end

  defp put_line(queue, resource, holder, line) do
    %{queue | lines: Map.put(queue.lines, resource, {holder, line})}
  end

  defp grant_next(queue, resource) do
    {_holder, line} = Map.fetch!(queue.lines, resource)

    case :queue.out(line) do
      {:empty, _line} ->
        %{queue | lines: Map.delete(queue.lines, resource)}

      {{:value, {token, {pid, _tag} = from}}, line} ->
        queue = put_line(queue, resource, pid, line)

        if is_map_key(queue.claims, token) do
          GenServer.reply(from, {:ok, token})
          put_status(queue, token, resource, :held)
        else
          grant_next(queue, resource)
        end
    end
  end
end
