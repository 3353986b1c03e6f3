//! One account in four forms on disk. All of them load to the terms that baileys_ex has at run
//! time, and Baileys' own files are written back unchanged.

use crate::support::*;
use auth_store::Value;
use auth_store::codec::{etf, json};
use serde_json::Value as Json;

/// The native file, with the field that its `State` did not have yet.
fn truth(family: &str, name: &str) -> Value {
    let mut value = native(name);
    if family == "creds" {
        put(
            &mut value,
            &[],
            atom("unknown_fields"),
            Value::Map(Vec::new()),
        );
    }
    value
}

/// Removes what only Baileys' files hold, after checking that it is there.
fn without_daggers(family: &str, name: &str, value: &mut Value) {
    match family {
        "creds" => {
            let Value::Map(unknown) = member(value, &["unknown_fields"]) else {
                panic!("unknown fields are no map");
            };
            assert_eq!(unknown.len(), 1);
            unknown.clear();
        }
        "session" => {
            let Value::Map(sessions) = member(value, &["sessions"]) else {
                panic!("sessions are no map");
            };
            for (_, session) in sessions {
                for name in ["used", "created"] {
                    assert!(matches!(
                        member(session, &["index_info", name]),
                        Value::Int(1_795_181_519_000..)
                    ));
                    remove(session, &["index_info"], name);
                }
            }
        }
        "app-state-sync-key" => {
            assert!(matches!(
                member(value, &["timestamp"]),
                Value::Int(1_710_000_000_000..)
            ));
            remove(value, &[], "timestamp");
            if name.contains('+') {
                let fingerprint = map([
                    (atom("raw_id"), Value::Int(77)),
                    (atom("current_index"), Value::Int(2)),
                    (
                        atom("device_indexes"),
                        Value::List(vec![Value::Int(0), Value::Int(1), Value::Int(2)]),
                    ),
                ]);
                assert_same(
                    member(value, &["fingerprint"]),
                    &fingerprint,
                    "a fingerprint",
                );
                remove(value, &[], "fingerprint");
            }
        }
        _ => {}
    }
}

#[test]
fn files_of_baileys_load_to_the_run_time_terms() {
    for (family, name, bytes) in files("baileys-7.0.0-rc14") {
        let mut value = decode(&family, &bytes).unwrap_or_else(|e| panic!("{name}: {e}"));
        without_daggers(&family, &name, &mut value);
        assert_same(&value, &truth(&family, &name), &name);
    }
}

#[test]
fn files_of_the_explicit_dialect_load_to_the_run_time_terms() {
    for (family, name, bytes) in files("baileys_ex-json") {
        let value = decode(&family, &bytes).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_same(&value, &truth(&family, &name), &name);
    }
}

#[test]
fn files_of_the_legacy_dialect_load_to_the_run_time_terms() {
    for (family, name, bytes) in files("baileys_ex-legacy") {
        let value = decode(&family, &bytes).unwrap_or_else(|e| panic!("{name}: {e}"));
        let mut truth = truth(&family, &name);
        // This dialect had no sender timestamp.
        if family == "tctoken" {
            *member(&mut truth, &["sender_timestamp"]) = Value::Nil;
        }
        assert_same(&value, &truth, &name);
    }
}

#[test]
fn what_was_loaded_in_any_form_survives_json_and_etf() {
    for directory in ["baileys-7.0.0-rc14", "baileys_ex-json", "baileys_ex-legacy"] {
        for (family, name, bytes) in files(directory) {
            let mut value = decode(&family, &bytes).expect("a fixture");
            let through_etf = etf::decode(&etf::encode(&value).expect("ETF")).expect("ETF");
            assert_same(&value, &through_etf, &name);
            let written = encode(&family, &value).unwrap_or_else(|e| panic!("{name}: {e}"));
            let again = decode(&family, &written).unwrap_or_else(|e| panic!("{name}: {e}"));
            if family == "session" && directory != "baileys-7.0.0-rc14" {
                with_time_of_writing(&mut value);
            }
            assert_same(&value, &again, &name);
        }
    }
}

fn with_time_of_writing(record: &mut Value) {
    let Value::Map(sessions) = member(record, &["sessions"]) else {
        panic!("sessions are no map");
    };
    for (_, session) in sessions {
        for name in ["used", "created"] {
            put(
                session,
                &["index_info"],
                atom(name),
                Value::Int(NOW_MS.into()),
            );
        }
    }
}

#[test]
fn a_native_session_is_written_with_the_time_of_writing() {
    let mut value = native("session-15559990002.0");
    let written = encode("session", &value).expect("a native session");
    with_time_of_writing(&mut value);
    assert_same(
        &value,
        &decode("session", &written).expect("what was written"),
        "a session",
    );
}

/// How the written JSON may differ from that of Baileys.
fn rewrite(family: &str, original: &mut Json) {
    if family == "creds" {
        let messages = &mut original["processedHistoryMessages"];
        // An empty participant counts as none.
        let key = messages[0]["key"].as_object_mut().expect("a key");
        assert_eq!(key.remove("participant"), Some(Json::from("")));
        // A Long becomes a number.
        let low = messages[1]["messageTimestamp"]["low"].clone();
        assert!(low.is_i64());
        messages[1]["messageTimestamp"] = low;
    }
    if family == "sender-key" {
        let inside = base64(original["data"].as_str().expect("base64"));
        let mut states: Json = serde_json::from_slice(&inside).expect("JSON inside");
        bytes_as_text(&mut states);
        *original = states;
    }
}

/// The inner bytes of a sender key are written as base64 strings, not as lists of numbers.
fn bytes_as_text(json: &mut Json) {
    match json {
        Json::Object(object) if object.get("type") == Some(&Json::from("Buffer")) => {
            let bytes: Vec<u8> = object["data"]
                .as_array()
                .expect("a list")
                .iter()
                .map(|b| u8::try_from(b.as_u64().expect("a number")).expect("a byte"))
                .collect();
            object["data"] = Json::from(to_base64(&bytes));
        }
        Json::Object(object) => object.values_mut().for_each(bytes_as_text),
        Json::Array(items) => items.iter_mut().for_each(bytes_as_text),
        _ => {}
    }
}

fn base64(text: &str) -> Vec<u8> {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD
        .decode(text)
        .expect("base64")
}

fn to_base64(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

#[test]
fn files_of_baileys_are_written_as_they_were_member_by_member() {
    for (family, name, bytes) in files("baileys-7.0.0-rc14") {
        let value = decode(&family, &bytes).expect("a fixture");
        let written = encode(&family, &value).unwrap_or_else(|e| panic!("{name}: {e}"));
        let mut written: Json = serde_json::from_slice(&written).expect("JSON");
        let mut original: Json = serde_json::from_slice(&bytes).expect("JSON");
        rewrite(&family, &mut original);
        if family == "sender-key" {
            assert_eq!(written["type"], "Buffer");
            written = serde_json::from_slice(&base64(written["data"].as_str().expect("base64")))
                .expect("JSON inside");
        }
        assert!(written == original, "{name} was written otherwise");
    }
}

/// `JSON.stringify` keeps the order in which Baileys creates the members, and so do we. So files
/// differ from those of Baileys only where values do.
#[test]
fn files_are_written_in_the_order_of_baileys() {
    let same_bytes = [
        "pre-key-1.json",
        "tctoken-900000000002@lid.json",
        "app-state-sync-key-AAAA__+Ab.json",
        "session-15557770003.0.json",
        "identity-key-15559990002.0.json",
        "device-list-15559990002.json",
        "lid-mapping-15557770003.json",
    ];
    for name in same_bytes {
        let bytes = file("baileys-7.0.0-rc14", name);
        let family = FAMILIES
            .into_iter()
            .find(|family| name.starts_with(&format!("{family}-")))
            .expect("a family");
        let written = encode(family, &decode(family, &bytes).expect("a fixture"));
        assert!(
            written.expect("what was read") == bytes,
            "{name} was written otherwise"
        );
    }
}

#[test]
fn the_account_s_identity_is_found_in_creds_of_any_dialect() {
    let mut expected = vec![5];
    let mut creds = native("creds");
    let Value::Binary(public) = member(&mut creds, &["signed_identity_key", "public"]) else {
        panic!("no identity");
    };
    expected.append(public);
    for directory in ["baileys-7.0.0-rc14", "baileys_ex-json", "baileys_ex-legacy"] {
        let found = json::local_identity(&file(directory, "creds.json")).expect(directory);
        assert!(found == expected, "{directory}");
    }
}
