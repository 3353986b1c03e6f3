//! The key families, with members in the order in which Baileys writes them.

use crate::Value;

use super::{
    Form, Keys, Kind, PUBLIC, Presence, Record, SECRET, Unknown, extra, map, member, optional,
    required, structure,
};

pub(in super::super) static KEY_PAIR: Record = map(&[
    required("private", "private", Kind::Bytes(Form::Own, SECRET)),
    required("public", "public", Kind::Bytes(Form::Own, PUBLIC)),
]);

/// Written even if it is empty, because Baileys accesses it.
const EMPTY_MAP: Presence = Presence::Default(|| Value::Map(Vec::new()));

const DIRECTION: Kind = Kind::Code(&[(1, "sending"), (2, "receiving")]);
const PLAIN_PUBLIC: Kind = Kind::Bytes(Form::Text, PUBLIC);
const PLAIN_SECRET: Kind = Kind::Bytes(Form::Text, SECRET);

/// The record of libsignal. All its bytes are plain base64.
pub(in super::super) static SESSION_RECORD: Record = structure(
    "Elixir.BaileysEx.Signal.SessionRecord",
    &[
        required(
            "_sessions",
            "sessions",
            Kind::Map(Keys::Bytes(PUBLIC), &Kind::Record(&SESSION)),
        ),
        optional("version", "", Kind::Constant("v1")),
    ],
);

static SESSION: Record = map(&[
    optional("registrationId", "registration_id", Kind::Int),
    required(
        "currentRatchet",
        "current_ratchet",
        Kind::Record(&CURRENT_RATCHET),
    ),
    required("indexInfo", "index_info", Kind::Record(&INDEX_INFO)),
    required(
        "_chains",
        "chains",
        Kind::Map(Keys::Chain, &Kind::Record(&CHAIN)),
    ),
    optional(
        "pendingPreKey",
        "pending_pre_key",
        Kind::Record(&PENDING_PRE_KEY),
    ),
]);

static CURRENT_RATCHET: Record = map(&[
    required(
        "ephemeralKeyPair",
        "ephemeral_key_pair",
        Kind::Record(&EPHEMERAL_KEY_PAIR),
    ),
    required(
        "lastRemoteEphemeralKey",
        "last_remote_ephemeral",
        PLAIN_PUBLIC,
    ),
    required("previousCounter", "previous_counter", Kind::Int),
    required("rootKey", "root_key", PLAIN_SECRET),
]);

static EPHEMERAL_KEY_PAIR: Record = map(&[
    required("pubKey", "public", PLAIN_PUBLIC),
    required("privKey", "private", PLAIN_SECRET),
]);

static INDEX_INFO: Record = map(&[
    required("baseKey", "base_key", PLAIN_PUBLIC),
    required("baseKeyType", "base_key_type", DIRECTION),
    required("closed", "closed", Kind::Closed),
    // Baileys tries sessions in the order of this time.
    member(
        "used",
        "used",
        Kind::Timestamp(Form::Own),
        Presence::ExtraNow,
    ),
    member(
        "created",
        "created",
        Kind::Timestamp(Form::Own),
        Presence::ExtraNow,
    ),
    required("remoteIdentityKey", "remote_identity_key", PLAIN_PUBLIC),
    optional(
        "localIdentityKey",
        "local_identity_key",
        Kind::LocalIdentity,
    ),
]);

static CHAIN: Record = map(&[
    required("chainKey", "chain_key", Kind::Record(&CHAIN_KEY)),
    required("chainType", "chain_type", DIRECTION),
    member(
        "messageKeys",
        "message_keys",
        Kind::Map(Keys::Int, &PLAIN_SECRET),
        EMPTY_MAP,
    ),
]);

static CHAIN_KEY: Record = map(&[
    required("counter", "counter", Kind::Counter),
    // Without it the chain is closed.
    optional("key", "key", PLAIN_SECRET),
]);

static PENDING_PRE_KEY: Record = map(&[
    required("signedKeyId", "signed_pre_key_id", Kind::Int),
    required("baseKey", "base_key", PLAIN_PUBLIC),
    optional("preKeyId", "pre_key_id", Kind::Int),
]);

/// The record of the explicit dialect. Baileys has just the list of states.
pub(in super::super) static SENDER_KEY_RECORD: Record = Record {
    module: Some("Elixir.BaileysEx.Signal.Group.SenderKeyRecord"),
    also: None,
    members: &[required("", "sender_key_states", Kind::SenderKeyStates)],
    unknown: Unknown::Nowhere,
};

pub(in super::super) static SENDER_KEY_STATE: Record = structure(
    "Elixir.BaileysEx.Signal.Group.SenderKeyState",
    &[
        required("senderKeyId", "sender_key_id", Kind::Int),
        required(
            "senderChainKey",
            "sender_chain_key",
            Kind::Record(&SENDER_CHAIN_KEY),
        ),
        required(
            "senderSigningKey",
            "sender_signing_key",
            Kind::Record(&SENDER_SIGNING_KEY),
        ),
        // Before Baileys 6.7.19, protobuf.js left out an empty list.
        member(
            "senderMessageKeys",
            "sender_message_keys",
            Kind::SenderMessageKeys,
            Presence::Default(|| Value::List(Vec::new())),
        ),
    ],
);

static SENDER_CHAIN_KEY: Record = structure(
    "Elixir.BaileysEx.Signal.Group.SenderChainKey",
    &[
        required("iteration", "iteration", Kind::Int),
        required("seed", "seed", Kind::Bytes(Form::Own, SECRET)),
    ],
);

static SENDER_SIGNING_KEY: Record = map(&[
    required("public", "public", Kind::Bytes(Form::Own, PUBLIC)),
    // Baileys writes empty bytes if it has no private key.
    member(
        "private",
        "private",
        Kind::BytesOrNil(SECRET),
        Presence::Default(|| Value::Nil),
    ),
]);

/// Values that are derived from the seed are not in the file, except in the legacy dialect.
pub(in super::super) static SENDER_MESSAGE_KEY: Record = structure(
    "Elixir.BaileysEx.Signal.Group.SenderMessageKey",
    &[
        required("iteration", "iteration", Kind::Int),
        required("seed", "seed", Kind::Bytes(Form::Own, SECRET)),
        extra("", "iv", Kind::Bytes(Form::Own, &[16])),
        extra("", "cipher_key", Kind::Bytes(Form::Own, SECRET)),
    ],
);

pub(super) static APP_STATE_SYNC_KEY: Record = map(&[
    required("keyData", "key_data", Kind::Bytes(Form::Text, &[])),
    extra(
        "fingerprint",
        "fingerprint",
        Kind::Carried(&Kind::Record(&FINGERPRINT)),
    ),
    extra("timestamp", "timestamp", Kind::Timestamp(Form::Text)),
]);

static FINGERPRINT: Record = map(&[
    optional("rawId", "raw_id", Kind::Int),
    optional("currentIndex", "current_index", Kind::Int),
    optional("deviceIndexes", "device_indexes", Kind::List(&Kind::Int)),
]);

pub(super) static APP_STATE_SYNC_VERSION: Record = map(&[
    required("version", "version", Kind::Int),
    // Other programs write empty bytes at version 0.
    required("hash", "hash", Kind::Bytes(Form::Own, &[128, 0])),
    member(
        "indexValueMap",
        "index_value_map",
        Kind::Map(Keys::Text, &Kind::Record(&INDEX_VALUE)),
        EMPTY_MAP,
    ),
]);

static INDEX_VALUE: Record = map(&[required(
    "valueMac",
    "value_mac",
    Kind::Bytes(Form::Own, SECRET),
)]);

/// The explicit dialect writes `senderTimestamp` as Baileys does, so the names of Baileys read both
/// dialects.
pub(super) static TC_TOKEN: Record = map(&[
    optional("token", "token", Kind::Token),
    optional("timestamp", "timestamp", Kind::Text),
    optional(
        "senderTimestamp",
        "sender_timestamp",
        Kind::Timestamp(Form::Own),
    ),
]);
