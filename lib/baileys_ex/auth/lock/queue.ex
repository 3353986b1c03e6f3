defmodule BaileysEx.Auth.Lock.Queue do
  @moduledoc false
  # Who holds which resource, and who waits for it in which order. Data for the state of a server
  # process, which owns the monitors: the node's lock server, a key store and a memory store.
  #
  # The monitor of a claimant is also the token of its claim. `claims` is the truth, a token that
  # is not in it has been dropped, so a waiter that died is skipped when its turn comes.

  @enforce_keys [:lines, :claims]
  defstruct [:lines, :claims]

  @type resource() :: term()
  @type token() :: reference()

  @typedoc "What the server tells a claimant whose turn has come, such as where to reply."
  @type notice() :: term()

  # `:committing` and `:orphaned` outlive the claimant: see `pin/2`.
  @typep status() :: :waiting | :held | :committing | :orphaned

  @opaque t() :: %__MODULE__{
            lines: %{optional(resource()) => {pid(), :queue.queue({token(), pid(), notice()})}},
            claims: %{optional(token()) => {resource(), status()}}
          }

  @spec new() :: t()
  def new, do: %__MODULE__{lines: %{}, claims: %{}}

  @doc "Claims a resource; `{:waiting, _}` promises a later grant by `release/2` or `down/2`."
  @spec claim(t(), resource(), pid(), notice()) ::
          {:granted, token(), t()} | {:waiting, t()} | :already_held
  def claim(%__MODULE__{lines: lines} = queue, resource, pid, notice) do
    case lines do
      %{^resource => {^pid, _line}} ->
        :already_held

      %{^resource => {holder, line}} ->
        {token, queue} = monitor(queue, resource, pid, :waiting)
        {:waiting, put_line(queue, resource, holder, :queue.in({token, pid, notice}, line))}

      _free ->
        {token, queue} = monitor(queue, resource, pid, :held)
        {:granted, token, put_line(queue, resource, pid, :queue.new())}
    end
  end

  @doc "Gives a held resource back, and names who holds it next, if anybody."
  @spec release(t(), token()) :: {{token(), notice()} | nil, t()}
  def release(%__MODULE__{claims: claims} = queue, token) do
    case claims do
      %{^token => {resource, status}} when status != :waiting ->
        Process.demonitor(token, [:flush])
        next(%{queue | claims: Map.delete(claims, token)}, resource)

      _unknown ->
        {nil, queue}
    end
  end

  @doc "A claimant died: its claim is dropped, but for one that is pinned."
  @spec down(t(), token()) :: {{token(), notice()} | nil, t()}
  def down(%__MODULE__{claims: claims} = queue, token) do
    case claims do
      %{^token => {resource, status}} when status in [:committing, :orphaned] ->
        {nil, %{queue | claims: %{claims | token => {resource, :orphaned}}}}

      %{^token => {_resource, :waiting}} ->
        {nil, %{queue | claims: Map.delete(claims, token)}}

      _held_or_unknown ->
        release(queue, token)
    end
  end

  @doc """
  Keeps a held resource held although its holder may die, because somebody else is writing what
  the holder decided. `:error` when the claim is gone already.
  """
  @spec pin(t(), token()) :: {:ok, t()} | :error
  def pin(%__MODULE__{claims: claims} = queue, token) do
    case claims do
      %{^token => {resource, :held}} ->
        {:ok, %{queue | claims: %{claims | token => {resource, :committing}}}}

      _gone ->
        :error
    end
  end

  @doc "Undoes `pin/2`; releases the resource of a holder that has died meanwhile."
  @spec unpin(t(), token()) :: {{token(), notice()} | nil, t()}
  def unpin(%__MODULE__{claims: claims} = queue, token) do
    case claims do
      %{^token => {resource, :committing}} ->
        {nil, %{queue | claims: %{claims | token => {resource, :held}}}}

      %{^token => {_resource, :orphaned}} ->
        release(queue, token)

      _unknown ->
        {nil, queue}
    end
  end

  @doc "Whether the claim is still there and is not waiting."
  @spec held?(t(), token()) :: boolean()
  def held?(%__MODULE__{claims: claims}, token) do
    match?(%{^token => {_resource, status}} when status != :waiting, claims)
  end

  @doc "Whether nothing is held and nobody waits."
  @spec empty?(t()) :: boolean()
  def empty?(%__MODULE__{lines: lines, claims: claims}), do: lines == %{} and claims == %{}

  defp monitor(queue, resource, pid, status) do
    token = Process.monitor(pid)
    {token, %{queue | claims: Map.put(queue.claims, token, {resource, status})}}
  end

  defp put_line(queue, resource, holder, line) do
    %{queue | lines: Map.put(queue.lines, resource, {holder, line})}
  end

  defp next(queue, resource) do
    {_holder, line} = Map.fetch!(queue.lines, resource)

    case :queue.out(line) do
      {:empty, _line} ->
        {nil, %{queue | lines: Map.delete(queue.lines, resource)}}

      {{:value, {token, pid, notice}}, line} ->
        queue = put_line(queue, resource, pid, line)

        if is_map_key(queue.claims, token) do
          claims = %{queue.claims | token => {resource, :held}}
          {{token, notice}, %{queue | claims: claims}}
        else
          next(queue, resource)
        end
    end
  end
end
