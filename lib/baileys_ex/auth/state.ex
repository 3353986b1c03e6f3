defmodule BaileysEx.Auth.State do
  @moduledoc """
  The credentials of one account, which Baileys keeps in `creds.json`.

  `new/1` makes a fresh identity, ready to be paired; the other functions read or change a state.

  ## Fields

    * `:noise_key`, `:pairing_ephemeral_key`, `:signed_identity_key` are key pairs of raw 32-byte
      keys, `%{public: binary, private: binary}`
    * `:signed_pre_key` is `%{key_pair: key_pair, key_id: integer, signature: binary}`
    * `:adv_secret_key` and `:my_app_state_key_id` are base64 text, as in Baileys
    * `:me` is `%{id: jid, name: name, lid: jid}` once paired; any other members have string keys
    * `:account_settings` is `%{unarchive_chats: boolean, default_disappearing_mode: map | nil}`. If it was
      read from JSON, the mode has Baileys' string keys. If it comes from an event of baileys_ex, it may have
      atoms (`:ephemeral_expiration`, `:ephemeral_setting_timestamp`). In JSON it is written with Baileys'
      names
    * `:additional_data` is for your own data; the JSON backend accepts anything that JSON can represent
    * `:unknown_fields` are members of a file that this library does not know, under their names in that file;
      they are written back

  The names are those of Baileys' `AuthenticationCreds` in snake case, except for `:pairing_ephemeral_key`
  (`pairingEphemeralKeyPair`).

  `inspect/1` shows only the account and counters of a state:

      iex> BaileysEx.Auth.State.new(me: %{id: "1555@s.whatsapp.net"}, registered: true)
      #BaileysEx.Auth.State<me: "1555@s.whatsapp.net", registered: true, next_pre_key_id: 1>
  """

  alias BaileysEx.Auth.Native
  alias BaileysEx.Auth.State.{Check, Merge}
  alias BaileysEx.Protocol.Proto.ADVSignedDeviceIdentity
  alias BaileysEx.Signal.Curve

  @type key_pair() :: Curve.key_pair()
  @type signed_key_pair() :: Curve.signed_key_pair()

  @type signal_identity() :: %{
          identifier: %{name: String.t(), device_id: non_neg_integer()},
          identifier_key: binary()
        }

  @type account_settings() :: %{
          unarchive_chats: boolean(),
          default_disappearing_mode: map() | nil
        }

  @type history_message() :: %{
          key: %{
            id: String.t() | nil,
            remote_jid: String.t() | nil,
            remote_jid_alt: String.t() | nil,
            participant: String.t() | nil,
            participant_alt: String.t() | nil,
            from_me: boolean() | nil,
            addressing_mode: :pn | :lid | nil,
            server_id: String.t() | nil
          },
          message_timestamp: integer() | nil
        }

  @type t() :: %__MODULE__{
          noise_key: key_pair(),
          pairing_ephemeral_key: key_pair() | nil,
          signed_identity_key: key_pair(),
          signed_pre_key: signed_key_pair(),
          registration_id: non_neg_integer(),
          adv_secret_key: String.t(),
          account: ADVSignedDeviceIdentity.t() | nil,
          me: map() | nil,
          signal_identities: [signal_identity()],
          platform: String.t() | nil,
          last_account_sync_timestamp: integer() | nil,
          processed_history_messages: [history_message()],
          my_app_state_key_id: String.t() | nil,
          next_pre_key_id: non_neg_integer(),
          first_unuploaded_pre_key_id: non_neg_integer(),
          account_sync_counter: non_neg_integer(),
          account_settings: account_settings(),
          registered: boolean(),
          pairing_code: String.t() | nil,
          last_prop_hash: String.t() | nil,
          routing_info: binary() | nil,
          additional_data: term(),
          unknown_fields: %{optional(String.t()) => term()}
        }

  defstruct noise_key: nil,
            pairing_ephemeral_key: nil,
            signed_identity_key: nil,
            signed_pre_key: nil,
            registration_id: nil,
            adv_secret_key: nil,
            account: nil,
            me: nil,
            signal_identities: [],
            platform: nil,
            last_account_sync_timestamp: nil,
            processed_history_messages: [],
            my_app_state_key_id: nil,
            next_pre_key_id: 1,
            first_unuploaded_pre_key_id: 1,
            account_sync_counter: 0,
            account_settings: %{unarchive_chats: false, default_disappearing_mode: nil},
            registered: false,
            pairing_code: nil,
            last_prop_hash: nil,
            routing_info: nil,
            additional_data: nil,
            unknown_fields: %{}

  @doc """
  Makes a fresh identity, as Baileys' `initAuthCreds` does.

  It has three key pairs, a pre-key with id 1 that the identity has signed, a registration id of 14 bits and a
  random secret. Fields given in a keyword list or a map replace the generated ones. If `:signed_identity_key`
  is given, it signs the pre-key.

      iex> state = BaileysEx.Auth.State.new(platform: "android")
      iex> {state.platform, state.signed_pre_key.key_id, byte_size(state.noise_key.public)}
      {"android", 1, 32}

  Raises an `ArgumentError` for an unknown field, and if a given `:signed_identity_key` cannot sign.
  """
  @spec new(keyword() | map()) :: t()
  def new(fields \\ []) do
    given = Map.new(fields)
    refuse_unknown(given)

    __MODULE__
    |> struct(given)
    |> generate(:noise_key, given, &Curve.generate_key_pair/0)
    |> generate(:pairing_ephemeral_key, given, &Curve.generate_key_pair/0)
    |> generate(:signed_identity_key, given, &Curve.generate_key_pair/0)
    |> generate(:registration_id, given, &registration_id/0)
    |> generate(:adv_secret_key, given, fn -> Base.encode64(:crypto.strong_rand_bytes(32)) end)
    |> sign_pre_key(given)
  end

  @doc """
  Returns a field of a state, or of a map that holds credentials under `:creds`.

  If the field is absent or `nil`, it is looked up in `:creds`. If it is absent or `nil` there too, the result
  is `default`.

      iex> state = BaileysEx.Auth.State.new(platform: "android")
      iex> BaileysEx.Auth.State.get(state, :platform)
      "android"
      iex> BaileysEx.Auth.State.get(state, :me, %{})
      %{}
      iex> BaileysEx.Auth.State.get(%{creds: state}, :platform)
      "android"
  """
  @spec get(t() | map(), atom(), term()) :: term()
  def get(state, key, default \\ nil) when is_map(state) and is_atom(key) do
    case state do
      %{^key => value} when value != nil -> value
      %{creds: creds} when is_map(creds) -> get(creds, key, default)
      _ -> default
    end
  end

  @doc """
  Returns the account's JID, or `nil` until pairing has begun.

      iex> BaileysEx.Auth.State.me_id(BaileysEx.Auth.State.new(me: %{id: "1555@s.whatsapp.net"}))
      "1555@s.whatsapp.net"
      iex> BaileysEx.Auth.State.me_id(BaileysEx.Auth.State.new())
      nil
  """
  @spec me_id(t() | map()) :: String.t() | nil
  def me_id(state), do: me_member(state, :id)

  @doc """
  Returns the account's name, or `nil` until it is known.

      iex> state = BaileysEx.Auth.State.new(me: %{id: "1555@s.whatsapp.net", name: "Zoë"})
      iex> BaileysEx.Auth.State.me_name(state)
      "Zoë"
  """
  @spec me_name(t() | map()) :: String.t() | nil
  def me_name(state), do: me_member(state, :name)

  @doc """
  Returns the account's LID, or `nil` until it is known.

      iex> state = BaileysEx.Auth.State.new(me: %{id: "1555@s.whatsapp.net", lid: "9@lid"})
      iex> BaileysEx.Auth.State.me_lid(state)
      "9@lid"
  """
  @spec me_lid(t() | map()) :: String.t() | nil
  def me_lid(state), do: me_member(state, :lid)

  @doc """
  Whether the account has finished pairing: it has an id, and an identity that the phone has signed.

  `registered` does not answer this question: Baileys 7.0.0-rc14 sets it only when a pairing code was used,
  and an account that was paired by QR code works with `false`. Nor does `me` alone, which is set as soon as a
  pairing code is requested.

      iex> alias BaileysEx.Auth.State
      iex> asked = State.new(me: %{id: "1555@s.whatsapp.net"}, registered: true)
      iex> State.paired?(asked)
      false
      iex> identity = %BaileysEx.Protocol.Proto.ADVSignedDeviceIdentity{details: "signed"}
      iex> State.paired?(%{asked | account: identity, registered: false})
      true
  """
  @spec paired?(t() | map()) :: boolean()
  def paired?(state) do
    id = me_id(state)
    is_binary(id) and id != "" and is_struct(get(state, :account), ADVSignedDeviceIdentity)
  end

  @doc """
  Returns the credentials to save: those under `:creds`, the state itself, or the members of a map that are
  fields of a state.

      iex> BaileysEx.Auth.State.creds_view(%{creds: %{registered: true}, keys: :elsewhere})
      %{registered: true}
      iex> BaileysEx.Auth.State.creds_view(%{registered: true, keys: :elsewhere})
      %{registered: true}
  """
  @spec creds_view(t() | map()) :: map()
  def creds_view(%__MODULE__{} = state), do: state
  def creds_view(%{creds: creds}) when is_map(creds), do: creds
  def creds_view(map) when is_map(map), do: Map.take(map, fields())

  @doc """
  Merges an update, such as a `creds.update` event, into the credentials.

    * maps are merged deeply; key pairs and the signed pre-key are replaced as a whole
    * everything else is replaced; `nil` is a value like any other
    * names that are not fields of the state are ignored
    * in a map with `:creds`, the update goes there; a map without `:creds` is merged directly

  ## Example

      iex> alias BaileysEx.Auth.State
      iex> state = State.new(me: %{id: "1555@s.whatsapp.net"})
      iex> state = State.merge_updates(state, %{me: %{name: "Zoë"}, registered: true, no_field: 1})
      iex> {state.me, state.registered}
      {%{id: "1555@s.whatsapp.net", name: "Zoë"}, true}
  """
  @spec merge_updates(t() | map(), t() | map()) :: t() | map()
  def merge_updates(%__MODULE__{} = state, updates) when is_map(updates) do
    updates
    |> Map.take(fields())
    |> Enum.reduce(state, fn {key, value}, state ->
      Map.update!(state, key, &Merge.field(key, &1, value))
    end)
  end

  def merge_updates(%{creds: creds} = state, updates) when is_map(creds) do
    %{state | creds: merge_updates(creds, updates)}
  end

  def merge_updates(state, updates) when is_map(state) and is_map(updates) do
    Map.merge(state, Map.delete(updates, :__struct__), &Merge.field/3)
  end

  @doc """
  Makes a complete state from one that another version saved, or from a map of its fields.

  Missing fields get the struct's defaults. Fields of a state that this version does not know move to
  `:unknown_fields` under their names, so that saving loses nothing; unknown names in a map are dropped. (A
  struct with unknown fields would print as a plain map, with its secrets.)

  The members that make up the identity must be present and well-formed. Otherwise the result is
  `{:error, {member, problem}}`, such as `{"signed_pre_key.signature", "is missing"}`; `member` is `nil` if
  the term is not a state at all. No value is shown.

      iex> BaileysEx.Auth.State.complete(%{registered: true})
      {:error, {"noise_key", "is missing"}}
  """
  @spec complete(term()) :: {:ok, t()} | {:error, {String.t() | nil, String.t()}}
  def complete(%{__struct__: __MODULE__} = older) do
    {known, unknown} = Map.split(older, [:__struct__ | fields()])
    state = Map.merge(struct(__MODULE__), known)

    with :ok <- Check.identity(state) do
      state = Map.update!(state, :unknown_fields, &Map.merge(named(unknown), &1))
      {:ok, learn(state, known, fields() -- Map.keys(known))}
    end
  end

  def complete(%{__struct__: _other}), do: {:error, {nil, "is not a state"}}

  def complete(fields) when is_map(fields) do
    state = struct(__MODULE__, fields)
    with :ok <- Check.identity(state), do: {:ok, state}
  end

  def complete(_term), do: {:error, {nil, "is not a state"}}

  # The older version kept a member that it did not know as JSON in `:unknown_fields`. Decodes it from there.
  defp learn(state, _known, []), do: state
  defp learn(%{unknown_fields: none} = state, _known, _new) when none == %{}, do: state

  defp learn(state, known, new) do
    older = Map.put(known, :unknown_fields, state.unknown_fields)

    with {:ok, json} <- Native.codec_encode("creds", older, nil, :buffer, false),
         {:ok, %__MODULE__{unknown_fields: still_unknown} = read} <-
           Native.codec_decode("creds", json, nil) do
      left = Map.take(state.unknown_fields, Map.keys(still_unknown))
      state |> Map.merge(Map.take(read, new)) |> Map.put(:unknown_fields, left)
    else
      # The field keeps its default, and the unreadable member stays in `:unknown_fields`.
      _unreadable -> state
    end
  end

  defp named(unknown) do
    for {name, value} when is_atom(name) or is_binary(name) <- unknown, into: %{} do
      {to_string(name), value}
    end
  end

  defp fields, do: Map.keys(struct(__MODULE__)) -- [:__struct__]

  defp refuse_unknown(given) do
    case Map.keys(given) -- fields() do
      [] -> :ok
      unknown -> raise ArgumentError, "no field of #{inspect(__MODULE__)}: #{inspect(unknown)}"
    end
  end

  defp generate(state, field, given, _generate) when is_map_key(given, field), do: state
  defp generate(state, field, _given, generate), do: Map.put(state, field, generate.())

  defp sign_pre_key(state, %{signed_pre_key: _given}), do: state

  defp sign_pre_key(state, _given) do
    case Curve.signed_key_pair(state.signed_identity_key, 1) do
      {:ok, signed} -> %{state | signed_pre_key: signed}
      {:error, _reason} -> raise ArgumentError, "the given :signed_identity_key cannot sign"
    end
  end

  defp registration_id do
    <<id::14, _::2>> = :crypto.strong_rand_bytes(2)
    id
  end

  defp me_member(state, member) do
    case get(state, :me) do
      %{^member => value} when is_binary(value) -> value
      _ -> nil
    end
  end

  defimpl Inspect do
    alias BaileysEx.Auth.ShortInspect
    alias BaileysEx.Auth.State

    # If an implementation raises, the whole struct is printed. So only well-formed values are shown.
    def inspect(state, opts) do
      shown = [
        me: State.me_id(state),
        name: State.me_name(state),
        lid: State.me_lid(state),
        platform: only(state, :platform, &is_binary/1),
        registered: only(state, :registered, &is_boolean/1),
        next_pre_key_id: only(state, :next_pre_key_id, &is_integer/1)
      ]

      ShortInspect.render(State, shown, opts)
    end

    defp only(state, field, shape?) do
      value = Map.get(state, field)
      if shape?.(value), do: value
    end
  end
end
