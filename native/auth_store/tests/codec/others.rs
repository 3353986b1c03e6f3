//! The small families.

use serde_json::{Value as Json, json};

use auth_store::Value;
use auth_store::codec::json::{self, DecodeContext};

use crate::support::*;

#[test]
fn an_app_state_sync_key_keeps_what_baileys_says_of_it() {
    let spellings = [json!("1710000000123"), json!(1_710_000_000_123i64)];
    for timestamp in spellings {
        let json = json!({"keyData": KEY, "timestamp": timestamp});
        let mut value = read("app-state-sync-key", &json);
        assert!(*member(&mut value, &["timestamp"]) == Value::Int(1_710_000_000_123));
        // As protobuf.js spells 64 bits.
        assert_eq!(
            written("app-state-sync-key", &value)["timestamp"],
            "1710000000123"
        );
    }
    let value = read("app-state-sync-key", &json!({"keyData": buffer(KEY)}));
    let Value::Map(pairs) = &value else {
        panic!("no map");
    };
    assert_eq!(pairs.len(), 1, "what the file does not say is not there");
    assert_eq!(
        written("app-state-sync-key", &value),
        json!({"keyData": KEY})
    );
    assert_eq!(
        refused("app-state-sync-key", &json!({"timestamp": "1"})),
        "app-state-sync-key.key_data: is missing"
    );
}

#[test]
fn an_app_state_sync_key_may_be_bare_bytes() {
    for json in [
        buffer("AQID"),
        json!({"type": "Buffer", "data": [1, 2, 3]}),
        json!("AQID"),
    ] {
        let value = read("app-state-sync-key", &json);
        assert!(value == Value::Binary(vec![1, 2, 3]), "{json}");
        // Baileys looks for `keyData`, and cannot use a key without it.
        assert_eq!(
            written("app-state-sync-key", &value),
            json!({"keyData": "AQID"})
        );
    }
}

#[test]
fn an_app_state_version_has_a_hash_and_macs_of_fixed_length() {
    let mut json = baileys("app-state-sync-version-regular_high");
    for (_, entry) in json["indexValueMap"].as_object_mut().expect("a map") {
        entry["valueMac"] = buffer("AQID");
    }
    assert_eq!(
        refused("app-state-sync-version", &json),
        "app-state-sync-version.index_value_map[].value_mac: must be 32 bytes long, but is 3"
    );
    json["hash"] = buffer(KEY);
    assert_eq!(
        refused("app-state-sync-version", &json),
        "app-state-sync-version.hash: must be 128 or 0 bytes long, but is 32"
    );
}

#[test]
fn a_token_is_bytes_or_its_own_text() {
    let token = |json: Json| read("tctoken", &json).get("token").cloned();
    assert!(token(json!({"token": buffer("AQID")})) == Some(Value::Binary(vec![1, 2, 3])));
    assert!(token(json!({"token": "AQID"})) == Some(text("AQID")));
    assert!(token(json!({"token": buffer("")})) == Some(text("")));
    assert!(token(json!({})) == Some(Value::Nil));
    let cleared = json!({"token": buffer(""), "senderTimestamp": 5});
    assert_eq!(written("tctoken", &read("tctoken", &cleared)), cleared);
}

#[test]
fn an_identity_key_is_bytes_or_a_map_of_them() {
    let one = json!({"15559990002.0": buffer(KEY), "type": buffer("AQID"), "0": buffer("")});
    let value = read("identity-key", &one);
    assert!(matches!(&value, Value::Map(pairs) if pairs.len() == 3));
    assert_eq!(written("identity-key", &value), one);
    assert_eq!(
        written("identity-key", &read("identity-key", &json!({}))),
        json!({})
    );
    assert_eq!(
        refused("identity-key", &buffer("AQID")),
        "must be 32 or 33 bytes long, but is 3"
    );
    assert_eq!(
        refused("identity-key", &json!({"a": 1})),
        "identity-key[]: expected bytes, found a number"
    );
}

#[test]
fn lists_texts_and_memories_are_carried_whatever_they_hold() {
    for (family, json) in [
        ("lid-mapping", json!(5)),
        ("device-list", json!("0")),
        ("device-list", json!(["0", 7])),
        ("sender-key-memory", json!({"jid": "true", "other": 1})),
        ("sender-key-memory", json!([true])),
        ("tctoken", json!({"timestamp": 1_710_000_000})),
        ("tctoken", json!({"senderTimestamp": 5.5})),
    ] {
        assert_eq!(written(family, &read(family, &json)), json, "{family}");
    }
    assert_eq!(
        not_written("lid-mapping", &Value::Binary(vec![0xff])),
        "is not UTF-8"
    );
    assert_eq!(
        not_written("device-list", &Value::List(vec![Value::Tuple(vec![])])),
        "device-list[]: expected a binary, found a tuple"
    );
}

#[test]
fn an_app_state_version_may_lack_its_map_and_be_empty_at_version_0() {
    let mut json = json!({"version": 0, "hash": buffer("")});
    let value = read("app-state-sync-version", &json);
    assert!(value.get("index_value_map") == Some(&Value::Map(Vec::new())));
    json["indexValueMap"] = json!({});
    assert_eq!(written("app-state-sync-version", &value), json);
}

#[test]
fn an_entry_of_an_app_state_version_that_holds_nothing_costs_itself_alone() {
    let mut json = baileys("app-state-sync-version-regular_high");
    let whole = read("app-state-sync-version", &json);
    json["indexValueMap"]["empty"] = json!({"valueMac": {}});
    let file = json.to_string();
    let told = json::decode_telling(
        "app-state-sync-version",
        file.as_bytes(),
        &DecodeContext::default(),
    )
    .expect("a version");
    assert_same(&told.value, &whole, "without the entry");
    assert_eq!(told.dropped, 1);
}

#[test]
fn of_two_members_of_one_name_the_last_counts() {
    let json = br#"{"a":true,"b":false,"a":false}"#;
    let value = decode("sender-key-memory", json).expect("a memory");
    let expected = map([
        (text("a"), Value::Bool(false)),
        (text("b"), Value::Bool(false)),
    ]);
    assert_same(&value, &expected, "a memory");
    for times in [2, 12] {
        let same = format!("{{{}\"a\":7}}", "\"a\":1,".repeat(times - 1));
        let value = decode("to-come", same.as_bytes()).expect("JSON");
        assert_same(&value, &map([(text("a"), Value::Int(7))]), &same);
    }
    let many: Vec<String> = (0..40).map(|i| format!("\"k{}\":{i}", i % 20)).collect();
    let value = decode("to-come", format!("{{{}}}", many.join(",")).as_bytes());
    let Ok(Value::Map(pairs)) = value else {
        panic!("no map");
    };
    assert_eq!(pairs.len(), 20);
    assert!(pairs.contains(&(text("k3"), Value::Int(23))));
}

#[test]
fn names_that_mean_something_to_javascript_are_ordinary() {
    let json = json!({"__proto__": {"a": 1}, "constructor": 2, "toString": null, "": 3});
    assert_eq!(written("to-come", &read("to-come", &json)), json);
    let mut creds = baileys("creds");
    creds["__proto__"] = json!({"registered": true});
    creds[""] = json!(1);
    assert_eq!(
        written("creds", &read("creds", &creds))["__proto__"],
        json!({"registered": true})
    );
    assert_eq!(written("creds", &read("creds", &creds))[""], 1);
}
