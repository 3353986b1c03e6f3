//! The entries of `processedHistoryMessages` in credentials.

use serde_json::json;

use auth_store::Value;

use crate::support::*;

#[test]
fn one_strange_entry_of_the_history_leaves_the_others_as_they_are() {
    let mut json = baileys("creds");
    json["processedHistoryMessages"] = json!([
        {"messageTimestamp": 5},
        {"key": {"id": 7, "fromMe": 1, "remoteJid": "a@b"}, "messageTimestamp": 6},
        "not an entry",
        {"key": {"id": "whole"}, "messageTimestamp": 8},
    ]);
    let mut value = read("creds", &json);
    let id = member(
        &mut value,
        &["processed_history_messages", "3", "key", "id"],
    );
    assert!(*id == text("whole"));
    assert_eq!(written("creds", &value), json);
}

#[test]
fn timestamps_read_in_all_their_spellings() {
    let spellings = [
        (json!(1_710_000_600), 1_710_000_600),
        (json!("1710000600"), 1_710_000_600),
        (json!("-5"), -5),
        (json!(1.7100006e9), 1_710_000_600),
        (
            json!({"low": 1_710_000_601, "high": 0, "unsigned": true}),
            1_710_000_601,
        ),
        (
            json!({"low": -1, "high": 0, "unsigned": true}),
            4_294_967_295,
        ),
        (json!({"low": -2, "high": -1, "unsigned": false}), -2),
        (json!({"low": 0, "high": 1}), 4_294_967_296),
        (
            json!({"low": -1, "high": -1, "unsigned": true}),
            i128::from(u64::MAX),
        ),
    ];
    for (spelling, expected) in spellings {
        let mut json = baileys("creds");
        json["processedHistoryMessages"] =
            json!([{"key": {"id": "1"}, "messageTimestamp": spelling}]);
        let mut value = read("creds", &json);
        let found = member(
            &mut value,
            &["processed_history_messages", "0", "message_timestamp"],
        );
        assert!(*found == Value::Int(expected), "{spelling}");
    }
    // Anything else is carried as it was found.
    for strange in [
        json!(""),
        json!("5s"),
        json!("05"),
        json!("-0"),
        json!({"low": 1}),
        json!({"low": 1, "high": 4_294_967_296i64}),
        json!(5.5),
        json!(true),
    ] {
        let mut json = baileys("creds");
        json["processedHistoryMessages"] =
            json!([{"key": {"id": "1"}, "messageTimestamp": strange}]);
        assert_eq!(written("creds", &read("creds", &json)), json, "{strange}");
    }
}

#[test]
fn an_addressing_mode_to_come_stays_text() {
    let mut json = baileys("creds");
    json["processedHistoryMessages"] =
        json!([{"key": {"id": "1", "addressingMode": "hosted"}, "messageTimestamp": 5}]);
    let mut value = read("creds", &json);
    let mode = member(
        &mut value,
        &["processed_history_messages", "0", "key", "addressing_mode"],
    );
    assert!(*mode == text("hosted"));
    assert!(written("creds", &value) == json);
}

#[test]
fn empty_members_of_a_message_key_are_none() {
    let mut json = baileys("creds");
    let empty = [
        "id",
        "remoteJid",
        "participant",
        "participantAlt",
        "addressingMode",
    ];
    for name in empty {
        json["processedHistoryMessages"][0]["key"][name] = json!("");
    }
    let mut value = read("creds", &json);
    let key = member(&mut value, &["processed_history_messages", "0", "key"]);
    for name in [
        "id",
        "remote_jid",
        "participant",
        "participant_alt",
        "addressing_mode",
    ] {
        assert!(key.get(name) == Some(&Value::Nil), "{name}");
        put(key, &[], atom(name), text(""));
    }
    let json = written("creds", &value);
    assert_eq!(
        json["processedHistoryMessages"][0]["key"],
        json!({"fromMe": true})
    );
}

#[test]
fn a_message_key_struct_is_taken_for_its_map() {
    let mut value = native("creds");
    let plain = written("creds", &value);
    put(
        &mut value,
        &["processed_history_messages", "0", "key"],
        atom("__struct__"),
        atom("Elixir.BaileysEx.Protocol.Proto.MessageKey"),
    );
    assert!(written("creds", &value) == plain);
    put(
        &mut value,
        &["processed_history_messages", "0", "key"],
        atom("__struct__"),
        atom("Elixir.SomeOther"),
    );
    assert_eq!(
        not_written("creds", &value),
        "creds.processed_history_messages[].key: is a struct of another module"
    );
}
