//! What is of another type than the tables say is carried as it was found, and so it is written: but
//! only if it would come back the same.

use auth_store::Value;

use crate::support::*;

fn platform(value: Value) -> Value {
    let mut creds = native("creds");
    *member(&mut creds, &["platform"]) = value;
    creds
}

#[test]
fn what_would_come_back_as_something_else_is_refused() {
    let mut creds = native("creds");
    let at = ["processed_history_messages", "0", "message_timestamp"];
    *member(&mut creds, &at) = text("5");
    assert!(not_written("creds", &creds).ends_with("expected an integer, found a binary"));

    let mut key = native("app-state-sync-key-AAAA__+Ab");
    let names = ["rawId", "currentIndex", "deviceIndexes"];
    let fingerprint = names.map(|name| (text(name), Value::Nil));
    put(&mut key, &[], atom("fingerprint"), map(fingerprint));
    assert_eq!(
        not_written("app-state-sync-key", &key),
        "app-state-sync-key.fingerprint.currentIndex: a string key takes the name of a known member"
    );

    let twice = map([(text("a"), Value::Int(1)), (text("a"), Value::Int(1))]);
    for value in [twice.clone(), Value::List(vec![twice])] {
        let message = not_written("creds", &platform(value));
        assert!(message.starts_with("creds.platform: expected a binary"));
    }
}

#[test]
fn the_order_of_maps_does_not_count() {
    let value = Value::List(vec![map([
        (text("b"), Value::Int(1)),
        (text("a"), Value::Int(2)),
    ])]);
    let json = written("creds", &platform(value));
    assert_eq!(json["platform"], serde_json::json!([{"a": 2, "b": 1}]));
}

#[test]
fn an_atom_that_is_none_of_the_known_ones_is_refused() {
    let mut creds = native("creds");
    let key = ["processed_history_messages", "0", "key"];
    put(&mut creds, &key, atom("addressing_mode"), atom("other"));
    assert!(not_written("creds", &creds).ends_with("is none of the known atoms"));
}
