defmodule BaileysEx.Auth.CorruptFileError do
  @moduledoc """
  A file of an auth directory holds something else than its name promises.

    * `:path` is the file
    * `:member` is where in it, such as `"session.sessions[].chains[].chain_key"`, or `nil` for
      the whole file
    * `:problem` says what is wrong, and never shows a value of the file

  The file was left as it is. Restore it from a backup; a damaged *key* can also be deleted, which
  costs the session or group it belongs to. Damaged *credentials* are never replaced by new ones.
  """

  @type t() :: %__MODULE__{path: Path.t(), member: String.t() | nil, problem: String.t()}

  defexception [:path, :member, :problem]

  @impl true
  def message(%__MODULE__{path: path, member: nil, problem: problem}) do
    "#{path}: #{problem}; the file was left as it is, restore it from a backup"
  end

  def message(%__MODULE__{member: member} = error) do
    "#{error.path}: #{member}: #{error.problem}; the file was left as it is, " <>
      "restore it from a backup"
  end
end

defmodule BaileysEx.Auth.InvalidTermError do
  @moduledoc """
  A term that the backend could not give back, refused before anything was written.

    * `:member` is where in the term, such as `"pre-key.private"`, or `nil` for the whole
    * `:problem` says what is wrong, and never shows the value
  """

  @type t() :: %__MODULE__{member: String.t() | nil, problem: String.t()}

  defexception [:member, :problem]

  @impl true
  def message(%__MODULE__{member: nil, problem: problem}), do: problem
  def message(%__MODULE__{member: member, problem: problem}), do: "#{member}: #{problem}"
end

defmodule BaileysEx.Auth.InvalidKeyError do
  @moduledoc """
  A type and id that cannot name a file of the directory: the name would pass 255 bytes or holds a
  NUL, or another id has that file name already.
  """

  @type t() :: %__MODULE__{type: String.t(), id: String.t(), problem: String.t()}

  defexception [:type, :id, :problem]

  @impl true
  def message(%__MODULE__{type: type, id: id, problem: problem}) do
    "#{type} #{inspect(id)}: #{problem}"
  end
end

defmodule BaileysEx.Auth.DamagedDirectoryError do
  @moduledoc """
  Files of an auth directory that cannot be read, all of them.

    * `:path` is the directory
    * `:files` holds a `BaileysEx.Auth.CorruptFileError` for each
  """

  alias BaileysEx.Auth.CorruptFileError

  @type t() :: %__MODULE__{path: Path.t(), files: [CorruptFileError.t()]}

  defexception [:path, :files]

  # A message is read by a person: the rest is in :files.
  @shown 10

  @impl true
  def message(%__MODULE__{path: path, files: files}) do
    lines = files |> Enum.take(@shown) |> Enum.map(&("\n  " <> Exception.message(&1)))
    more = if length(files) > @shown, do: "\n  and #{length(files) - @shown} more", else: ""
    "#{path}: #{length(files)} files cannot be read:#{lines}#{more}"
  end

  @doc false
  @spec files([{Path.t(), String.t(), String.t()}]) :: [CorruptFileError.t()]
  def files(damaged) do
    for {path, member, problem} <- damaged do
      %CorruptFileError{path: path, member: if(member != "", do: member), problem: problem}
    end
  end
end
