defmodule BaileysEx.Auth.Postgres.Pages do
  @moduledoc false
  # The rows of an account, one page at a time, in the server's order of type and id. The size of a page in
  # bytes is limited too, so that memory use does not depend on the account.

  alias BaileysEx.Auth.DatabaseError
  alias BaileysEx.Auth.Postgres.{Account, Statements}

  @rows 10_000
  @bytes 4 * 1024 * 1024

  @type row() :: {type :: String.t(), id :: String.t(), value :: binary()}

  @typedoc "The key after which the next page begins, or that there is none."
  @type position() :: {type :: String.t(), id :: String.t()} | :end

  @typedoc "Computed from rows in their order, and compared with the result of `digest/1`."
  @opaque digest() :: binary()

  @spec start() :: position()
  def start, do: {"", ""}

  @doc "Returns the credentials, the form of their sender keys, and the first page of keys, as of one moment."
  @spec first(Account.t()) ::
          {:ok, {creds :: binary() | nil, form :: String.t() | nil}, [row()], position()}
          | {:error, DatabaseError.t()}
  def first(account) do
    params = params(account, start(), @rows)

    with {:ok, found} <- Account.query(account, Statements.first_page(account.prefix), params) do
      {creds, keys} = Enum.split_with(found, fn [_type, id | _rest] -> id == nil end)
      rows = for [type, id, value, _form, _number] <- keys, do: {type, id, value}
      {:ok, creds(creds), rows, position(rows, @rows)}
    end
  end

  defp creds([["creds", nil, bytes, form, _number]]), do: {bytes, form}
  defp creds([]), do: {nil, nil}

  @doc "Returns the keys of the next page, at most `rows`."
  @spec next(Account.t(), position(), pos_integer()) ::
          {:ok, [row()], position()} | {:error, DatabaseError.t()}
  def next(account, from, rows \\ @rows) do
    params = params(account, from, rows)

    with {:ok, found} <- Account.query(account, Statements.page(account.prefix), params) do
      page = Enum.map(found, &List.to_tuple/1)
      {:ok, page, position(page, rows)}
    end
  end

  defp params(account, {type, id}, rows), do: [account.name, type, id, rows, @bytes]

  # The last page is one that neither limit has cut off.
  defp position(page, rows) do
    full? = Enum.reduce(page, 0, fn {_, _, value}, sum -> sum + byte_size(value) end) >= @bytes

    if full? or length(page) == rows do
      {type, id, _value} = List.last(page)
      {type, id}
    else
      :end
    end
  end

  @doc "Returns the credentials, and the digest of all keys, as of one moment."
  @spec digest(Account.t()) ::
          {:ok, {creds :: binary() | nil, hex :: String.t() | nil}} | {:error, DatabaseError.t()}
  def digest(account) do
    with {:ok, [[creds, digest]]} <-
           Account.query(account, Statements.digest(account.prefix), [account.name]) do
      {:ok, {creds, digest}}
    end
  end

  @spec digest_begin() :: digest()
  def digest_begin, do: :erlang.md5_init()

  @spec digest_add(digest(), [row()]) :: digest()
  def digest_add(digest, rows) do
    Enum.reduce(rows, digest, fn {type, id, value}, digest ->
      :erlang.md5_update(digest, md5(md5(type) <> md5(id) <> md5(value)))
    end)
  end

  @spec digest_end(digest()) :: hex :: String.t()
  def digest_end(digest), do: digest |> :erlang.md5_final() |> Base.encode16(case: :lower)

  defp md5(bytes), do: bytes |> :erlang.md5() |> Base.encode16(case: :lower)
end
