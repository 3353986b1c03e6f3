defmodule BaileysEx.Auth.NativeError do
  @moduledoc false
  # Turns errors of the NIF into those that callers of the library receive.

  alias BaileysEx.Auth.{
    CorruptFileError,
    InvalidKeyError,
    InvalidTermError,
    LockedError,
    NotOwnerError,
    Owner
  }

  @type reason() ::
          :not_found
          | {:io, String.t()}
          | {:corrupt, Path.t(), String.t(), String.t(), CorruptFileError.kind()}
          | {:invalid_term, String.t(), String.t()}
          | {:invalid_key, String.t(), String.t(), String.t()}
          | {:unexpected_backend, String.t()}
          | {:unsupported_version, integer()}
          | {:invalid_manifest, String.t()}
          | {:unsupported_journal, integer()}
          | {:recovery_required, Path.t()}
          | {:busy, Path.t(), String.t() | nil}
          | {:not_owner, Path.t(), tuple() | nil}
          | {:changed, Path.t()}

  @doc "Returns the error of `backend` for an error of the NIF."
  @spec to_public(reason(), module()) :: term()
  def to_public(:not_found, _backend), do: :not_found
  # The names are those of `rustix`'s errno table in the NIF, so their number is bounded.
  def to_public({:io, posix}, _backend), do: String.to_atom(posix)

  def to_public({:corrupt, path, member, problem, kind}, _backend) do
    %CorruptFileError{path: path, member: presence(member), problem: problem, kind: kind}
  end

  def to_public({:invalid_term, member, problem}, _backend) do
    error = %InvalidTermError{member: presence(member), problem: problem}

    if String.starts_with?(member, "creds.additional_data") do
      {:invalid_additional_data, Exception.message(error)}
    else
      error
    end
  end

  def to_public({:invalid_key, type, id, problem}, _backend) do
    %InvalidKeyError{type: type, id: id, problem: problem}
  end

  def to_public({:unexpected_backend, name}, backend) do
    {:unexpected_persistence_backend, backend, name}
  end

  def to_public({:unsupported_version, version}, backend) do
    {:unsupported_persistence_version, backend, version}
  end

  def to_public({:invalid_manifest, reason}, backend) do
    {:invalid_persistence_metadata, backend, reason}
  end

  def to_public({:unsupported_journal, version}, backend) do
    {:unsupported_journal_version, backend, version}
  end

  def to_public({:recovery_required, path}, backend) do
    {:recovery_required, backend, path}
  end

  def to_public({:busy, path, holder}, _backend), do: %LockedError{path: path, holder: holder}

  def to_public({:not_owner, path, owner}, _backend) do
    %NotOwnerError{place: path, owner: Owner.from_native(owner)}
  end

  def to_public({:changed, path}, backend), do: {:changed_meanwhile, backend, path}

  defp presence(""), do: nil
  defp presence(text), do: text
end
