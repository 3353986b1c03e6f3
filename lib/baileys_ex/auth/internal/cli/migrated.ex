defmodule BaileysEx.Auth.CLI.Migrated do
  @moduledoc false
  # Reports on a finished migration or import.

  alias BaileysEx.Auth.CLI.{Backends, Command, Damage, Layout, Progress, Terminal}
  alias BaileysEx.Auth.{NativeFilePersistence, Numbers, PersistenceMigration}

  @doc "Returns the options that migrations and imports share, as functions take them."
  @spec options(keyword()) :: keyword()
  def options(options) do
    [
      overwrite?: Keyword.get(options, :overwrite, false),
      on_corrupt: if(options[:skip_corrupt], do: :skip, else: :error),
      credentials: if(options[:without_credentials], do: :optional, else: :required),
      unknown: if(options[:carry_unknown], do: :carry, else: :leave)
    ]
  end

  @doc """
  Runs the work, verifies the result if `--verify` asks for that, and reports. `context` is the target's
  context if that is not a path.
  """
  @spec report(
          String.t(),
          keyword(),
          Terminal.t(),
          (() -> {:ok, PersistenceMigration.summary()} | {:error, term()}),
          context :: term() | nil
        ) :: Command.outcome()
  def report(done, options, terminal, migrate, context \\ nil) do
    started = System.monotonic_time(:millisecond)

    with {:ok, summary} <- migrate.(),
         elapsed = System.monotonic_time(:millisecond) - started,
         :ok <- verify(summary, context, options, terminal) do
      verified? = Keyword.get(options, :verify, false)
      text = text(summary, {done, verified?, elapsed}, terminal)
      {:ok, document(summary, verified?, elapsed), text}
    end
  end

  defp verify(summary, context, options, terminal) do
    if options[:verify] do
      verify = fn on_progress ->
        options = [credentials: :optional, on_progress: on_progress]
        summary.target_backend.verify(context || summary.target_path, options)
      end

      with {:ok, report} <- Progress.run(terminal, "verifying", verify) do
        complete(summary, report)
      end
    else
      :ok
    end
  end

  defp complete(summary, report) do
    if report.families == summary.families and report.credentials? == summary.credentials?,
      do: :ok,
      else: {:error, {:incomplete_migration, summary.target_path}}
  end

  defp document(summary, verified?, elapsed) do
    %{
      summary
      | source_backend: Backends.name(summary.source_backend),
        target_backend: Backends.name(summary.target_backend),
        skipped: Damage.files(summary.skipped)
    }
    |> Map.merge(%{verified?: verified?, milliseconds: elapsed})
  end

  defp text(summary, {done, verified?, elapsed}, terminal) do
    rows = for {family, count} <- summary.families, do: [to_string(family), Numbers.number(count)]
    total = ["total", Numbers.number(summary.migrated_keys)]

    [
      Terminal.paint(terminal, [:green, "ok"]),
      "  #{done} in #{Float.round(elapsed / 1000, 1)} s",
      if(verified?, do: ", and verified\n", else: "\n"),
      Layout.facts([
        {"from", side(summary.source_backend, summary.source_path, summary.bytes_read)},
        {"to", side(summary.target_backend, summary.target_path, summary.bytes_written)},
        {"credentials", if(summary.credentials?, do: "migrated", else: "none in the source")},
        {"group keys", sender_keys(summary)},
        {"prefix", unless_none(summary[:prefix])},
        {"other rows", unless_none(summary[:other_rows])}
      ]),
      "\n",
      Layout.table(terminal, ["family", "keys"], Enum.sort(rows) ++ [total]),
      Layout.list(
        terminal,
        "left out, cannot be read",
        Enum.map(summary.skipped, &Damage.file/1)
      ),
      Layout.list(
        terminal,
        "devices named as other versions of Baileys ask for them",
        for(%{from: from, to: to} <- summary.renamed, do: "#{from} is #{to}")
      ),
      Layout.list(
        terminal,
        "left out, there under the current name as well",
        summary.superseded
      ),
      Layout.list(
        terminal,
        "useless elements left out of",
        for(%{file: file, elements: n} <- summary.dropped, do: "#{file}: #{n} without a key")
      ),
      Layout.list(terminal, "changed meanwhile, and may be older in the target", summary.changed),
      Layout.list(terminal, "of no known family, not migrated", summary.unknown),
      Layout.list(terminal, "no keys, not migrated", summary.ignored)
    ]
  end

  defp unless_none(none) when none in [nil, "", 0], do: nil
  defp unless_none(number) when is_integer(number), do: Numbers.number(number)
  defp unless_none(text), do: Terminal.safe(text)

  defp sender_keys(%{sender_keys: nil}), do: "none"

  defp sender_keys(%{sender_keys: :array, target_backend: NativeFilePersistence}),
    do: "an array in the source (Baileys up to 6.7.18, and 6.17.16), as the way back writes them"

  defp sender_keys(%{sender_keys: :buffer, target_backend: NativeFilePersistence}),
    do: "a Buffer in the source (Baileys 6.7.19 and later)"

  defp sender_keys(%{sender_keys: :array}),
    do: "an array, for Baileys up to 6.7.18 and 6.17.16"

  defp sender_keys(%{sender_keys: :buffer}), do: "a Buffer, for Baileys 6.7.19 and later"

  defp side(backend, path, bytes) do
    "#{Terminal.safe(path)} (#{Backends.name(backend)}, #{Layout.size(bytes)})"
  end
end
