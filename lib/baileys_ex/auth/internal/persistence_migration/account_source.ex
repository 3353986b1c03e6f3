defmodule BaileysEx.Auth.PersistenceMigration.AccountSource do
  @moduledoc false
  # The rows of an account in PostgreSQL, as they were at one moment. An account that fits in one page is read
  # with one statement. A larger one is read in pages, which differ in age if a store writes in the meantime.
  # So at the end the server says whether what was read equals the current content.
  @behaviour BaileysEx.Auth.PersistenceMigration.Rows

  alias BaileysEx.Auth.DamagedAccountError
  alias BaileysEx.Auth.PersistenceMigration.{Directories, Rows}
  alias BaileysEx.Auth.Postgres.{Account, Pages, Statements, Value}

  @enforce_keys [:backend, :account]
  defstruct [
    :backend,
    :account,
    :creds,
    :ignore_changes?,
    # Rows that were read and not yet migrated; they come before the page at `position`.
    rows: [],
    position: :end,
    # Of the keys that were read, if there is more than one page.
    digest: nil,
    done: 0,
    total: 0,
    carried: nil
  ]

  @impl true
  def described(source), do: {source.backend, Account.place(source.account)}

  @impl true
  def directories(_source), do: []

  @impl true
  def open(%{account: account} = source, _call, opts) do
    with {:ok, {creds, form}, keys, position} <- Pages.first(account),
         :ok <- something(account, creds, keys, opts),
         {:ok, total} <- total(account, creds, keys, position) do
      source = %{
        source
        | creds: creds,
          ignore_changes?: opts.ignore_changes?,
          total: total,
          carried: %{Rows.nothing() | credentials?: creds != nil},
          digest: if(position != :end, do: Pages.digest_begin())
      }

      source = read(source, keys, position)
      {:ok, with_creds(source), total, sender_keys(form)}
    end
  end

  defp something(account, nil, [], _opts),
    do: {:error, {:not_an_auth_directory, Account.place(account)}}

  defp something(account, nil, _keys, %{without_credentials?: false}),
    do: {:error, {:no_credentials, Account.place(account)}}

  defp something(_account, _creds, _keys, _opts), do: :ok

  defp total(_account, creds, keys, :end), do: {:ok, length(keys) + credentials(creds)}

  defp total(account, creds, _keys, _position) do
    with {:ok, [[keys]]} <-
           Account.query(account, Statements.count(account.prefix), [account.name]),
         do: {:ok, keys + credentials(creds)}
  end

  defp credentials(creds), do: if(creds, do: 1, else: 0)

  defp read(%{carried: carried} = source, keys, position) do
    carried = %{
      carried
      | families: Value.add_families(carried.families, keys),
        migrated_keys: carried.migrated_keys + length(keys),
        bytes_read: carried.bytes_read + Value.bytes(keys)
    }

    digest = source.digest && Pages.digest_add(source.digest, keys)
    %{source | rows: keys, position: position, carried: carried, digest: digest}
  end

  defp with_creds(%{creds: nil} = source), do: source

  defp with_creds(%{creds: creds, carried: carried} = source) do
    carried = Map.update!(carried, :bytes_read, &(&1 + byte_size(creds)))
    %{source | rows: [{"creds", nil, creds} | source.rows], carried: carried}
  end

  defp sender_keys("array"), do: :array
  defp sender_keys("buffer"), do: :buffer
  defp sender_keys(_unknown), do: nil

  @impl true
  def next(%{rows: [], position: position} = source) when position != :end do
    with {:ok, keys, position} <- Pages.next(source.account, position),
         do: source |> read(keys, position) |> step()
  end

  def next(source), do: step(source)

  # Progress counts the rows found at the beginning, whatever comes or goes in the meantime.
  defp step(source) do
    {rows, rest} = Enum.split(source.rows, Directories.step())

    done =
      if rest == [] and source.position == :end,
        do: source.total,
        else: min(source.done + length(rows), source.total - 1)

    {:ok, %{source | rows: rest, done: done}, rows, done}
  end

  @impl true
  def finish(%{digest: nil} = source), do: {:ok, source.carried}

  def finish(%{account: account, creds: creds, carried: carried} = source) do
    place = Account.place(account)
    read = {creds, Pages.digest_end(source.digest)}

    case Pages.digest(account) do
      {:ok, ^read} -> {:ok, carried}
      {:ok, _other} when source.ignore_changes? -> {:ok, %{carried | changed: [place]}}
      {:ok, _other} -> {:error, {:source_changed, place, []}}
      error -> error
    end
  end

  @impl true
  def close(_source), do: :ok

  @impl true
  def damage(source, rows), do: Enum.map(rows, &Value.corrupt(source.account, &1))

  @impl true
  def damaged_error(source, damaged) do
    %DamagedAccountError{place: Account.place(source.account), rows: damaged}
  end

  @doc "Returns the errors of those rows that cannot be read."
  def unreadable(source, rows), do: Value.damaged(source.account, rows)
end
