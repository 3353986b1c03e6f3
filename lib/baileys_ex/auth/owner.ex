defmodule BaileysEx.Auth.Owner do
  @moduledoc """
  The owner of an auth directory, or of an account of another backend: the process that has claimed it.

  A `BaileysEx.Auth.KeyStore` claims its directory or account when it starts, and releases the claim when it
  stops. The newest claim wins: every write under an older one is refused with a
  `BaileysEx.Auth.NotOwnerError`. `owner/1` of each backend returns the owner:

      {:ok, owner} = BaileysEx.Auth.NativeFilePersistence.owner("/var/lib/my_app/auth")
      owner && to_string(owner)
      #=> "my_app@web-2 (process 4711 on web-2) since 2026-11-27 02:11:03Z"

    * `:id` consists of 32 random hexadecimal digits and is never used again
    * `:counter` is one more than that of the previous claim
    * `:node` is the name of the BEAM node, `:os_process` the id of the operating system process and `:host`
      the name of the machine
    * `:since` is when the claim was made, by the clock of that machine
  """

  @enforce_keys [:id, :counter, :node, :os_process, :host, :since]
  defstruct @enforce_keys

  @type t() :: %__MODULE__{
          id: String.t(),
          counter: non_neg_integer(),
          node: String.t(),
          os_process: String.t(),
          host: String.t(),
          since: DateTime.t()
        }

  @doc """
  Describes this VM, now, with a fresh id, for the backend's `claim/2`, which sets the counter.

      iex> owner = BaileysEx.Auth.Owner.new()
      iex> {byte_size(owner.id), owner.counter, owner.os_process == System.pid()}
      {32, 0, true}
  """
  @spec new() :: t()
  def new do
    {:ok, host} = :inet.gethostname()

    %__MODULE__{
      id: Base.encode16(:crypto.strong_rand_bytes(16), case: :lower),
      counter: 0,
      node: Atom.to_string(node()),
      os_process: System.pid(),
      host: List.to_string(host),
      since: DateTime.truncate(DateTime.utc_now(), :millisecond)
    }
  end

  @doc false
  @spec to_native(t()) :: {String.t(), String.t(), String.t(), String.t(), integer()}
  def to_native(%__MODULE__{} = owner) do
    since = DateTime.to_unix(owner.since, :millisecond)
    {owner.id, owner.node, owner.os_process, owner.host, since}
  end

  @doc false
  @spec from_native(tuple() | nil) :: t() | nil
  def from_native(nil), do: nil

  def from_native({id, counter, node, os_process, host, since_ms}) do
    %__MODULE__{
      id: id,
      counter: counter,
      node: node,
      os_process: os_process,
      host: host,
      since: since(since_ms)
    }
  end

  # Somebody may have edited the record by hand.
  defp since(ms) do
    case DateTime.from_unix(ms, :millisecond) do
      {:ok, since} -> since
      {:error, _reason} -> DateTime.from_unix!(0, :millisecond)
    end
  end

  defimpl String.Chars do
    def to_string(owner) do
      since = owner.since |> DateTime.truncate(:second) |> DateTime.to_string()
      "#{owner.node} (process #{owner.os_process} on #{owner.host}) since #{since}"
    end
  end
end
