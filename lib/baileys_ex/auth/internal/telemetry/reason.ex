defmodule BaileysEx.Auth.Telemetry.Reason do
  @moduledoc false
  # The kind of a failure: an atom, so that it can be the tag of a metric. It contains no value.

  alias BaileysEx.Auth.{
    CorruptFileError,
    CorruptRowError,
    DamagedAccountError,
    DamagedRowsError,
    DatabaseError,
    InvalidKeyError,
    InvalidTermError,
    LockedError,
    NotOwnerError
  }

  @kinds %{
    CorruptFileError => :corrupt,
    CorruptRowError => :corrupt,
    DamagedAccountError => :corrupt,
    DamagedRowsError => :corrupt,
    InvalidKeyError => :invalid_key,
    InvalidTermError => :invalid_term,
    LockedError => :locked,
    NotOwnerError => :not_owner
  }

  @spec kind(reason :: term()) :: atom()
  def kind(%DatabaseError{kind: kind}), do: kind
  def kind(%module{}), do: Map.get(@kinds, module, :other)
  def kind(reason) when is_atom(reason), do: reason

  def kind(reason) when is_tuple(reason) and tuple_size(reason) > 0 and is_atom(elem(reason, 0)),
    do: elem(reason, 0)

  def kind(_text), do: :other
end
