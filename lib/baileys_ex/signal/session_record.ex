defmodule BaileysEx.Signal.SessionRecord do
  @moduledoc """
  All sessions with one device of another account: at most one open session, and closed ones, which late
  messages may still need.

  A session is stored under its raw base key. As in libsignal (`CLOSED_SESSIONS_MAX` in
  `src/session_record.js`), at most 40 closed sessions are kept; the ones that were closed first are removed
  first. An open session is never removed.

      iex> alias BaileysEx.Signal.SessionRecord
      iex> open = %{index_info: %{closed: nil}}
      iex> record = SessionRecord.put_session(SessionRecord.new(), "base key", open)
      iex> record
      #BaileysEx.Signal.SessionRecord<sessions: 1, open: true>
      iex> record |> SessionRecord.close_open_session() |> SessionRecord.have_open_session?()
      false

  Sessions are plain maps that contain key material; `inspect/1` of the record leaves it out.
  """

  alias BaileysEx.Auth.Options

  @max_closed_sessions 40

  @typedoc "33 bytes with the type byte 5 in front, or 32 bytes, as found."
  @type public_key() :: binary()

  @typedoc """
  One session.

    * `:closed` is `nil` for the open session, and otherwise milliseconds since 1970
    * `:used` and `:created`, in milliseconds since 1970, exist in sessions that Baileys made
    * `:chains` are stored under the base64 text of the ratchet key
  """
  @type session() :: %{
          required(:current_ratchet) => %{
            root_key: binary(),
            ephemeral_key_pair: %{public: public_key(), private: binary()} | nil,
            last_remote_ephemeral: public_key(),
            previous_counter: integer()
          },
          required(:index_info) => %{
            required(:remote_identity_key) => public_key(),
            required(:local_identity_key) => public_key(),
            required(:base_key) => public_key(),
            required(:base_key_type) => :sending | :receiving,
            required(:closed) => integer() | nil,
            optional(:used) => integer(),
            optional(:created) => integer()
          },
          required(:chains) => %{optional(String.t()) => chain()},
          required(:pending_pre_key) => pending_pre_key() | nil,
          required(:registration_id) => non_neg_integer()
        }

  @typedoc """
  One chain of the ratchet.

    * `:counter` is the number of the next message
    * `:key` is `nil` in a closed chain
    * `:message_keys` are the seeds of skipped messages, by number
  """
  @type chain() :: %{
          chain_key: %{counter: integer(), key: binary() | nil},
          chain_type: :sending | :receiving,
          message_keys: %{optional(non_neg_integer()) => binary()}
        }

  @type pending_pre_key() :: %{
          pre_key_id: non_neg_integer() | nil,
          signed_pre_key_id: non_neg_integer(),
          base_key: public_key()
        }

  @type t() :: %__MODULE__{sessions: %{optional(public_key()) => session()}}

  defstruct sessions: %{}

  @doc """
  Returns a record without sessions.

      iex> BaileysEx.Signal.SessionRecord.new()
      #BaileysEx.Signal.SessionRecord<sessions: 0, open: false>
  """
  @spec new() :: t()
  def new, do: %__MODULE__{}

  @doc """
  Whether there is no session, open or closed.

      iex> BaileysEx.Signal.SessionRecord.empty?(BaileysEx.Signal.SessionRecord.new())
      true
  """
  @spec empty?(t()) :: boolean()
  def empty?(%__MODULE__{sessions: sessions}), do: sessions == %{}

  @doc """
  Whether a session is open, so that a message can be sent without starting a new one.

      iex> alias BaileysEx.Signal.SessionRecord
      iex> open = %{index_info: %{closed: nil}}
      iex> record = SessionRecord.put_session(SessionRecord.new(), "base key", open)
      iex> SessionRecord.have_open_session?(record)
      true
  """
  @spec have_open_session?(t()) :: boolean()
  def have_open_session?(%__MODULE__{} = record), do: get_open_session(record) != nil

  @doc """
  Returns the open session as `{base_key, session}`, or `nil` if none is open.

      iex> alias BaileysEx.Signal.SessionRecord
      iex> open = %{index_info: %{closed: nil}}
      iex> record = SessionRecord.put_session(SessionRecord.new(), "base key", open)
      iex> SessionRecord.get_open_session(record)
      {"base key", %{index_info: %{closed: nil}}}
  """
  @spec get_open_session(t()) :: {public_key(), session()} | nil
  def get_open_session(%__MODULE__{sessions: sessions}) do
    Enum.find(sessions, fn {_base_key, session} -> open?(session) end)
  end

  @doc """
  Returns the session with this base key, open or closed, or `nil` if there is none.

      iex> alias BaileysEx.Signal.SessionRecord
      iex> SessionRecord.get_session(SessionRecord.new(), "base key")
      nil
  """
  @spec get_session(t(), public_key()) :: session() | nil
  def get_session(%__MODULE__{sessions: sessions}, base_key), do: Map.get(sessions, base_key)

  @doc """
  Adds or replaces a session. If this makes more than 40 closed ones, those that were closed first are
  removed.

      iex> alias BaileysEx.Signal.SessionRecord
      iex> closed = %{index_info: %{closed: 1_764_200_000_000}}
      iex> SessionRecord.put_session(SessionRecord.new(), "base key", closed)
      #BaileysEx.Signal.SessionRecord<sessions: 1, open: false>

  Raises an `ArgumentError` if the session has no `index_info` that says whether it is closed. The error does
  not show the session.
  """
  @spec put_session(t(), public_key(), session()) :: t()
  def put_session(
        %__MODULE__{sessions: sessions} = record,
        base_key,
        %{index_info: %{closed: closed}} = session
      )
      when is_integer(closed) or is_nil(closed) do
    trim(%{record | sessions: Map.put(sessions, base_key, session)})
  end

  def put_session(%__MODULE__{}, _base_key, _session) do
    raise ArgumentError, "a session needs index_info with closed: nil or milliseconds"
  end

  @doc """
  Closes a session, now or at `:closed_at` (milliseconds since 1970).

  A session that is already closed keeps its time; an unknown base key changes nothing.

      iex> alias BaileysEx.Signal.SessionRecord
      iex> open = %{index_info: %{closed: nil}}
      iex> record = SessionRecord.put_session(SessionRecord.new(), "base key", open)
      iex> closed = SessionRecord.close_session(record, "base key", closed_at: 1_764_200_000_000)
      iex> SessionRecord.get_session(closed, "base key")
      %{index_info: %{closed: 1_764_200_000_000}}
  """
  @spec close_session(t(), public_key(), closed_at: integer()) :: t()
  def close_session(%__MODULE__{sessions: sessions} = record, base_key, opts \\ []) do
    Options.check!(opts, [:closed_at])

    case sessions do
      %{^base_key => %{index_info: %{closed: nil} = info} = session} ->
        closed = %{session | index_info: %{info | closed: closed_at(opts)}}
        trim(%{record | sessions: %{sessions | base_key => closed}})

      _ ->
        record
    end
  end

  @doc """
  Closes the open session, if there is one, now or at `:closed_at` (milliseconds since 1970).

      iex> alias BaileysEx.Signal.SessionRecord
      iex> open = %{index_info: %{closed: nil}}
      iex> record = SessionRecord.put_session(SessionRecord.new(), "base key", open)
      iex> SessionRecord.close_open_session(record)
      #BaileysEx.Signal.SessionRecord<sessions: 1, open: false>
  """
  @spec close_open_session(t(), closed_at: integer()) :: t()
  def close_open_session(%__MODULE__{} = record, opts \\ []) do
    Options.check!(opts, [:closed_at])

    case get_open_session(record) do
      {base_key, _session} -> record |> close_session(base_key, opts) |> close_open_session(opts)
      nil -> record
    end
  end

  defp open?(%{index_info: %{closed: nil}}), do: true
  defp open?(_session), do: false

  defp closed_at(opts) do
    Keyword.get_lazy(opts, :closed_at, fn -> System.system_time(:millisecond) end)
  end

  defp trim(%__MODULE__{sessions: sessions} = record) do
    closed =
      for {base_key, %{index_info: %{closed: at}}} when at != nil <- sessions, do: {at, base_key}

    surplus = Enum.take(Enum.sort(closed), max(length(closed) - @max_closed_sessions, 0))

    %{record | sessions: Map.drop(sessions, Enum.map(surplus, &elem(&1, 1)))}
  end

  defimpl Inspect do
    alias BaileysEx.Auth.ShortInspect
    alias BaileysEx.Signal.SessionRecord

    def inspect(%{sessions: sessions} = record, opts)
        when is_map(sessions) and not is_struct(sessions) do
      shown = [sessions: map_size(sessions), open: SessionRecord.have_open_session?(record)]
      ShortInspect.render(SessionRecord, shown, opts)
    end

    def inspect(_malformed, opts), do: ShortInspect.render(SessionRecord, [], opts)
  end
end
