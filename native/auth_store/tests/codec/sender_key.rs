//! Sender keys of groups, in the forms that versions of Baileys wrote.

use serde_json::{Value as Json, json};

use auth_store::Value;
use auth_store::codec::json::{self, DecodeContext, EncodeContext, SenderKeyForm};

use crate::support::*;

const GROUP: &str = "sender-key-120363041234567890@g.us--15559990002--0";

fn inside() -> Json {
    use base64::Engine;
    let json = baileys(GROUP);
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(json["data"].as_str().expect("base64"))
        .expect("base64");
    serde_json::from_slice(&bytes).expect("JSON inside")
}

fn wrapped(states: &Json) -> Json {
    use base64::Engine;
    buffer(&base64::engine::general_purpose::STANDARD.encode(states.to_string()))
}

fn context() -> DecodeContext<'static> {
    DecodeContext::default()
}

/// Turns bytes into plain base64, as 6.7.7 writes them.
fn plain(json: &mut Json) {
    use base64::Engine;
    if json.get("type").is_some() {
        let bytes: Vec<u8> = serde_json::from_value(json["data"].take()).expect("bytes");
        *json = json!(base64::engine::general_purpose::STANDARD.encode(bytes));
        return;
    }
    match json {
        Json::Object(object) => object.values_mut().for_each(plain),
        Json::Array(items) => items.iter_mut().for_each(plain),
        _ => {}
    }
}

#[test]
fn all_forms_on_disk_read_as_the_same_record() {
    let expected = native(GROUP);
    assert_same(&read("sender-key", &inside()), &expected, "the list itself");
    let mut old = inside();
    plain(&mut old);
    assert_same(&read("sender-key", &old), &expected, "plain base64");
    let numbers = inside().to_string().into_bytes();
    let tagged = json!({"type": "Buffer", "data": numbers});
    assert_same(&read("sender-key", &tagged), &expected, "a list of numbers");
}

#[test]
fn keys_that_an_old_baileys_lost_are_dropped_and_the_others_kept() {
    let mut old = inside();
    plain(&mut old);
    let keys = old[0]["senderMessageKeys"].as_array_mut().expect("keys");
    keys.insert(2, json!({}));
    keys.push(json!({}));
    assert_same(&read("sender-key", &old), &native(GROUP), "with lost keys");
    old[0]["senderMessageKeys"] = json!([{}]);
    let mut value = read("sender-key", &old);
    let keys = member(
        &mut value,
        &["sender_key_states", "0", "sender_message_keys"],
    );
    assert!(*keys == Value::List(vec![]));
}

/// Baileys handles these elements one by one.
#[test]
fn a_useless_element_costs_itself_and_is_counted() {
    let expected = native(GROUP);
    let mut states = inside();
    let skipped = states[0]["senderMessageKeys"].as_array_mut().expect("keys");
    for useless in [
        json!(null),
        json!({}),
        json!({"iteration": 5}),
        json!({"iteration": 6, "seed": {}}),
        json!({"iteration": 7, "seed": buffer("")}),
        json!({"iteration": 8, "seed": null}),
        json!("AQID"),
    ] {
        skipped.insert(1, useless);
    }
    let good = states[0].clone();
    let list = states.as_array_mut().expect("states");
    for useless in [
        json!(null),
        json!({}),
        json!([]),
        json!({"senderKeyId": null, "senderMessageKeys": []}),
    ] {
        list.insert(0, useless);
    }
    for member in ["senderKeyId", "senderChainKey", "senderSigningKey"] {
        let mut keyless = good.clone();
        keyless.as_object_mut().expect("a state").remove(member);
        keyless["senderMessageKeys"] = json!([]);
        list.push(keyless);
    }
    let file = states.to_string();
    let told = json::decode_telling("sender-key", file.as_bytes(), &context()).expect("a key");
    assert_same(&told.value, &expected, "the good state");
    assert_eq!(told.dropped, 7 + 4 + 3);
    assert_same(&read("sender-key", &wrapped(&states)), &expected, "inside");
}

/// A key of which only a part is missing is damaged, and not merely a useless element.
#[test]
fn a_damaged_element_is_refused_with_its_place() {
    let mut states = inside();
    states[0]["senderMessageKeys"][0]["seed"] = buffer("AQID");
    assert_eq!(
        refused("sender-key", &states),
        "sender-key.sender_key_states[].sender_message_keys[].seed: \
         must be 32 bytes long, but is 3"
    );
    let mut states = inside();
    states[0]["senderChainKey"]["seed"] = json!(5);
    assert!(refused("sender-key", &states).ends_with("expected bytes, found a number"));
}

/// protobuf.js leaves out empty lists.
#[test]
fn without_a_list_of_skipped_keys_there_are_none() {
    let mut states = inside();
    for state in states.as_array_mut().expect("states") {
        let state = state.as_object_mut().expect("a state");
        state.remove("senderMessageKeys");
    }
    for json in [states.clone(), wrapped(&states)] {
        let mut value = read("sender-key", &json);
        let keys = member(
            &mut value,
            &["sender_key_states", "0", "sender_message_keys"],
        );
        assert!(*keys == Value::List(vec![]));
        let again = decode("sender-key", &encode("sender-key", &value).expect("JSON"));
        assert_same(&again.expect("what was written"), &value, "saved again");
    }
}

#[test]
fn the_form_of_a_file_is_told_by_its_content() {
    let states = inside();
    let mut texts = states.clone();
    plain(&mut texts);
    let class = json!({"MAX_STATES": 5, "senderKeyStates": []});
    let explicit = json!({"sender_key_states": [{"x": buffer("AA==")}]});
    for (json, form) in [
        (wrapped(&states), Some(SenderKeyForm::Buffer)),
        (states, Some(SenderKeyForm::List)),
        (json!([]), Some(SenderKeyForm::List)),
        (class, Some(SenderKeyForm::List)),
        (texts, Some(SenderKeyForm::TextList)),
        (explicit, None),
        (json!({}), None),
        (json!(null), None),
    ] {
        let file = format!("\u{feff} {json}");
        assert_eq!(SenderKeyForm::of(file.as_bytes()), form, "{json}");
    }
}

#[test]
fn a_list_is_written_in_its_own_spelling() {
    let mut tagged = inside();
    let mut texts = tagged.clone();
    plain(&mut texts);
    for (json, form) in [
        (&mut tagged, SenderKeyForm::List),
        (&mut texts, SenderKeyForm::TextList),
    ] {
        let value = read("sender-key", json);
        let context = EncodeContext {
            sender_keys: form,
            ..EncodeContext::default()
        };
        let bytes = json::encode("sender-key", &value, &context).expect("JSON");
        assert_eq!(SenderKeyForm::of(&bytes), Some(form));
        assert_same(
            &decode("sender-key", &bytes).expect("a key"),
            &value,
            "again",
        );
        let again: Json = serde_json::from_slice(&bytes).expect("JSON");
        assert!(again[0]["senderSigningKey"].get("private").is_none());
        assert_eq!(
            again[0]["senderChainKey"]["seed"].is_string(),
            form == SenderKeyForm::TextList
        );
    }
}

#[test]
fn no_private_key_is_nil_however_it_is_spelled() {
    for private in [
        json!(null),
        json!(""),
        buffer(""),
        json!({"type": "Buffer", "data": []}),
    ] {
        let mut states = inside();
        states[0]["senderSigningKey"]["private"] = private.clone();
        assert_same(
            &read("sender-key", &states),
            &native(GROUP),
            &private.to_string(),
        );
    }
    let mut states = inside();
    let signing = states[0]["senderSigningKey"].as_object_mut().expect("keys");
    signing.remove("private");
    assert_same(&read("sender-key", &states), &native(GROUP), "absent");
    states[0]["senderSigningKey"]["private"] = buffer("AQID");
    assert_eq!(
        refused("sender-key", &states),
        "sender-key.sender_key_states[].sender_signing_key.private: \
         must be 32 bytes long, but is 3"
    );
}

/// `JSON.stringify` makes `{}` of an empty Uint8Array, and Baileys treats it as an empty list.
#[test]
fn empty_objects_are_no_private_key_and_no_skipped_keys() {
    let mut json = inside();
    for state in json.as_array_mut().expect("states") {
        state["senderSigningKey"]["private"] = json!({});
        state["senderMessageKeys"] = json!({});
    }
    let mut value = read("sender-key", &json);
    let Value::List(states) = member(&mut value, &["sender_key_states"]) else {
        panic!("no states");
    };
    for state in states {
        assert!(*member(state, &["sender_signing_key", "private"]) == Value::Nil);
        assert!(*member(state, &["sender_message_keys"]) == Value::List(vec![]));
    }
}

#[test]
fn a_record_of_no_states_is_whole() {
    let empty = map([
        (
            atom("__struct__"),
            atom("Elixir.BaileysEx.Signal.Group.SenderKeyRecord"),
        ),
        (atom("sender_key_states"), Value::List(vec![])),
    ]);
    for json in [
        json!([]),
        buffer("W10="),
        json!({"sender_key_states": []}),
        // Baileys 4.4 and 5.0 leave this if a first save was interrupted.
        json!({"MAX_STATES": 5, "senderKeyStates": []}),
        json!(null),
        json!({}),
        json!([null, {}]),
    ] {
        assert_same(&read("sender-key", &json), &empty, &json.to_string());
    }
    assert_eq!(written("sender-key", &empty), buffer("W10="));
}

#[test]
fn unknown_members_survive_in_every_struct() {
    let mut states = inside();
    states[0]["news"] = json!({"a": buffer("aGk=")});
    states[0]["senderChainKey"]["news"] = json!(1);
    states[0]["senderMessageKeys"][3]["news"] = json!([null]);
    states[0]["senderSigningKey"]["news"] = json!("x");
    let value = read("sender-key", &states);
    let again = decode("sender-key", &encode("sender-key", &value).expect("JSON"));
    assert_same(&again.expect("what was written"), &value, "a sender key");
    let mut again = value;
    let news = member(&mut again, &["sender_key_states", "0", "news", "a", "data"]);
    assert!(*news == text("aGk="));
}

#[test]
fn what_is_not_on_disk_must_be_what_the_seed_gives() {
    let path = ["sender_key_states", "0", "sender_message_keys", "2"];
    for name in ["iv", "cipher_key"] {
        let mut value = native(GROUP);
        let key = member(&mut value, &path);
        if let Value::Binary(bytes) = member(key, &[name]) {
            bytes[0] ^= 1;
        }
        assert_eq!(
            not_written("sender-key", &value),
            "sender-key.sender_key_states[].sender_message_keys[]: \
             has an iv or cipher_key that is not its seed's"
        );
    }
}

#[test]
fn a_record_has_no_place_for_other_members() {
    let mut value = native(GROUP);
    put(&mut value, &[], text("news"), Value::Int(1));
    assert!(not_written("sender-key", &value).contains("no place in the file"));
    let explicit = json!({"sender_key_states": [], "news": 1});
    assert!(refused("sender-key", &explicit).contains("no place"));
}

#[test]
fn what_is_inside_the_bytes_is_checked_too() {
    assert_eq!(refused("sender-key", &buffer("")), "is empty");
    assert_eq!(
        refused("sender-key", &buffer("W3s=")),
        "is cut off: the JSON ends too early"
    );
    assert!(
        refused("sender-key", &buffer("eyJhIjoxfQ=="))
            .ends_with("expected a list, found an object")
    );
    assert!(refused("sender-key", &json!({"a": 1})).starts_with("expected bytes"));
    assert!(refused("sender-key", &json!(5)).starts_with("expected bytes"));
}

#[test]
fn a_member_without_a_name_is_an_unknown_one() {
    let mut states = inside();
    states[0]["senderMessageKeys"][0][""] = json!("AQID");
    let mut value = read("sender-key", &states);
    let path = ["sender_key_states", "0", "sender_message_keys", "0"];
    let iv = member(&mut native(GROUP), &path).get("iv").cloned();
    let key = member(&mut value, &path);
    assert!(key.get("iv").cloned() == iv);
    assert!(*member(key, &[""]) == text("AQID"));
}
