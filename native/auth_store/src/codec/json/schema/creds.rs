//! `creds.json` and `BaileysEx.Auth.State`: the members in the order in which Baileys writes them.

use crate::Value;

use super::keys::KEY_PAIR;
use super::{
    Form, Kind, PUBLIC, Presence, Record, SIGNATURE, Unknown, extra, map, member, optional,
    required, structure,
};

/// The required members are the account's identity, so none of them ever has a default.
pub(in super::super) static STATE: Record = Record {
    module: Some(crate::codec::json::STATE_MODULE),
    also: None,
    members: &[
        required("noiseKey", "noise_key", Kind::Record(&KEY_PAIR)),
        optional(
            "pairingEphemeralKeyPair",
            "pairing_ephemeral_key",
            Kind::Record(&KEY_PAIR),
        ),
        required(
            "signedIdentityKey",
            "signed_identity_key",
            Kind::Record(&KEY_PAIR),
        ),
        required(
            "signedPreKey",
            "signed_pre_key",
            Kind::Record(&SIGNED_PRE_KEY),
        ),
        required("registrationId", "registration_id", Kind::Id),
        required("advSecretKey", "adv_secret_key", Kind::Vital),
        member(
            "processedHistoryMessages",
            "processed_history_messages",
            Kind::Carried(&Kind::List(&Kind::Carried(&Kind::Record(&HISTORY_MESSAGE)))),
            Presence::Default(|| Value::List(Vec::new())),
        ),
        member("nextPreKeyId", "next_pre_key_id", Kind::Int, ONE),
        member(
            "firstUnuploadedPreKeyId",
            "first_unuploaded_pre_key_id",
            Kind::Int,
            ONE,
        ),
        member(
            "accountSyncCounter",
            "account_sync_counter",
            Kind::Carried(&Kind::Int),
            Presence::Default(|| Value::Int(0)),
        ),
        member(
            "accountSettings",
            "account_settings",
            Kind::Carried(&Kind::Record(&ACCOUNT_SETTINGS)),
            Presence::Default(|| {
                Value::Map(vec![
                    (Value::atom("unarchive_chats"), Value::Bool(false)),
                    (Value::atom("default_disappearing_mode"), Value::Nil),
                ])
            }),
        ),
        member("registered", "registered", Kind::Bool, FALSE),
        optional("pairingCode", "pairing_code", Kind::Text),
        optional("lastPropHash", "last_prop_hash", Kind::Text),
        optional(
            "routingInfo",
            "routing_info",
            Kind::Carried(&Kind::Bytes(Form::Own, &[])),
        ),
        optional(
            "additionalData",
            "additional_data",
            Kind::Carried(&Kind::Free),
        ),
        optional("me", "me", Kind::Record(&ME)),
        optional("account", "account", Kind::Record(&ACCOUNT)),
        member(
            "signalIdentities",
            "signal_identities",
            Kind::List(&Kind::Record(&SIGNAL_IDENTITY)),
            Presence::OptionalList,
        ),
        optional("platform", "platform", Kind::Text),
        optional("myAppStateKeyId", "my_app_state_key_id", Kind::Text),
        optional(
            "lastAccountSyncTimestamp",
            "last_account_sync_timestamp",
            Kind::Timestamp(Form::Own),
        ),
    ],
    unknown: Unknown::Under("unknown_fields"),
};

const ONE: Presence = Presence::Default(|| Value::Int(1));
const FALSE: Presence = Presence::Default(|| Value::Bool(false));

static SIGNED_PRE_KEY: Record = map(&[
    required("keyPair", "key_pair", Kind::Record(&KEY_PAIR)),
    required("signature", "signature", Kind::Bytes(Form::Own, SIGNATURE)),
    required("keyId", "key_id", Kind::Id),
    extra("timestampS", "timestamp_s", Kind::Timestamp(Form::Own)),
]);

static HISTORY_MESSAGE: Record = map(&[
    required("key", "key", Kind::Carried(&Kind::Record(&MESSAGE_KEY))),
    optional(
        "messageTimestamp",
        "message_timestamp",
        Kind::Timestamp(Form::Own),
    ),
]);

static MESSAGE_KEY: Record = Record {
    module: None,
    also: Some("Elixir.BaileysEx.Protocol.Proto.MessageKey"),
    members: &[
        optional("remoteJid", "remote_jid", Kind::TextOrNil),
        optional("remoteJidAlt", "remote_jid_alt", Kind::TextOrNil),
        optional("fromMe", "from_me", Kind::Bool),
        optional("id", "id", Kind::TextOrNil),
        optional("participant", "participant", Kind::TextOrNil),
        optional("participantAlt", "participant_alt", Kind::TextOrNil),
        optional(
            "addressingMode",
            "addressing_mode",
            Kind::Word(&["pn", "lid"]),
        ),
        optional("server_id", "server_id", Kind::TextOrNil),
    ],
    unknown: Unknown::Beside,
};

static ACCOUNT_SETTINGS: Record = map(&[
    member("unarchiveChats", "unarchive_chats", Kind::Bool, FALSE),
    optional(
        "defaultDisappearingMode",
        "default_disappearing_mode",
        Kind::FreeNamed(&[
            ("ephemeralExpiration", "ephemeral_expiration"),
            ("ephemeralSettingTimestamp", "ephemeral_setting_timestamp"),
        ]),
    ),
]);

static ME: Record = map(&[
    extra("id", "id", Kind::Vital),
    extra("lid", "lid", Kind::Text),
    extra("name", "name", Kind::Text),
    extra("deviceId", "device_id", Kind::Free),
]);

/// protobuf.js writes the bytes of this one message as plain base64.
static ACCOUNT: Record = structure(
    "Elixir.BaileysEx.Protocol.Proto.ADVSignedDeviceIdentity",
    &[
        optional("details", "details", Kind::Bytes(Form::Text, &[])),
        optional(
            "accountSignatureKey",
            "account_signature_key",
            Kind::Bytes(Form::Text, &[]),
        ),
        optional(
            "accountSignature",
            "account_signature",
            Kind::Bytes(Form::Text, &[]),
        ),
        optional(
            "deviceSignature",
            "device_signature",
            Kind::Bytes(Form::Text, &[]),
        ),
    ],
);

static SIGNAL_IDENTITY: Record = map(&[
    required(
        "identifier",
        "identifier",
        Kind::Carried(&Kind::Record(&IDENTIFIER)),
    ),
    required(
        "identifierKey",
        "identifier_key",
        Kind::Bytes(Form::Own, PUBLIC),
    ),
]);

static IDENTIFIER: Record = map(&[
    required("name", "name", Kind::Text),
    required("deviceId", "device_id", Kind::Int),
]);
