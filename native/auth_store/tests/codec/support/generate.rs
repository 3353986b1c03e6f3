//! Generates run-time terms of every family for property tests.

use std::collections::BTreeMap;

use auth_store::Value;
use hkdf::Hkdf;
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use sha2::Sha256;

use super::{atom, map, text};

type Values = BoxedStrategy<Value>;

/// Every family, an unknown one, and creds.
pub const ALL: [&str; 12] = [
    "creds",
    "session",
    "pre-key",
    "sender-key",
    "sender-key-memory",
    "app-state-sync-key",
    "app-state-sync-version",
    "lid-mapping",
    "device-list",
    "tctoken",
    "identity-key",
    "some-family-to-come",
];

pub fn any_family() -> impl Strategy<Value = (&'static str, Value)> {
    prop::sample::select(ALL.as_slice())
        .prop_flat_map(|family| of(family).prop_map(move |value| (family, value)))
}

pub fn of(family: &str) -> Values {
    match family {
        "creds" => creds(),
        "session" => session_record(),
        "pre-key" => key_pair(),
        "sender-key" => sender_key_record(),
        "sender-key-memory" => btree_map(name(), any::<bool>(), 0..5)
            .prop_map(|jids| keyed(jids, text_of, Value::Bool))
            .boxed(),
        "app-state-sync-key" => app_state_sync_key(),
        "app-state-sync-version" => app_state_sync_version(),
        "lid-mapping" => words(),
        "device-list" => vec(words(), 0..5).prop_map(Value::List).boxed(),
        "tctoken" => tc_token(),
        "identity-key" => prop_oneof![
            public(),
            btree_map(name(), bytes(), 0..4).prop_map(|keys| keyed(keys, text_of, |value| value))
        ]
        .boxed(),
        _ => free(),
    }
}

/// Values that JSON can hold and distinguish from bytes.
pub fn free() -> Values {
    tree(
        prop_oneof![scalar(), bytes(), words()].boxed(),
        name().boxed(),
    )
}

/// Values that JSON holds as they are: without bytes other than text.
pub fn verbatim() -> Values {
    tree(
        prop_oneof![scalar(), words()].boxed(),
        prop_oneof![name(), Just("type".to_owned()), Just("data".to_owned())].boxed(),
    )
}

/// Any term, whether JSON can hold it or not.
pub fn anything() -> Values {
    let leaf = prop_oneof![
        scalar(),
        bytes(),
        words(),
        Just(text("Buffer")),
        Just(text("AQID")),
        Just(atom("Elixir.SomeModule")),
        Just(atom("sending")),
        any::<i128>().prop_map(Value::Int),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        let keys = prop_oneof![
            Just(text("type")),
            Just(text("data")),
            Just(text("buffer")),
            Just(text("0")),
            Just(text("1")),
            Just(text("__type__")),
            Just(text("__atom_keys__")),
            Just(atom("__struct__")),
            Just(atom("id")),
            words(),
            any::<i64>().prop_map(|int| Value::Int(int.into())),
        ];
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(Value::List),
            vec(inner.clone(), 0..3).prop_map(Value::Tuple),
            vec((keys, inner), 0..4).prop_map(|pairs| Value::Map(unique(pairs))),
        ]
    })
    .boxed()
}

fn unique(pairs: Vec<(Value, Value)>) -> Vec<(Value, Value)> {
    let mut unique: Vec<(Value, Value)> = Vec::new();
    for (key, value) in pairs {
        if !unique.iter().any(|(known, _)| *known == key) {
            unique.push((key, value));
        }
    }
    unique
}

fn tree(leaf: Values, names: BoxedStrategy<String>) -> Values {
    leaf.prop_recursive(4, 24, 5, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(Value::List),
            btree_map(names.clone(), inner, 0..5).prop_map(|pairs| keyed(
                pairs,
                text_of,
                |value| value
            )),
        ]
    })
    .boxed()
}

fn scalar() -> Values {
    prop_oneof![
        Just(Value::Nil),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(|int| Value::Int(int.into())),
        any::<u64>().prop_map(|int| Value::Int(int.into())),
        (-3..300i128).prop_map(Value::Int),
        any::<f64>()
            .prop_filter("finite", |float| float.is_finite())
            .prop_map(Value::Float),
    ]
    .boxed()
}

fn bytes() -> Values {
    vec(any::<u8>(), 0..40).prop_map(Value::Binary).boxed()
}

fn words() -> Values {
    any::<String>().prop_map(Value::text).boxed()
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[a-z_]{1,8}",
        Just("__proto__".to_owned()),
        Just("7".to_owned()),
        Just(String::new()),
    ]
}

fn length(length: usize) -> Values {
    vec(any::<u8>(), length).prop_map(Value::Binary).boxed()
}

fn public() -> Values {
    prop_oneof![length(32), length(33)].boxed()
}

fn id() -> Values {
    (0..1_000_000i128).prop_map(Value::Int).boxed()
}

fn int() -> Values {
    prop_oneof![
        (0..1_000_000i128).prop_map(Value::Int),
        any::<i64>().prop_map(|int| Value::Int(int.into()))
    ]
    .boxed()
}

fn or_nil(values: impl Strategy<Value = Value> + 'static) -> Values {
    option::of(values)
        .prop_map(|value| value.unwrap_or(Value::Nil))
        .boxed()
}

fn text_of(name: String) -> Value {
    Value::text(name)
}

fn keyed<K, V>(
    pairs: BTreeMap<K, V>,
    key: impl Fn(K) -> Value,
    value: impl Fn(V) -> Value,
) -> Value {
    Value::Map(pairs.into_iter().map(|(k, v)| (key(k), value(v))).collect())
}

/// A record with members under atoms, with some members that may be missing, and rarely with one
/// that no table knows.
fn record(
    module: Option<&'static str>,
    members: Vec<(&'static str, Values)>,
    sometimes: Vec<(&'static str, Values)>,
) -> Values {
    let members = members
        .into_iter()
        .map(|(name, values)| values.prop_map(move |value| (atom(name), value)).boxed())
        .collect::<Vec<_>>();
    let sometimes = sometimes
        .into_iter()
        .map(|(name, values)| option::of(values.prop_map(move |value| (atom(name), value))).boxed())
        .collect::<Vec<_>>();
    let unknown = option::weighted(0.1, ("x[a-z]{0,6}", verbatim()));
    (members, sometimes, unknown)
        .prop_map(move |(mut pairs, sometimes, unknown)| {
            pairs.extend(sometimes.into_iter().flatten());
            pairs.extend(unknown.map(|(name, value)| (Value::text(name), value)));
            pairs.extend(module.map(|module| (atom("__struct__"), atom(module))));
            Value::Map(pairs)
        })
        .boxed()
}

fn key_pair() -> Values {
    record(
        None,
        vec![("private", length(32)), ("public", public())],
        vec![],
    )
}

fn creds() -> Values {
    let signed_pre_key = record(
        None,
        vec![
            ("key_pair", key_pair()),
            ("key_id", id()),
            ("signature", length(64)),
        ],
        vec![("timestamp_s", int())],
    );
    let account = record(
        Some("Elixir.BaileysEx.Protocol.Proto.ADVSignedDeviceIdentity"),
        [
            "details",
            "account_signature_key",
            "account_signature",
            "device_signature",
        ]
        .map(|name| (name, or_nil(bytes())))
        .into(),
        vec![],
    );
    let me = record(
        None,
        vec![("id", words())],
        vec![("name", words()), ("lid", words())],
    );
    let identity = record(
        None,
        vec![
            (
                "identifier",
                record(None, vec![("name", words()), ("device_id", int())], vec![]),
            ),
            ("identifier_key", public()),
        ],
        vec![],
    );
    let settings = record(
        None,
        vec![
            (
                "unarchive_chats",
                any::<bool>().prop_map(Value::Bool).boxed(),
            ),
            ("default_disappearing_mode", or_nil(free_map())),
        ],
        vec![],
    );
    let unknown = btree_map("x[a-z]{0,6}", verbatim(), 0..3)
        .prop_map(|pairs| keyed(pairs, text_of, |value| value))
        .boxed();
    let state = record(
        Some("Elixir.BaileysEx.Auth.State"),
        vec![
            ("noise_key", key_pair()),
            ("pairing_ephemeral_key", or_nil(key_pair())),
            ("signed_identity_key", key_pair()),
            ("signed_pre_key", signed_pre_key),
            ("registration_id", id()),
            ("adv_secret_key", words()),
            ("account", or_nil(account)),
            ("me", or_nil(me)),
            (
                "signal_identities",
                vec(identity, 0..2).prop_map(Value::List).boxed(),
            ),
            ("platform", or_nil(words())),
            ("last_account_sync_timestamp", or_nil(int())),
            (
                "processed_history_messages",
                vec(history_message(), 0..3).prop_map(Value::List).boxed(),
            ),
            ("account_sync_counter", int()),
            ("account_settings", settings),
            ("registered", any::<bool>().prop_map(Value::Bool).boxed()),
            ("pairing_code", or_nil(words())),
            ("last_prop_hash", or_nil(words())),
            ("routing_info", or_nil(bytes())),
            ("my_app_state_key_id", or_nil(words())),
            ("additional_data", free()),
            ("first_unuploaded_pre_key_id", int()),
            ("next_pre_key_id", int()),
            ("unknown_fields", unknown),
        ],
        vec![],
    );
    // A State keeps unknown members in one place only.
    state
        .prop_map(|value| match value {
            Value::Map(mut pairs) => {
                pairs.retain(|(key, _)| matches!(key, Value::Atom(_)));
                Value::Map(pairs)
            }
            other => other,
        })
        .boxed()
}

fn free_map() -> Values {
    btree_map("[a-z]{1,8}", free(), 0..4)
        .prop_map(|pairs| keyed(pairs, text_of, |value| value))
        .boxed()
}

fn history_message() -> Values {
    let some_text = || or_nil("\\PC{1,12}".prop_map(Value::text));
    let key = record(
        None,
        vec![
            ("id", some_text()),
            ("remote_jid", some_text()),
            ("remote_jid_alt", some_text()),
            ("participant", some_text()),
            ("participant_alt", some_text()),
            ("from_me", or_nil(any::<bool>().prop_map(Value::Bool))),
            (
                "addressing_mode",
                prop_oneof![
                    Just(Value::Nil),
                    Just(atom("pn")),
                    Just(atom("lid")),
                    Just(text("hosted"))
                ]
                .boxed(),
            ),
            ("server_id", some_text()),
        ],
        vec![],
    );
    record(
        None,
        vec![("key", key), ("message_timestamp", or_nil(int()))],
        vec![],
    )
}

fn session_record() -> Values {
    let key = prop_oneof![vec(any::<u8>(), 32), vec(any::<u8>(), 33)];
    let sessions = btree_map(key, session(), 0..3)
        .prop_map(|sessions| keyed(sessions, Value::Binary, |value| value))
        .boxed();
    record(
        Some("Elixir.BaileysEx.Signal.SessionRecord"),
        vec![("sessions", sessions)],
        vec![],
    )
}

fn direction() -> Values {
    prop_oneof![Just(atom("sending")), Just(atom("receiving"))].boxed()
}

fn session() -> Values {
    let ratchet = record(
        None,
        vec![
            ("ephemeral_key_pair", key_pair()),
            ("last_remote_ephemeral", public()),
            ("previous_counter", int()),
            ("root_key", length(32)),
        ],
        vec![],
    );
    let index_info = record(
        None,
        vec![
            ("base_key", public()),
            ("base_key_type", direction()),
            (
                "closed",
                or_nil((0..i128::from(i64::MAX)).prop_map(Value::Int)),
            ),
            ("used", int()),
            ("created", int()),
            ("remote_identity_key", public()),
            ("local_identity_key", public()),
        ],
        vec![],
    );
    let counter = prop_oneof![0..1000i128, -5..5i128]
        .prop_map(Value::Int)
        .boxed();
    let message_keys = btree_map(any::<u32>(), vec(any::<u8>(), 32), 0..4)
        .prop_map(|keys| keyed(keys, |int| Value::Int(int.into()), Value::Binary));
    let chain = record(
        None,
        vec![
            (
                "chain_key",
                record(
                    None,
                    vec![("counter", counter), ("key", or_nil(length(32)))],
                    vec![],
                ),
            ),
            ("chain_type", direction()),
            ("message_keys", message_keys.boxed()),
        ],
        vec![],
    );
    let chains = btree_map(any::<String>(), chain, 0..3)
        .prop_map(|chains| keyed(chains, text_of, |value| value))
        .boxed();
    let pending = record(
        None,
        vec![
            ("signed_pre_key_id", int()),
            ("base_key", public()),
            ("pre_key_id", or_nil(int())),
        ],
        vec![],
    );
    record(
        None,
        vec![
            ("registration_id", or_nil(int())),
            ("current_ratchet", ratchet),
            ("index_info", index_info),
            ("chains", chains),
            ("pending_pre_key", or_nil(pending)),
        ],
        vec![],
    )
}

fn sender_key_record() -> Values {
    vec(sender_key_state(), 0..3)
        .prop_map(|states| {
            map([
                (
                    atom("__struct__"),
                    atom("Elixir.BaileysEx.Signal.Group.SenderKeyRecord"),
                ),
                (atom("sender_key_states"), Value::List(states)),
            ])
        })
        .boxed()
}

fn sender_key_state() -> Values {
    let chain_key = record(
        Some("Elixir.BaileysEx.Signal.Group.SenderChainKey"),
        vec![("iteration", int()), ("seed", length(32))],
        vec![],
    );
    let signing_key = record(
        None,
        vec![("public", public()), ("private", or_nil(length(32)))],
        vec![],
    );
    let message_keys = vec(sender_message_key(), 0..4)
        .prop_map(Value::List)
        .boxed();
    record(
        Some("Elixir.BaileysEx.Signal.Group.SenderKeyState"),
        vec![
            ("sender_key_id", int()),
            ("sender_chain_key", chain_key),
            ("sender_signing_key", signing_key),
            ("sender_message_keys", message_keys),
        ],
        vec![],
    )
}

fn sender_message_key() -> Values {
    (int(), vec(any::<u8>(), 32))
        .prop_map(|(iteration, seed)| {
            let mut okm = [0; 48];
            Hkdf::<Sha256>::new(None, &seed)
                .expand(b"WhisperGroup", &mut okm)
                .expect("48 bytes");
            map([
                (
                    atom("__struct__"),
                    atom("Elixir.BaileysEx.Signal.Group.SenderMessageKey"),
                ),
                (atom("iteration"), iteration),
                (atom("iv"), Value::Binary(okm[..16].to_vec())),
                (atom("cipher_key"), Value::Binary(okm[16..].to_vec())),
                (atom("seed"), Value::Binary(seed)),
            ])
        })
        .boxed()
}

fn app_state_sync_key() -> Values {
    let indexes = vec(int(), 0..4).prop_map(Value::List);
    let fingerprint = record(
        None,
        vec![
            ("raw_id", or_nil(int())),
            ("current_index", or_nil(int())),
            ("device_indexes", or_nil(indexes)),
        ],
        vec![],
    );
    record(
        None,
        vec![("key_data", bytes())],
        vec![("fingerprint", fingerprint), ("timestamp", int())],
    )
}

fn app_state_sync_version() -> Values {
    let value = record(None, vec![("value_mac", length(32))], vec![]);
    let values = btree_map(name(), value, 0..4)
        .prop_map(|values| keyed(values, text_of, |value| value))
        .boxed();
    record(
        None,
        vec![
            ("version", int()),
            ("hash", length(128)),
            ("index_value_map", values),
        ],
        vec![],
    )
}

fn tc_token() -> Values {
    record(
        None,
        vec![
            ("token", or_nil(bytes())),
            ("timestamp", or_nil(words())),
            ("sender_timestamp", or_nil(int())),
        ],
        vec![],
    )
}
