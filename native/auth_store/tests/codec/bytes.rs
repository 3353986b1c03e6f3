//! The spellings of bytes.

use auth_store::Value;
use auth_store::codec::json::{self, BytesForm, EncodeContext};
use serde_json::{Value as Json, json};

use crate::support::*;

fn key() -> Vec<u8> {
    (100..132).collect()
}

fn pre_key(private: Json) -> Json {
    json!({"private": private, "public": buffer(KEY)})
}

#[test]
fn every_spelling_reads_as_the_same_bytes() {
    let numbers = json!(key());
    let indexed: serde_json::Map<String, Json> = key()
        .iter()
        .enumerate()
        .map(|(i, byte)| (i.to_string(), json!(byte)))
        .collect();
    let spellings = [
        json!({"type": "Buffer", "data": "ZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXp7fH1+f4CBgoM="}),
        json!({"data": "ZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXp7fH1+f4CBgoM=", "type": "Buffer"}),
        json!({"type": "Buffer", "data": numbers}),
        json!({"buffer": true, "data": numbers}),
        json!({"buffer": true, "data": "ZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXp7fH1+f4CBgoM="}),
        json!("ZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXp7fH1+f4CBgoM="),
        json!("ZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXp7fH1+f4CBgoM"),
        json!("ZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXp7fH1-f4CBgoM="),
        json!("ZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXp7fH1-f4CBgoM"),
        Json::Object(indexed),
    ];
    for spelling in spellings {
        let value = read("pre-key", &pre_key(spelling.clone()));
        let expected = Value::Binary(key());
        assert!(value.get("private") == Some(&expected), "{spelling}");
    }
}

/// The bytes of a `Uint8Array` are in the order of their indices, whatever the order in the text.
#[test]
fn indexed_bytes_are_in_the_order_of_their_indices() {
    let reversed: Vec<String> = (0..32).rev().map(|i| format!("\"{i}\":{i}")).collect();
    let json = format!(
        r#"{{"public":{},"private":{{{}}}}}"#,
        buffer(KEY),
        reversed.join(",")
    );
    let value = decode("pre-key", json.as_bytes()).expect("a pre-key");
    assert!(value.get("private") == Some(&Value::Binary((0..32).collect())));
}

#[test]
fn anything_else_is_refused_and_named() {
    let wrong = [
        (json!(null), "found null"),
        (json!(7), "found a number"),
        (json!([1, 2]), "must be 32 bytes long, but is 2"),
        (json!([1, 256]), "is not a list of bytes"),
        (json!({"data": "?"}), "is not base64"),
        (json!({"x": KEY}), "found another object"),
        (json!({"x": key()}), "found another object"),
        (
            json!({"buffer": false, "data": KEY}),
            "found another object",
        ),
        (json!({"x": true, "data": KEY}), "found another object"),
        (json!({"$binary": "AQID", "x": 1}), "found another object"),
        (json!("0102"), "must be 32 bytes long, but is 3"),
        // 32 bytes in hexadecimal, and half of one more.
        (json!("0".repeat(65)), "is not base64"),
        (json!({}), "found another object"),
        (json!("not base64!"), "is not base64"),
        (buffer("IPSM====RzJl"), "is not base64"),
        (
            json!({"type": "Buffer", "data": [1, 256]}),
            "is not a list of bytes",
        ),
        (
            json!({"type": "Buffer", "data": [1, -1]}),
            "is not a list of bytes",
        ),
        (json!({"type": "Buffer", "data": 1}), "found another object"),
        (json!({"type": "Buffer"}), "found another object"),
        (json!({"0": 1, "1": 256}), "found another object"),
        (json!({"0": 1, "x": 2}), "found another object"),
        (buffer("AQID"), "must be 32 bytes long, but is 3"),
        (buffer(""), "must be 32 bytes long, but is 0"),
    ];
    for (json, problem) in wrong {
        let message = refused("pre-key", &pre_key(json.clone()));
        assert!(
            message.starts_with("pre-key.private: "),
            "{json}: {message}"
        );
        assert!(message.ends_with(problem), "{json}: {message}");
    }
    let message = refused(
        "pre-key",
        &json!({"private": buffer(KEY), "public": buffer("AQID")}),
    );
    assert_eq!(
        message,
        "pre-key.public: must be 32 or 33 bytes long, but is 3"
    );
}

/// As `Buffer.toJSON` of Node has them, for a store that was found so.
#[test]
fn bytes_are_written_as_lists_where_that_is_the_form() {
    let context = EncodeContext {
        bytes: BytesForm::List,
        ..Default::default()
    };
    let value = read("tctoken", &json!({"token": buffer("AQID"), "x": 1}));
    let file = json::encode("tctoken", &value, &context).expect("a token");
    assert_eq!(
        String::from_utf8_lossy(&file),
        r#"{"token":{"type":"Buffer","data":[1,2,3]},"x":1}"#
    );
    assert_same(&decode("tctoken", &file).expect("a token"), &value, "again");
}

#[test]
fn spellings_of_other_stores_are_read_where_bytes_are_expected() {
    let bytes: Vec<u8> = (0..32).collect();
    let base64 = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    for spelling in [
        json!(bytes),
        json!({"data": base64}),
        json!({"data": bytes}),
        json!({"$binary": {"base64": base64, "subType": "00"}}),
        json!({"$binary": base64, "$type": "00"}),
        json!(hex),
        json!(hex.to_uppercase()),
    ] {
        let value = read("pre-key", &pre_key(spelling.clone()));
        assert!(
            value.get("private") == Some(&Value::Binary(bytes.clone())),
            "{spelling}"
        );
        assert_eq!(written("pre-key", &value)["private"], buffer(base64));
    }
    for one in [
        json!(bytes),
        json!({"$binary": {"base64": base64, "subType": "00"}}),
    ] {
        assert!(
            read("identity-key", &one) == Value::Binary(bytes.clone()),
            "{one}"
        );
    }
    assert_eq!(
        refused("identity-key", &json!([1, "a"])),
        "expected an object, found a list"
    );
}
