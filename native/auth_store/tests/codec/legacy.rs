//! The dialect of baileys_ex before alpha.4.

use crate::support::*;
use auth_store::Value;
use serde_json::{Value as Json, json};

fn legacy(name: &str) -> Json {
    serde_json::from_slice(&file("baileys_ex-legacy", &format!("{name}.json"))).expect("JSON")
}

const NEVER: &str = "an_atom_that_is_in_no_table";

#[test]
fn atoms_and_modules_outside_the_schema_are_refused() {
    let mut creds = legacy("creds");
    creds["module"] = json!("Elixir.SomeOther");
    assert_eq!(refused("creds", &creds), "is a struct of another module");

    let mut creds = legacy("creds");
    creds["value"]["__atom_keys__"]
        .as_array_mut()
        .expect("names")
        .push(json!(NEVER));
    creds["value"][NEVER] = json!(1);
    assert_eq!(
        refused("creds", &creds),
        "names an atom that is not of the schema"
    );

    // An atom that another family knows is not known here.
    let mut creds = legacy("creds");
    creds["value"]["__atom_keys__"]
        .as_array_mut()
        .expect("names")
        .push(json!("chain_key"));
    creds["value"]["chain_key"] = json!(1);
    assert_eq!(
        refused("creds", &creds),
        "names an atom that is not of the schema"
    );

    let mut creds = legacy("creds");
    creds["value"]["processed_history_messages"][1]["key"]["addressing_mode"] =
        json!({"__type__": "atom", "value": NEVER});
    let message = refused("creds", &creds);
    assert!(
        message.ends_with("names an atom that is not of the schema"),
        "{message}"
    );
    assert!(!message.contains(NEVER));

    let mut creds = legacy("creds");
    creds["value"]["account"]["module"] = json!("Elixir.SomeOther");
    assert_eq!(
        refused("creds", &creds),
        "creds.account: is a struct of another module"
    );
}

#[test]
fn free_form_terms_keep_their_types_but_make_no_atoms() {
    let with = |data: Json| {
        let mut creds = legacy("creds");
        creds["value"]["additional_data"] = data;
        creds
    };
    let data = json!({
        "__atom_keys__": ["id"],
        "id": {"__type__": "tuple", "items": [1, {"__type__": "atom", "value": "sending"}]},
        "map": {"__type__": "map", "entries": [[7, "seven"], ["x", null]]},
        "bytes": {"type": "Buffer", "data": [1, 2]},
        "flag": {"__type__": "atom", "value": "true"},
    });
    let value = read("creds", &with(data));
    let expected = map([
        (
            atom("id"),
            Value::Tuple(vec![Value::Int(1), atom("sending")]),
        ),
        (
            text("map"),
            map([(Value::Int(7), text("seven")), (text("x"), Value::Nil)]),
        ),
        (text("bytes"), Value::Binary(vec![1, 2])),
        (text("flag"), Value::Bool(true)),
    ]);
    let found = value.get("additional_data").expect("additional data");
    assert_same(found, &expected, "additional data");
    // JSON cannot hold it any more, but ETF can.
    assert!(encode("creds", &value).is_err());

    for (data, problem) in [
        (json!({"__type__": "atom", "value": NEVER}), "names an atom"),
        (json!({"__atom_keys__": [NEVER], NEVER: 1}), "names an atom"),
        (
            json!([{"__type__": "map", "entries": [[{"__type__": "atom", "value": NEVER}, 1]]}]),
            "names an atom",
        ),
        (
            json!({"__type__": "struct", "module": "Elixir.Date", "value": {}}),
            "is a struct",
        ),
        (json!({"__type__": "pid", "value": 1}), "expected a map"),
        (json!({"__type__": "tuple", "items": 5}), "is a tuple tag"),
        (
            json!({"__type__": "map", "entries": [[1]]}),
            "a map entry is no pair",
        ),
        (
            json!({"__type__": "map", "entries": [[1, 2], [1, 3]]}),
            "two members",
        ),
        (
            json!({"__type__": "map", "entries": [[[1], 2]]}),
            "a map key that is",
        ),
        (json!({"__atom_keys__": 5}), "the names of the atom keys"),
    ] {
        let message = refused("creds", &with(data));
        assert!(message.starts_with("creds.additional_data"), "{message}");
        assert!(message.contains(problem), "{message}");
        assert!(!message.contains(NEVER));
    }
}

/// This dialect writes a printable binary as a string, even for keys and tokens.
#[test]
fn a_string_is_its_own_bytes() {
    let printable = "0123456789abcdef0123456789abcdef";
    let mut pre_key = legacy("pre-key-1");
    pre_key["private"] = json!(printable);
    let value = read("pre-key", &pre_key);
    assert!(value.get("private") == Some(&text(printable)));
    pre_key["private"] = json!("too short");
    assert_eq!(
        refused("pre-key", &pre_key),
        "pre-key.private: must be 32 bytes long, but is 9"
    );
    let mut token = legacy("tctoken-900000000002@lid");
    token["token"] = json!("AQID");
    assert!(read("tctoken", &token).get("token") == Some(&text("AQID")));
}

#[test]
fn text_that_is_not_printable_is_tagged() {
    let mut creds = legacy("creds");
    creds["value"]["me"]["name"] = json!({"type": "Buffer", "data": [97, 1, 98]});
    let mut value = read("creds", &creds);
    assert!(*member(&mut value, &["me", "name"]) == text("a\u{1}b"));
    creds["value"]["me"]["name"] = json!({"type": "Buffer", "data": [97, 255]});
    // These bytes are no text, so they are carried as bytes.
    let mut value = read("creds", &creds);
    assert!(*member(&mut value, &["me", "name"]) == Value::Binary(vec![97, 255]));
}

/// An identity that is no text cannot be carried, so it tells how text is read.
#[test]
fn tagged_text_is_text_in_the_dialects_of_baileys_ex_alone() {
    let tagged = json!({"type": "Buffer", "data": [97, 1, 98]});
    let mut creds = legacy("creds");
    creds["value"]["me"]["id"] = tagged.clone();
    let mut value = read("creds", &creds);
    assert!(*member(&mut value, &["me", "id"]) == text("a\u{1}b"));
    let mut creds = baileys("creds");
    creds["me"]["id"] = tagged;
    assert_eq!(
        refused("creds", &creds),
        "creds.me.id: expected a string, found an object"
    );
}

#[test]
fn a_tagged_atom_is_an_atom_in_this_dialect_alone() {
    let tagged = json!({"__type__": "atom", "value": "pn"});
    let mut creds = legacy("creds");
    creds["value"]["processed_history_messages"][1]["key"]["addressing_mode"] = tagged.clone();
    let mut value = read("creds", &creds);
    let place = ["processed_history_messages", "1", "key", "addressing_mode"];
    assert!(*member(&mut value, &place) == atom("pn"));
    let mut creds = baileys("creds");
    creds["processedHistoryMessages"][1]["key"]["addressingMode"] = tagged.clone();
    let again = written("creds", &read("creds", &creds));
    assert_eq!(
        again["processedHistoryMessages"][1]["key"]["addressingMode"],
        tagged
    );
}

#[test]
fn atoms_of_every_table_are_known() {
    for name in ["sender_signing_key", "cipher_key", "chain_type", "pn"] {
        let mut creds = legacy("creds");
        creds["value"]["additional_data"] = json!({"__type__": "atom", "value": name});
        let value = read("creds", &creds);
        assert!(value.get("additional_data") == Some(&atom(name)), "{name}");
    }
}

#[test]
fn the_number_of_a_skipped_key_is_not_negative() {
    let name = "session-15559990002.0";
    for (number, is_read) in [(0, true), (-1, false)] {
        let mut record = legacy(name);
        let entry = &mut record["value"]["sessions"]["entries"][0][1];
        let chains = entry["chains"].as_object_mut().expect("chains");
        let chain = chains.values_mut().next().expect("a chain");
        chain["message_keys"] = json!({
            "__type__": "map",
            "entries": [[number, {"type": "Buffer", "data": vec![7; 32]}]],
        });
        let read = decode("session", record.to_string().as_bytes());
        assert_eq!(read.is_ok(), is_read, "{number}");
    }
}

#[test]
fn a_state_may_be_an_untagged_map_of_its_fields() {
    let tagged = legacy("creds");
    assert_same(
        &read("creds", &tagged["value"]),
        &read("creds", &tagged),
        "a map of fields",
    );
    assert!(
        auth_store::codec::json::local_identity(tagged["value"].to_string().as_bytes()).is_ok()
    );
}

#[test]
fn a_session_keeps_counters_and_keys_as_they_are() {
    let name = "session-15559990002.0";
    let mut record = legacy(name);
    let entries = record["value"]["sessions"]["entries"]
        .as_array_mut()
        .expect("entries");
    let chains = entries[0][1]["chains"].as_object_mut().expect("chains");
    let chain = chains.values_mut().next().expect("a chain");
    chain["chain_key"]["counter"] = json!(41);
    assert!(
        auth_store::codec::etf::encode(&read("session", &record))
            .expect("ETF")
            .windows(2)
            .any(|bytes| bytes == [97, 41])
    );
    let twice = record["value"]["sessions"]["entries"][0].clone();
    record["value"]["sessions"]["entries"]
        .as_array_mut()
        .expect("entries")
        .push(twice);
    assert_eq!(
        refused("session", &record),
        "session.sessions: two members of a map have the same key"
    );
}

#[test]
fn app_state_keys_may_be_bare_bytes() {
    let json = json!({"type": "Buffer", "data": [1, 2, 255]});
    assert!(read("app-state-sync-key", &json) == Value::Binary(vec![1, 2, 255]));
}
