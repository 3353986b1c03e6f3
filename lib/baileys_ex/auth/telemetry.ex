defmodule BaileysEx.Auth.Telemetry do
  @moduledoc """
  Events for those who watch an application, through [`:telemetry`](https://hexdocs.pm/telemetry).

  This library does not depend on `:telemetry`: it looks for it once, when the application
  `:baileys_ex_auth` starts, and without it no event is made at all. With it:

      :telemetry.attach_many(
        "auth-state",
        BaileysEx.Auth.Telemetry.events(),
        fn event, measurements, metadata, _config -> ... end,
        nil
      )

  Handlers run in the process that did the work, after the directory's lock was given back, but for
  the events of a migration's steps and of the lock, which come while it is held.

  ## Events

  Durations are in `:native` time units, as everywhere in `:telemetry`; convert them with
  `System.convert_time_unit/3`.

  | event | measurements | metadata |
  |---|---|---|
  | `[:baileys_ex_auth, :load]` | `duration` | `backend`, `path`, `type`, `result` |
  | `[:baileys_ex_auth, :commit]` | `duration`, `changes` (saves and deletions) | `backend`, `path`, `types`, `result` |
  | `[:baileys_ex_auth, :checkpoint]` | `duration` (sum), `count` | `backend`, `path` |
  | `[:baileys_ex_auth, :recovery]` | `duration` (sum), `count`, `commits` found in the journal | `backend`, `path` |
  | `[:baileys_ex_auth, :migration, :step]` | `duration`, `files` of this step, `done`, `total` | `source_backend`, `target_backend`, `source_path`, `target_path` |
  | `[:baileys_ex_auth, :lock, :wait]` | `duration` | `scope`, and for a directory's lock `backend`, `path` |
  | `[:baileys_ex_auth, :owner, :claimed]` | none | `backend`, `owner` |
  | `[:baileys_ex_auth, :owner, :lost]` | none | `backend`, `owner` (the new one, or `nil`) |
  | `[:baileys_ex_auth, :owner, :released]` | none | `backend`, `owner` |

    * `backend` is the module, `path` the directory, absolute
    * `type` is the family of the key as a string, `"creds"` for the credentials; `types` is a list
      of them without repetition
    * `result` is `:ok`, `:not_found` or `:error`
    * `commit` includes the wait for the lock, and a checkpoint if one was due; the checkpoint then
      has its own event too
    * `recovery` is what the first touch of a directory, or a commit after another VM was killed in the
      middle of one, did to complete what was interrupted
    * `owner` is a `BaileysEx.Auth.Owner`
    * `scope` is `:cluster` for a lock among all connected nodes, `:node` for one of this node, and
      `:transaction` for the key of a store's transaction

  No event carries an id of a key (they hold phone numbers), an error's text or anything from
  inside a file.
  """

  @events [
    [:baileys_ex_auth, :load],
    [:baileys_ex_auth, :commit],
    [:baileys_ex_auth, :checkpoint],
    [:baileys_ex_auth, :recovery],
    [:baileys_ex_auth, :migration, :step],
    [:baileys_ex_auth, :lock, :wait],
    [:baileys_ex_auth, :owner, :claimed],
    [:baileys_ex_auth, :owner, :lost],
    [:baileys_ex_auth, :owner, :released]
  ]

  # A host application brings it, or nobody does.
  @compile {:no_warn_undefined, :telemetry}

  @enabled {__MODULE__, :enabled}

  @doc "The names of all events."
  @spec events() :: [[atom(), ...]]
  def events, do: @events

  @doc """
  Looks for `:telemetry` again, and says whether it is there. The application does this when it
  starts; only code that loads `:telemetry` later needs it.
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
  # Runs `fun`, and has `describe` make measurements and metadata of what it returned.
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
      :telemetry.execute([:baileys_ex_auth | name], measurements, metadata)
    end

    :ok
  end

  @doc false
  @spec result(term()) :: :ok | :not_found | :error
  def result(:ok), do: :ok
  def result({:ok, _value}), do: :ok
  def result({:error, :not_found}), do: :not_found
  def result({:error, _reason}), do: :error
end
