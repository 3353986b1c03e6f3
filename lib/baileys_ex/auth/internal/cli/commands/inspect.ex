defmodule BaileysEx.Auth.CLI.Commands.Inspect do
  @moduledoc false

  @behaviour BaileysEx.Auth.CLI.Command

  alias BaileysEx.Auth.CLI.{
    Ages,
    All,
    Backends,
    Damage,
    Growing,
    Layout,
    Overview,
    Place,
    Progress,
    Terminal
  }

  alias BaileysEx.Auth.{Inspection, Numbers, PostgresPersistence}

  @impl true
  def usage do
    """
    Shows what an auth directory holds: backend and dialect, account, keys and bytes
    by family, oldest and newest change, pre-keys made and used, ages of keys, the
    journal, and what is damaged, unknown or too widely readable. For an account in
    PostgreSQL, shows as much of this as there is. No key material is shown.

        mix baileys.auth.inspect PATH [--backend native|json]
                                 [--without-credentials] [--warn-above N] [--json]
        mix baileys.auth.inspect postgres:ACCOUNT --repo MyApp.Repo
                                 [--schema NAME] [--without-credentials]
                                 [--warn-above N] [--json]
        mix baileys.auth.inspect --all ROOT [--sort COLUMN] [--without-credentials]
                                 [--warn-above N] [--json]

    ## Options

      * `--all` - every auth directory directly under ROOT, one line for each
        account. Also named, but not as problems: accounts with more keys than
        --warn-above (`growing` in JSON), one WhatsApp device in several directories
        (`same_device`), directories without an account (`without_account`)
      * `--sort COLUMN` - with `--all`, one of account, backend, damaged, disk,
        keys, name, newest; the greatest or newest first, texts from A to Z. By
        default the name
      * `--backend native|json` - which files to look at, if the directory holds
        both kinds
    #{Place.usage()}
      * `--without-credentials` - do not report keys without credentials as a
        problem
      * `--warn-above N` - name the types with more than N keys; by default 5000. By
        type: `--warn-above session=20000,pre-key=3000`. It does not change the exit
        code
      * `--json` - one JSON document on standard output, for scripts
      * `--help` - this text

    ## Exit codes

      * 0 - nothing is wrong with the directory, or with any of the directories
      * 1 - it cannot be read, files in it are damaged, or there are keys but no
        credentials; with `--all` also if files of a directory belong to another
        user
      * 2 - wrong usage

    The directory is only read, and may be in use.
    """
  end

  @impl true
  def switches,
    do:
      [
        all: :boolean,
        sort: :string,
        backend: :string,
        without_credentials: :boolean,
        warn_above: :string
      ] ++ Place.switches()

  @impl true
  def run([path], options, terminal) do
    if options[:sort] && !options[:all],
      do: {:usage, "--sort goes with --all"},
      else:
        All.or_one(
          options,
          fn -> Overview.run(path, options, terminal) end,
          fn -> one(path, options, terminal) end
        )
  end

  def run(_arguments, _options, _terminal), do: {:usage, "expects one PATH"}

  defp one(path, options, terminal) do
    with {:ok, above} <- Growing.option(options),
         {:ok, place} <- Place.of(path, options),
         {:ok, report} <- look(place, above, terminal) do
      missing? =
        report.credentials == :absent and not Keyword.get(options, :without_credentials, false)

      status = if report.damaged == [] and not missing?, do: :ok, else: :problem
      {status, document(report), text(report, terminal)}
    end
  end

  defp look(%{backend: PostgresPersistence, context: context}, above, terminal) do
    Progress.run(terminal, "reading", fn on_progress ->
      Inspection.inspect_account(context, [on_progress: on_progress] ++ above)
    end)
  end

  defp look(place, above, terminal) do
    opts = [backend: place.backend] ++ above

    Progress.run(terminal, "reading", fn on_progress ->
      Inspection.inspect_directory(place.context, [on_progress: on_progress] ++ opts)
    end)
  end

  # The document of an account in the database.
  defp document(%{place: place} = report) do
    report
    |> Map.delete(:place)
    |> Map.merge(%{
      path: place,
      backend: Backends.name(PostgresPersistence),
      damaged: Damage.files(report.damaged),
      owner: report.owner && Map.from_struct(report.owner)
    })
  end

  defp document(report) do
    permissions =
      for %{name: name, mode: mode} <- report.permissions, do: %{name: name, mode: octal(mode)}

    %{
      report
      | backend: Backends.name(report.backend),
        damaged: Damage.files(report.damaged),
        permissions: permissions,
        owner: report.owner && Map.from_struct(report.owner)
    }
  end

  defp text(%{place: place} = report, terminal) do
    [
      Terminal.paint(terminal, [:bright, Terminal.safe(place)]),
      "\n",
      Layout.facts(
        [{"backend", Backends.name(PostgresPersistence)}] ++
          identity(report) ++
          [
            {"pre-keys", pre_keys_of(report)},
            {"owner", report.owner && Terminal.safe(to_string(report.owner))},
            {"damaged", damaged(length(report.damaged), "row", terminal)}
          ]
      ),
      "\n",
      Layout.table(terminal, ["family", "keys", "bytes"], rows(report.families, :keys)),
      Ages.tables(report, terminal),
      Growing.list(report.growing, terminal),
      Layout.list(terminal, "damaged", Enum.map(report.damaged, &Damage.file/1))
    ]
  end

  defp text(report, terminal) do
    [
      Terminal.paint(terminal, [:bright, Terminal.safe(report.path)]),
      "\n",
      Layout.facts(facts(report, terminal)),
      "\n",
      Layout.table(terminal, ["family", "files", "bytes"], rows(report.families, :files)),
      Ages.tables(report, terminal),
      Growing.list(report.growing, terminal),
      Layout.list(terminal, "damaged", Enum.map(report.damaged, &Damage.file/1)),
      Layout.list(terminal, "of no known family, left alone", report.unknown),
      Layout.list(terminal, "leftovers and copies, not read", report.leftovers),
      Layout.list(terminal, "not of this directory", report.foreign),
      Layout.list(
        terminal,
        "open to others, should be 0600 (files) and 0700",
        Enum.map(report.permissions, &permission/1)
      ),
      Layout.list(
        terminal,
        "of another user than the directory: its owner may not be able to read them",
        for(%{name: name, uid: uid} <- report.owners, do: "#{name} (uid #{uid})")
      )
    ]
  end

  defp facts(report, terminal) do
    [
      {"backend", Backends.name(report.backend)},
      {"dialect", dialect(report.dialect)}
    ] ++
      identity(report) ++
      [
        {"keys", report.keys |> Map.values() |> Enum.sum() |> Numbers.number()},
        {"on disk", Layout.size(report.disk_bytes)},
        {"oldest change", report.oldest_change && DateTime.to_string(report.oldest_change)},
        {"newest change", report.newest_change && DateTime.to_string(report.newest_change)},
        {"pre-keys", pre_keys_of(report)},
        {"journal", journal(report.journal)},
        {"owner", report.owner && Terminal.safe(to_string(report.owner))},
        {"damaged", damaged(length(report.damaged), "file", terminal)}
      ]
  end

  defp identity(report) do
    [
      {"account", account(report)},
      {"lid", report.account && report.account.lid && Terminal.safe(report.account.lid)},
      {"paired", yes_or_no(report.paired?)},
      {"registered", yes_or_no(report.registered?)}
    ]
  end

  defp pre_keys_of(%{credentials: :present, pre_keys: count}), do: pre_keys(count)
  defp pre_keys_of(_report), do: nil

  defp yes_or_no(nil), do: nil
  defp yes_or_no(true), do: "yes"
  defp yes_or_no(false), do: "no"

  defp dialect(:native), do: "Erlang terms"
  defp dialect(:baileys), do: "Baileys"
  defp dialect(:explicit), do: "baileys_ex, from alpha.4"
  defp dialect(:legacy), do: "baileys_ex, before alpha.4"
  defp dialect(:mixed), do: "JSON of several writers"
  defp dialect(:unknown), do: "JSON, nothing tells whose"

  defp account(%{credentials: :absent}),
    do: "keys without credentials, which would be taken for a fresh identity"

  defp account(%{credentials: :damaged}), do: "credentials cannot be read"
  defp account(%{account: %{id: nil}}), do: "not paired yet"

  defp account(%{account: account}) do
    Terminal.safe(Enum.join([account.id | List.wrap(account.name)], "  "))
  end

  defp pre_keys(nil), do: "the credentials do not say how many were uploaded"

  defp pre_keys(count) do
    made = if count.made, do: ", #{Numbers.number(count.made)} made", else: ""

    "#{Numbers.number(count.unused)} unused, #{Numbers.number(count.not_uploaded)} not uploaded yet, " <>
      "#{Numbers.number(count.used)} used#{made}"
  end

  defp journal(%{exists?: false}), do: "none"

  defp journal(%{commits: commits, bytes: bytes, torn?: torn?}) do
    torn = if torn?, do: "; its end is cut short by a crash, or damaged by the disk", else: ""
    "#{Numbers.count(commits, "commit")} since the last checkpoint, #{Layout.size(bytes)}#{torn}"
  end

  defp damaged(0, _what, terminal), do: Terminal.paint(terminal, [:green, "none"])

  defp damaged(count, what, terminal),
    do: Terminal.paint(terminal, [:red, Numbers.count(count, what)])

  defp rows(families, counted) do
    rows =
      for {family, %{bytes: bytes} = of} <- families do
        [Terminal.safe(to_string(family)), Numbers.number(of[counted]), Numbers.number(bytes)]
      end

    sum = fn field -> families |> Enum.map(fn {_, of} -> of[field] end) |> Enum.sum() end
    Enum.sort(rows) ++ [["total", Numbers.number(sum.(counted)), Numbers.number(sum.(:bytes))]]
  end

  defp permission(%{name: name, mode: mode}), do: "#{octal(mode)} #{name}"

  defp octal(mode), do: mode |> Integer.to_string(8) |> String.pad_leading(4, "0")
end
