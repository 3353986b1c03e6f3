defmodule BaileysEx.Auth.BaileysJSON do
  @moduledoc """
  Reads and writes one value, credentials or a key, as Baileys' JSON, for a backend over a table or a document
  that Node.js shares. `BaileysEx.Auth.FilePersistence` does the same with files.

      {:ok, state} = BaileysJSON.decode(:creds, row.value, name: "auth_creds")
      {:ok, session} = BaileysJSON.decode(:session, row.value, name: row.id, account: state)
      {:ok, text} = BaileysJSON.encode(:session, session, account: state)

  The type is `:creds` or a family as Baileys names it, such as `:"pre-key"`. This module reads Baileys' own
  form and the two forms of baileys_ex, with every encoding of bytes that the file backend reads. It writes
  Baileys' own form. Members that this library does not know are preserved.

  A session contains the account's identity, which its JSON leaves out. For a `:session` both functions
  therefore need the credentials as the option `:account`, and raise `ArgumentError` without them.
  """

  alias BaileysEx.Auth.{CorruptFileError, InvalidTermError, JSON, Native, Options, State}

  @typedoc """
  JSON text, or the result of a JSON decoder: maps with string keys, and lists. A string, a number or `nil`
  from a decoder must be given as `{:parsed, value}`, which distinguishes it from JSON text. The text may
  itself be a JSON string that contains JSON, as some stores keep it. A LID mapping may be bare text without
  quotes.
  """
  @type json() :: binary() | map() | list() | {:parsed, term()}

  @type decode_option() :: {:name, String.t()} | {:account, State.t()}
  @type encode_option() ::
          {:account, State.t()}
          | {:sender_keys, :array | :buffer}
          | {:bytes, :base64 | :array}

  @doc """
  Reads a value and returns its term. `BaileysEx.Signal.Store` describes the terms of each type; `:creds`
  gives a `BaileysEx.Auth.State`.

      iex> BaileysEx.Auth.BaileysJSON.decode(:"device-list", ~s(["0", "3"]))
      {:ok, ["0", "3"]}
      iex> {:error, error} = BaileysEx.Auth.BaileysJSON.decode(:"device-list", "[", name: "row 12")
      iex> error.path
      "row 12"

  Options:

    * `:name`: the name of the value in errors; by default the type
    * `:account`: the credentials of the account, for a `:session`

  Errors:

    * `{:error, :not_found}`: the value of a key is `null`, which some stores keep for a deleted key
    * `{:error, %BaileysEx.Auth.CorruptFileError{}}`: it cannot be read; its `:path` is the name, and it never
      shows a value
  """
  @spec decode(atom() | String.t(), json(), [decode_option()]) ::
          {:ok, term()} | {:error, :not_found | CorruptFileError.t()}
  def decode(type, json, opts \\ []) do
    Options.check!(opts, [:name, :account])
    family = family!(type)
    identity = identity!(family, opts)

    with {:ok, text} <- text(json),
         {:ok, term} <- Native.codec_decode(family, text, identity) do
      {:ok, term}
    else
      {:error, :not_found} = error -> error
      {:error, problem} -> {:error, damage(Keyword.get(opts, :name, family), problem)}
    end
  end

  @doc false
  @spec damage(String.t(), {member :: String.t(), String.t()} | String.t()) ::
          CorruptFileError.t()
  def damage(name, {member, problem}) do
    member = if member != "", do: member
    %CorruptFileError{path: name, member: member, problem: problem, kind: :row}
  end

  def damage(name, problem), do: damage(name, {"", problem})

  @doc """
  Returns the JSON text of a term, as Baileys writes it.

      iex> BaileysEx.Auth.BaileysJSON.encode(:"device-list", ["0", "3"])
      {:ok, ~s(["0","3"])}

  Options:

    * `:account`: the credentials of the account, for a `:session`
    * `:sender_keys`: the form of group keys, as for a migration to JSON: `:array` for Baileys up to 6.7.18 and
      for 6.17.16, `:buffer` (default) for every later version
    * `:bytes`: how the data of `{"type":"Buffer","data":…}` is written: as `:base64` (default, as Baileys
      does), or as an `:array` of numbers, which `postgres-baileys` needs. Baileys reads both

  A term that has no JSON form is `{:error, %BaileysEx.Auth.InvalidTermError{}}`.
  """
  @spec encode(atom() | String.t(), term(), [encode_option()]) ::
          {:ok, String.t()} | {:error, InvalidTermError.t()}
  def encode(type, term, opts \\ []) do
    Options.check!(opts, [:account, :sender_keys, :bytes])
    family = family!(type)
    form = Options.one_of!(opts, :sender_keys, [:buffer, :array])
    lists? = Options.one_of!(opts, :bytes, [:base64, :array]) == :array

    with {:error, {member, problem}} <-
           Native.codec_encode(family, term, identity!(family, opts), form, lists?) do
      member = if member != "", do: member
      {:error, %InvalidTermError{member: member, problem: problem}}
    end
  end

  defp family!(type) do
    family = to_string(type)

    if family == "" or not String.valid?(family),
      do: raise(ArgumentError, "expected a type such as :session or :creds")

    family
  end

  defp identity!("session", opts) do
    identity(opts[:account]) ||
      raise ArgumentError, "a session needs the account's credentials as :account"
  end

  defp identity!(_family, _opts), do: nil

  @doc false
  # The account's public identity key, in the form that sessions contain.
  @spec identity(term()) :: binary() | nil
  def identity(%State{signed_identity_key: %{public: <<public::binary-32>>}}), do: <<5>> <> public
  def identity(%State{signed_identity_key: %{public: <<_::binary-33>> = public}}), do: public
  def identity(_none), do: nil

  @doc false
  # The value as JSON text, or what is wrong with it.
  @spec text(term()) :: {:ok, binary()} | {:error, String.t()}
  def text(text) when is_binary(text), do: {:ok, text}
  def text({:parsed, value}), do: parsed(value)
  def text(value), do: parsed(value)

  defp parsed(value) do
    if plain?(value),
      do: {:ok, value |> JSON.encode() |> IO.iodata_to_binary()},
      else: {:error, "is not what a decoder of JSON gives"}
  end

  # The encoder accepts more terms than these, but the value read back would differ.
  defp plain?(value) when is_binary(value), do: String.valid?(value)
  defp plain?(value) when is_boolean(value) or is_nil(value) or is_number(value), do: true
  defp plain?([]), do: true
  defp plain?([item | rest]), do: plain?(item) and is_list(rest) and plain?(rest)

  defp plain?(value) when is_map(value) and not is_struct(value) do
    Enum.all?(value, fn {name, item} ->
      is_binary(name) and String.valid?(name) and plain?(item)
    end)
  end

  defp plain?(_other), do: false
end
