defmodule BaileysEx.Auth.Telemetry do
  @moduledoc """
  The events that this library emits through [`:telemetry`](https://hexdocs.pm/telemetry).

  This library does not depend on `:telemetry`. It looks for it once, when the application `:baileys_ex_auth`
  starts. Without it, no events are emitted. With it:

      :telemetry.attach_many(
        "auth-state",
        BaileysEx.Auth.Telemetry.events(),
        fn event, measurements, metadata, _config -> ... end,
        nil
      )

  Handlers run in the process that did the work, after it has released the directory's lock. Only the events
  of migration steps and of the lock itself are emitted while it is held.

  ## Events

  Durations are in `:native` time units, as everywhere in `:telemetry`; convert them with
  `System.convert_time_unit/3`.

  | event | measurements | metadata |
  |---|---|---|
  | `[:baileys_ex_auth, :load]` | `duration` | `backend`, `path`, `type`, `result`, `reason` |
  | `[:baileys_ex_auth, :commit]` | `duration`, `changes` (saves and deletions) | `backend`, `path`, `types`, `result`, `reason` |
  | `[:baileys_ex_auth, :checkpoint]` | `duration` (sum), `count` | `backend`, `path` |
  | `[:baileys_ex_auth, :recovery]` | `duration` (sum), `count`, `commits` found in the journal | `backend`, `path` |
  | `[:baileys_ex_auth, :migration, :step]` | `duration`, `files` of this step, `done`, `total` | `source_backend`, `target_backend`, `source_path`, `target_path` |
  | `[:baileys_ex_auth, :lock, :wait]` | `duration` | `scope`, and for a directory's lock `backend`, `path` |
  | `[:baileys_ex_auth, :owner, :claimed]` | none | `backend`, `owner` |
  | `[:baileys_ex_auth, :owner, :lost]` | none | `backend`, `owner` (the new one, or `nil`) |
  | `[:baileys_ex_auth, :owner, :released]` | none | `backend`, `owner` |
  | `[:baileys_ex_auth, :store, :started]` | none | `backend`, `place`, `pid` |
  | `[:baileys_ex_auth, :store, :retrying]` | `attempt` (1 after the first failure) | `backend`, `place`, `action`, `reason` |
  | `[:baileys_ex_auth, :store, :stopped]` | `duration` since its start | `backend`, `place`, `pid`, `reason` |

    * `backend` is the module. `path` is the absolute path of the directory; for an account in a database it
      is the name of the account in errors. `place` is the same for a store, or `nil` if a backend has no name
      for it
    * `type` is the family of the key as a string, `"creds"` for the credentials; `types` is a list of them
      without repetition
    * `result` is `:ok`, `:not_found` or `:error`
    * `reason` is the kind of a failure, an atom: that of the operating system (`:enospc`), that of a
      `BaileysEx.Auth.DatabaseError` (`:unavailable`), `:corrupt`, `:invalid_key`, `:invalid_term`, `:locked`,
      `:not_owner`, the first element of a tuple (`:changed_meanwhile`), or `:other`. It is `nil` if nothing
      failed. For a store that was stopped in an orderly way it is `:normal` or `:shutdown`; a store that is
      killed emits no event
    * `action` is that of a `BaileysEx.Auth.KeyStore.OperationError`; `retrying` is emitted once for each
      retry
    * the duration of `commit` includes the wait for the lock, and a checkpoint if one was due; that
      checkpoint also has its own event
    * `recovery` is emitted when an interrupted commit was completed: by the first use of a directory, or by a
      commit after another VM was killed in the middle of one
    * `owner` is a `BaileysEx.Auth.Owner`
    * `scope` is `:cluster` for a lock among all connected nodes, `:node` for a lock on this node, and
      `:transaction` for the key of a store's transaction

  No event contains the id of a key (it may be a phone number), the text of an error, or anything from inside
  a file.

  ## In the log

  `attach_default_logger/1` writes these events to the log.
  """

  alias BaileysEx.Auth.Options
  alias BaileysEx.Auth.Telemetry.{DefaultLogger, Reason}

  @events [
    [:baileys_ex_auth, :load],
    [:baileys_ex_auth, :commit],
    [:baileys_ex_auth, :checkpoint],
    [:baileys_ex_auth, :recovery],
    [:baileys_ex_auth, :migration, :step],
    [:baileys_ex_auth, :lock, :wait],
    [:baileys_ex_auth, :owner, :claimed],
    [:baileys_ex_auth, :owner, :lost],
    [:baileys_ex_auth, :owner, :released],
    [:baileys_ex_auth, :store, :started],
    [:baileys_ex_auth, :store, :retrying],
    [:baileys_ex_auth, :store, :stopped]
  ]

  # The first is the default.
  @levels [:info, :debug, :notice, :warning, :error, :critical, :alert, :emergency]

  # The host application brings `:telemetry`, if anybody does. Calls through `apply` keep Mix from requiring
  # the dependency.
  @compile {:no_warn_undefined, :telemetry}

  @enabled {__MODULE__, :enabled}

  @doc """
  Returns the names of all events, for attaching a handler to them.

      iex> [:baileys_ex_auth, :commit] in BaileysEx.Auth.Telemetry.events()
      true
  """
  @spec events() :: [[atom(), ...]]
  def events, do: @events

  @option_list """
    * `:level`: the level of ordinary events, `:info` by default. Failures, retries and the loss of a claim
      are logged at `:warning`; successful loads and commits, and waits for a lock, at `:debug`
    * `:events`: the events to log, as `events/0` names them; all by default
    * `:encode`: whether a line is JSON (`true`, the default) or text (`false`)
  """

  @typedoc """
  Options of `attach_default_logger/1`.

  #{@option_list}
  """
  @type logger_option() ::
          {:level, Logger.level()} | {:events, [[atom(), ...]]} | {:encode, boolean()}

  @doc """
  Logs events, one line each, from now on and for all stores of this VM.

      BaileysEx.Auth.Telemetry.attach_default_logger(level: :debug, encode: false)
      #=> :ok

  A line has the event's measurements and metadata, with durations in microseconds:

      {"backend":"BaileysEx.Auth.NativeFilePersistence","event":"store:started","path":...}

  Options:

  #{@option_list}
  Returns `{:error, :already_exists}` if the logger is already attached, and `{:error, :no_telemetry}` if the
  application has no `:telemetry`. Raises `ArgumentError` for unknown options and invalid values.
  """
  @spec attach_default_logger([logger_option()]) ::
          :ok | {:error, :already_exists | :no_telemetry}
  def attach_default_logger(opts \\ []) do
    Options.check!(opts, [:level, :events, :encode])
    level = Options.one_of!(opts, :level, @levels)
    encode? = Options.one_of!(opts, :encode, [true, false])
    chosen = known!(Keyword.get(opts, :events, @events))

    if enabled?(),
      do: DefaultLogger.attach(chosen, %{level: level, encode?: encode?}),
      else: {:error, :no_telemetry}
  end

  defp known!(events) do
    case is_list(events) and events -- @events do
      [] -> events
      _unknown -> raise ArgumentError, "expected :events to be some of #{inspect(@events)}"
    end
  end

  @doc """
  Stops the logging that `attach_default_logger/1` started.

      BaileysEx.Auth.Telemetry.detach_default_logger()
      #=> :ok

  Returns `{:error, :not_found}` if the logger is not attached, or if the application has no `:telemetry`.
  """
  @spec detach_default_logger() :: :ok | {:error, :not_found}
  def detach_default_logger do
    if enabled?(), do: DefaultLogger.detach(), else: {:error, :not_found}
  end

  @doc """
  Looks for `:telemetry` again, and returns whether it is present. The application does this when it starts;
  only code that loads `:telemetry` later needs to call it.

      BaileysEx.Auth.Telemetry.detect()
      #=> true
  """
  @spec detect() :: boolean()
  def detect do
    found? = Code.ensure_loaded?(:telemetry) and function_exported?(:telemetry, :execute, 3)
    :persistent_term.put(@enabled, found?)
    found?
  end

  @doc false
  @spec enabled?() :: boolean()
  def enabled?, do: :persistent_term.get(@enabled, false)

  @doc false
  # Runs `fun`, and passes its result to `describe`, which returns measurements and metadata.
  @spec span([atom(), ...], (result -> {map(), map()}), (() -> result)) :: result
        when result: var
  def span(name, describe, fun) do
    if enabled?() do
      started = System.monotonic_time()
      result = fun.()
      duration = System.monotonic_time() - started
      {measurements, metadata} = describe.(result)
      execute(name, Map.put(measurements, :duration, duration), metadata)
      result
    else
      fun.()
    end
  end

  @doc false
  @spec execute([atom(), ...], map(), map()) :: :ok
  def execute(name, measurements, metadata) do
    if enabled?() do
      apply(:telemetry, :execute, [[:baileys_ex_auth | name], measurements, metadata])
    end

    :ok
  end

  @doc false
  # The outcome of a call, for the metadata of an event.
  @spec outcome(term()) :: %{result: :ok | :not_found | :error, reason: atom()}
  def outcome({:error, :not_found}), do: %{result: :not_found, reason: nil}
  def outcome({:error, reason}), do: %{result: :error, reason: Reason.kind(reason)}
  def outcome(_ok), do: %{result: :ok, reason: nil}
end
