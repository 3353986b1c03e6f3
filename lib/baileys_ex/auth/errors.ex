defmodule BaileysEx.Auth.CorruptFileError do
  @moduledoc """
  A file of an auth directory cannot be read, because its content is not what its name promises.

    * `:path` is the file
    * `:member` is the position in the file, such as `"session.sessions[].chains[].chain_key"`, or `nil` for
      the whole file
    * `:problem` says what is wrong, and never shows a value from the file
    * `:kind` classifies the problem, see `t:kind/0`

  The file is left untouched. `advice/1` says what to do.
  """

  @typedoc """
  The kind of a problem, which decides what can be done about it.

    * `:content`: the content of the file is damaged. `mix baileys.auth.repair` says what can be repaired;
      otherwise restore the file from a backup. A damaged *key* can also be deleted, at the cost of its
      session or group. Damaged *credentials* are never replaced by new ones
    * `:symbolic_link` and `:not_a_file`: the name belongs to something other than a regular file
    * `:access`: the file belongs to another user; nothing else is known to be wrong with it
    * `:journal`: the journal that completes the directory is damaged
    * `:bookkeeping`: the lock or the owner's record is damaged; neither contains any part of the account
    * `:row`: the value is not kept in a file; `:path` is its name
  """
  @type kind() ::
          :content | :symbolic_link | :not_a_file | :access | :journal | :bookkeeping | :row

  @type t() :: %__MODULE__{
          path: Path.t(),
          member: String.t() | nil,
          problem: String.t(),
          kind: kind()
        }

  defexception [:path, :member, :problem, kind: :content]

  @impl true
  def message(%__MODULE__{path: path, member: member, problem: problem} = error) do
    [path, member, problem]
    |> Enum.reject(&is_nil/1)
    |> Enum.join(": ")
    |> Kernel.<>(end_of(error))
  end

  # Short, because a message may list several errors.
  defp end_of(%{kind: :row}), do: ""
  defp end_of(error), do: "; the file was left as it is, " <> short(error.kind)

  defp short(:content), do: "repair the directory or restore it from a backup"
  defp short(:symbolic_link), do: "replace the link by the file itself"
  defp short(:not_a_file), do: "move away what has its name"
  defp short(:access), do: "run this as its owner or give it to this user"
  defp short(:journal), do: "repair the directory"
  defp short(:bookkeeping), do: "delete it when no program uses the directory"

  @doc """
  Advice in one or two sentences.

      iex> alias BaileysEx.Auth.CorruptFileError
      iex> problem = "is a directory"
      iex> error = %CorruptFileError{path: "auth/creds.json", problem: problem, kind: :not_a_file}
      iex> CorruptFileError.advice(error)
      "Move away what has the name of this file: it is not a file."
  """
  @spec advice(t()) :: String.t()
  def advice(%__MODULE__{kind: :content}) do
    "mix baileys.auth.repair says what can be repaired. Otherwise restore the file from a backup. A damaged " <>
      "key can be deleted, which costs the session or group that it belongs to; credentials cannot."
  end

  def advice(%__MODULE__{kind: :symbolic_link}) do
    "Links that lead out of the directory are not followed. Replace the link by the file itself."
  end

  def advice(%__MODULE__{kind: :not_a_file}),
    do: "Move away what has the name of this file: it is not a file."

  def advice(%__MODULE__{kind: :access}) do
    "The file itself may be all right: run this as the user who owns it, or give it to this user (chown)."
  end

  def advice(%__MODULE__{kind: :journal}) do
    "Commits that are only in the journal would be lost with it: mix baileys.auth.repair says how much of " <>
      "it can be trusted."
  end

  def advice(%__MODULE__{kind: :bookkeeping}) do
    "The file holds nothing of the account: stop the programs that use the directory, and delete it."
  end

  def advice(%__MODULE__{kind: :row}) do
    "Restore the value from a backup, where it is kept. A damaged key can be deleted there, which costs the " <>
      "session or group that it belongs to; credentials cannot."
  end
end

defmodule BaileysEx.Auth.InvalidTermError do
  @moduledoc """
  A term that could not be loaded again; it was refused before anything was written.

    * `:member` is the position in the term, such as `"pre-key.private"`, or `nil` for the whole term
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
  A type and id that cannot name a file of the directory: the name would be longer than 255 bytes, would
  contain a NUL, or already belongs to another id.
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
  Some files of an auth directory cannot be read. The error names all of them.

    * `:path` is the directory
    * `:files` holds a `BaileysEx.Auth.CorruptFileError` for each
  """

  alias BaileysEx.Auth.{CorruptFileError, Numbers}

  @type t() :: %__MODULE__{path: Path.t(), files: [CorruptFileError.t()]}

  defexception [:path, :files]

  @impl true
  def message(%__MODULE__{path: path, files: files}), do: listed(path, files, "file")

  # A person reads the message; the error itself lists all files.
  @shown 10

  @doc false
  # The first of many errors, also used for rows; `what` names one of them.
  @spec listed(String.t(), [Exception.t()], String.t()) :: String.t()
  def listed(place, errors, what) do
    lines = errors |> Enum.take(@shown) |> Enum.map(&("\n  " <> Exception.message(&1)))
    more = if length(errors) > @shown, do: "\n  and #{length(errors) - @shown} more", else: ""
    what = if length(errors) == 1, do: String.trim_trailing(what, "s"), else: what
    "#{place}: #{Numbers.count(length(errors), what)} cannot be read:#{lines}#{more}"
  end

  @doc false
  @spec files([{Path.t(), String.t(), String.t(), CorruptFileError.kind()}]) :: [
          CorruptFileError.t()
        ]
  def files(damaged) do
    for {path, member, problem, kind} <- damaged do
      member = if member != "", do: member
      %CorruptFileError{path: path, member: member, problem: problem, kind: kind}
    end
  end
end

defmodule BaileysEx.Auth.DamagedRowsError do
  @moduledoc """
  Some values of an account that was to be imported cannot be read. The error names all of them.

    * `:source` is where they came from, such as the name of a file
    * `:rows` holds a `BaileysEx.Auth.CorruptFileError` for each, with the name of the row as its `:path`
  """

  alias BaileysEx.Auth.{CorruptFileError, DamagedDirectoryError}

  @type t() :: %__MODULE__{source: String.t(), rows: [CorruptFileError.t()]}

  defexception [:source, :rows]

  @impl true
  def message(%__MODULE__{source: source, rows: rows}),
    do: DamagedDirectoryError.listed(source, rows, "row")
end
