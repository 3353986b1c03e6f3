defmodule BaileysEx.Auth.KeyStore.OperationError do
  @moduledoc """
  An operation of a `BaileysEx.Auth.KeyStore` failed, usually because its persistence backend failed.

    * `:action` is the operation: `:start`, `:get`, `:set`, `:clear`, `:transaction` (its start) or
      `:commit` (its end)
    * `:reason` is the reason in the backend's `{:error, reason}`, or one of those below
    * `:place` is the directory or the account, as returned by the backend's
      `c:BaileysEx.Auth.Persistence.place_name/1`; `nil` if the backend has no name for it, or if the store
      has ended

  Reasons of the store itself:

    * `:store_stopped`: its process is not running, or ended before it replied; a change may or may not have
      been saved
    * `{:backend_crashed, text}`: the backend raised, threw or exited; `text` says what and where
    * `{:bad_return, callback}`: the backend returned something that its behaviour does not allow
    * `{:not_supported, :list_keys}`: `clear` needs that callback
    * `{:rollback_failed, reason, key_reasons}`: a backend without `commit_keys` failed with `reason` in the
      middle of a commit, and then failed to restore some keys

  Unless the reason is `:store_stopped` or `:rollback_failed`, nothing has changed. After
  `:recovery_required`, the backend's recovery decides whether the change was saved.

  Neither the message nor `inspect/1` shows a value. From a reason they show atoms, numbers, texts and the
  messages of exceptions, and leave out the rest.
  """

  @type action() :: :start | :get | :set | :clear | :transaction | :commit
  @type t() :: %__MODULE__{action: action(), reason: term(), place: String.t() | nil}

  @enforce_keys [:action, :reason]
  defexception [:action, :reason, :place]

  @impl true
  def message(%__MODULE__{action: action, reason: reason, place: place}) do
    "key store#{of(place)} could not #{deed(action)}: #{text(reason)}"
  end

  defp of(nil), do: ""
  defp of(place), do: " of #{place}"

  defp deed(:start), do: "start"
  defp deed(:get), do: "read"
  defp deed(:set), do: "save"
  defp deed(:clear), do: "delete all keys"
  defp deed(:transaction), do: "start a transaction"
  defp deed(:commit), do: "commit a transaction"

  defp text(:store_stopped), do: "the store is not running"
  defp text({:backend_crashed, text}), do: "the backend crashed: #{text}"

  defp text({:bad_return, callback}),
    do: "the backend's #{callback} returned neither :ok nor an error"

  defp text({:not_supported, callback}), do: "the backend has no #{callback}"
  defp text(message) when is_binary(message), do: printable(message)
  defp text(reason), do: shown(reason)

  defp shown(exception) when is_exception(exception), do: Exception.message(exception)
  defp shown(term) when is_atom(term) or is_number(term), do: inspect(term)

  defp shown(tuple) when is_tuple(tuple) do
    "{" <> (tuple |> Tuple.to_list() |> Enum.map_join(", ", &shown/1)) <> "}"
  end

  defp shown(_may_hold_keys), do: "..."

  defp printable(text), do: if(String.printable?(text), do: text, else: "...")

  defimpl Inspect do
    def inspect(error, _opts) do
      "#BaileysEx.Auth.KeyStore.OperationError<#{Exception.message(error)}>"
    end
  end
end
