//! Sessions of libsignal.

use serde_json::{Value as Json, json};

use auth_store::Value;
use auth_store::codec::json::{self, DecodeContext, EncodeContext};

use crate::support::*;

const OPEN: &str = "session-15557770003.0";
const BASE: &str = "Bfwigd2LiUMWTC5DLXr7GsPmUpFWZPiwQcvm+XEnShJl";

fn base_key() -> Value {
    use base64::Engine;
    let bytes = base64::engine::general_purpose::STANDARD.decode(BASE);
    Value::Binary(bytes.expect("base64"))
}

fn only_session(value: &mut Value) -> &mut Value {
    let Value::Map(sessions) = member(value, &["sessions"]) else {
        panic!("no sessions");
    };
    let key = base_key();
    let (_, session) = sessions
        .iter_mut()
        .find(|(found, _)| *found == key)
        .expect("the session");
    session
}

#[test]
fn an_old_record_lends_its_registration_id() {
    let mut json = baileys(OPEN);
    json.as_object_mut().expect("an object").remove("version");
    json["registrationId"] = json!(4711);
    let mut value = read("session", &json);
    // The id of the entry itself takes precedence.
    assert!(*member(only_session(&mut value), &["registration_id"]) == Value::Int(79));
    json["_sessions"][BASE]
        .as_object_mut()
        .expect("an object")
        .remove("registrationId");
    let mut value = read("session", &json);
    assert!(*member(only_session(&mut value), &["registration_id"]) == Value::Int(4711));
    // It is now written as a record of the current version.
    let json = written("session", &value);
    assert_eq!(json["version"], "v1");
    assert_eq!(json.get("registrationId"), None);
    assert_eq!(json["_sessions"][BASE]["registrationId"], 4711);
}

#[test]
fn a_record_of_today_keeps_a_stray_registration_id() {
    let mut json = baileys(OPEN);
    json["registrationId"] = json!(4711);
    json["_sessions"][BASE]
        .as_object_mut()
        .expect("an object")
        .remove("registrationId");
    let mut value = read("session", &json);
    assert!(*member(only_session(&mut value), &["registration_id"]) == Value::Nil);
    assert!(written("session", &value) == json);
}

#[test]
fn a_version_to_come_is_refused() {
    let mut json = baileys(OPEN);
    for version in [json!("v2"), json!(1)] {
        json["version"] = version;
        assert_eq!(
            refused("session", &json),
            "session.version: an unsupported version"
        );
    }
}

#[test]
fn closed_is_nil_only_for_an_open_session() {
    let mut json = baileys(OPEN);
    json["_sessions"][BASE]["indexInfo"]["closed"] = json!(1_710_000_000_000i64);
    let mut value = read("session", &json);
    let closed = member(only_session(&mut value), &["index_info", "closed"]);
    assert!(*closed == Value::Int(1_710_000_000_000));
    assert!(written("session", &value) == json);
    let closed = member(only_session(&mut value), &["index_info", "closed"]);
    *closed = Value::Int(-1);
    assert_eq!(
        not_written("session", &value),
        "session.sessions[].index_info.closed: an open session is nil, not -1"
    );
    // libsignal takes anything but -1 for closed, so null has no meaning.
    for wrong in [json!(null), json!("never")] {
        json["_sessions"][BASE]["indexInfo"]["closed"] = wrong;
        assert!(
            refused("session", &json)
                .starts_with("session.sessions[].index_info.closed: expected an integer")
        );
    }
}

#[test]
fn counters_are_one_ahead_at_run_time() {
    let mut value = read("session", &baileys(OPEN));
    let chains = member(only_session(&mut value), &["chains"]);
    let Value::Map(chains) = chains else {
        panic!("no chains");
    };
    let counter = member(&mut chains[0].1, &["chain_key", "counter"]);
    assert!(*counter == Value::Int(1));
    *counter = Value::Int(0);
    let json = written("session", &value);
    let chains = json["_sessions"][BASE]["_chains"].as_object();
    let chain = chains.expect("chains").values().next().expect("a chain");
    assert_eq!(chain["chainKey"]["counter"], -1);
}

#[test]
fn a_counter_beyond_what_a_term_can_hold_is_refused() {
    let with = |counter: u64| {
        let mut json = baileys("session-15559990002.0");
        let sessions = json["_sessions"].as_object_mut().expect("sessions");
        for session in sessions.values_mut() {
            for chain in session["_chains"]
                .as_object_mut()
                .expect("chains")
                .values_mut()
            {
                chain["chainKey"]["counter"] = json!(counter);
            }
        }
        json
    };
    read("session", &with(u64::MAX - 1));
    let message = refused("session", &with(u64::MAX));
    assert!(
        message.contains("chain_key.counter: is an integer"),
        "{message}"
    );
}

#[test]
fn the_local_identity_is_the_file_s_own_else_the_account_s_else_unknown() {
    let other = vec![5; 33];
    let decode_with = |json: &Json, identity: Option<&[u8]>| {
        let ctx = DecodeContext {
            local_identity: identity,
        };
        let mut value =
            json::decode("session", json.to_string().as_bytes(), &ctx).expect("a session");
        let key = member(
            only_session(&mut value),
            &["index_info", "local_identity_key"],
        );
        (key.clone(), value)
    };
    let mut json = baileys(OPEN);
    assert!(decode_with(&json, None).0 == Value::Nil);
    let (found, value) = decode_with(&json, Some(&other));
    assert!(found == Value::Binary(other.clone()));

    let encode_with = |value: &Value, identity: Option<&[u8]>| -> Json {
        let ctx = EncodeContext {
            local_identity: identity,
            now_ms: NOW_MS,
            ..Default::default()
        };
        let bytes = json::encode("session", value, &ctx).expect("a session");
        serde_json::from_slice(&bytes).expect("JSON")
    };
    // The account's own identity is left out, and another one is not lost.
    assert!(encode_with(&value, Some(&other)) == json);
    use base64::Engine;
    let base64 = base64::engine::general_purpose::STANDARD.encode(&other);
    json["_sessions"][BASE]["indexInfo"]["localIdentityKey"] = json!(base64);
    assert!(encode_with(&value, Some(&identity())) == json);
    assert!(encode_with(&value, None) == json);
    assert!(decode_with(&json, Some(&identity())).0 == Value::Binary(other));
}

#[test]
fn wrong_lengths_types_and_keys_are_refused_and_named() {
    let entry = format!("/_sessions/{}", BASE.replace('/', "~1"));
    let chain = format!("{entry}/_chains/BT9SyIm5HSFymwFmynRQFuICWxEypel84x9Ygw5IhCJz");
    let wrong = [
        (
            "/currentRatchet/rootKey",
            json!("AQID"),
            "current_ratchet.root_key: must be 32",
        ),
        (
            "/currentRatchet/ephemeralKeyPair/pubKey",
            json!("AQID"),
            "current_ratchet.ephemeral_key_pair.public: must be 32 or 33",
        ),
        (
            "/indexInfo/baseKeyType",
            json!(3),
            "index_info.base_key_type: is none",
        ),
        (
            "/indexInfo/baseKeyType",
            json!("sending"),
            "index_info.base_key_type: is none",
        ),
        (
            "/currentRatchet",
            json!(null),
            "current_ratchet: expected an object",
        ),
        ("/_chains", json!([]), "chains: expected an object"),
    ];
    for (place, json, problem) in wrong {
        let mut record = baileys(OPEN);
        *record
            .pointer_mut(&format!("{entry}{place}"))
            .expect("a member") = json;
        let message = refused("session", &record);
        assert!(
            message.starts_with(&format!("session.sessions[].{problem}")),
            "{place}: {message}"
        );
    }
    let mut record = baileys(OPEN);
    *record
        .pointer_mut(&format!("{chain}/chainKey/key"))
        .expect("a key") = json!(BASE);
    assert_eq!(
        refused("session", &record),
        "session.sessions[].chains[].chain_key.key: must be 32 bytes long, but is 33"
    );
    for (index, problem) in [
        ("x", "is not a decimal"),
        ("01", "is not"),
        ("-1", "is not"),
    ] {
        let mut record = baileys(OPEN);
        *record
            .pointer_mut(&format!("{chain}/messageKeys"))
            .expect("keys") = json!({index: KEY});
        let message = refused("session", &record);
        assert!(message.contains(".message_keys[]: a name"), "{message}");
        assert!(message.contains(problem), "{message}");
    }
    let mut record = baileys(OPEN);
    let session = record["_sessions"][BASE].take();
    record["_sessions"] = json!({ KEY.replace('=', "") + "AAAA": session });
    assert_eq!(
        refused("session", &record),
        "session.sessions[]: must be 32 or 33 bytes long, but is 35"
    );
}

#[test]
fn two_names_for_one_session_are_refused() {
    let mut record = baileys(OPEN);
    let session = record["_sessions"][BASE].clone();
    // The same bytes in the other alphabet of base64.
    record["_sessions"][BASE.replace('+', "-")] = session;
    assert_eq!(
        refused("session", &record),
        "session.sessions: two members of a map have the same key"
    );
}

#[test]
fn a_record_without_sessions_is_whole_and_one_without_the_member_is_not() {
    let empty = json!({"_sessions": {}, "version": "v1"});
    assert!(written("session", &read("session", &empty)) == empty);
    assert_eq!(
        refused("session", &json!({"version": "v1"})),
        "session.sessions: is missing"
    );
}

#[test]
fn only_a_session_record_is_written() {
    let mut value = native(OPEN);
    remove(&mut value, &[], "__struct__");
    assert_eq!(
        not_written("session", &value),
        "expected a struct Elixir.BaileysEx.Signal.SessionRecord, found a map"
    );
}

#[test]
fn skipped_keys_are_written_by_number_and_chains_by_name() {
    let name = "session-15559990002.0";
    let mut value = native(name);
    let Value::Map(sessions) = member(&mut value, &["sessions"]) else {
        panic!("no sessions");
    };
    let Value::Map(chains) = member(&mut sessions[0].1, &["chains"]) else {
        panic!("no chains");
    };
    chains.sort_by_key(|(key, _)| match key {
        Value::Binary(bytes) => std::cmp::Reverse(bytes.clone()),
        _ => panic!("a key that is no text"),
    });
    for (_, chain) in chains {
        let Value::Map(keys) = member(chain, &["message_keys"]) else {
            panic!("no keys");
        };
        let secret = Value::Binary(vec![7; 32]);
        *keys = [10, 9, 100, 2]
            .map(|n| (Value::Int(n), secret.clone()))
            .into();
    }
    let json = String::from_utf8(encode("session", &value).expect("JSON")).expect("text");
    let (_, chains) = json.split_once("_chains").expect("written");
    let places = |names: &[&str]| -> Vec<usize> {
        let place = |name: &&str| chains.find(&format!("\"{name}")).expect("written");
        names.iter().map(place).collect()
    };
    assert!(places(&["2\":", "9\":", "10\":", "100\":"]).is_sorted());
    assert!(places(&["BRYztv", "BWnM", "BZQabx", "BZSQyj"]).is_sorted());
}

#[test]
fn a_chain_may_lack_its_map_of_skipped_keys() {
    let mut json = baileys("session-15559990002.0");
    let whole = read("session", &json);
    let sessions = json["_sessions"].as_object_mut().expect("sessions");
    for session in sessions.values_mut() {
        for chain in session["_chains"]
            .as_object_mut()
            .expect("chains")
            .values_mut()
        {
            if chain["messageKeys"] == json!({}) {
                chain
                    .as_object_mut()
                    .expect("a chain")
                    .remove("messageKeys");
            }
        }
    }
    assert_same(&read("session", &json), &whole, "a session");
}
