# What bin/demo runs: migrate, open, and show what arrived. No secret is printed.

alias BaileysEx.Auth.{NativeFilePersistence, PersistenceMigration, State}

{source, target, options} =
  case System.argv() do
    # A directory of its own: a second run replaces what the first one made.
    [source] -> {source, Path.expand("tmp/demo_native_auth_info"), [overwrite?: true]}
    [source, target] -> {source, target, []}
  end

bytes_by_family = fn path, families ->
  sizes =
    for name <- File.ls!(path), not String.starts_with?(name, ".") do
      family =
        families
        |> Enum.filter(&String.starts_with?(name, "#{&1}-"))
        |> Enum.max_by(&String.length("#{&1}"), fn -> "creds" end)

      {family, File.stat!(Path.join(path, name)).size}
    end

  Enum.reduce(sizes, %{}, fn {family, size}, sums ->
    Map.update(sums, family, size, &(&1 + size))
  end)
end

row = fn columns ->
  [first | rest] = Enum.map(columns, &to_string/1)

  IO.puts(
    "  " <>
      Enum.join([String.pad_trailing(first, 24) | Enum.map(rest, &String.pad_leading(&1, 14))])
  )
end

case PersistenceMigration.migrate_compat_json_to_native(source, target, options) do
  {:ok, summary} ->
    {:ok, auth} = NativeFilePersistence.use_native_file_auth_state(target)
    {:ok, keys} = NativeFilePersistence.list_keys(target)

    IO.puts("Migrated  #{summary.source_path}")
    IO.puts("to        #{summary.target_path}\n")

    IO.puts(
      "Account   #{State.me_id(auth.state) || "not paired yet"} #{State.me_name(auth.state)}"
    )

    IO.puts("LID       #{State.me_lid(auth.state) || "none"}")
    IO.puts("State     #{if State.paired?(auth.state), do: "paired", else: "not paired"}\n")

    families = Map.keys(keys)
    before = bytes_by_family.(source, families)
    now = bytes_by_family.(target, families)

    row.(["family", "keys", "JSON bytes", "native bytes"])
    row.(["creds", 1, before["creds"], now["creds"]])

    for {family, ids} <- Enum.sort(keys) do
      row.([family, length(ids), before[family], now[family]])
    end

    row.(["total", summary.migrated_keys, summary.bytes_read, summary.bytes_written])
    IO.puts("\nOpened with use_native_file_auth_state/1; ready for a connection:")
    IO.inspect(auth.connect_opts)
    IO.inspect(auth.state)

  {:error, reason} ->
    message = if is_exception(reason), do: Exception.message(reason), else: inspect(reason)
    IO.puts(:stderr, "The directory was not migrated, and nothing was changed: #{message}")
    System.halt(1)
end
