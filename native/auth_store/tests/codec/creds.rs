//! Credentials: defaults, required members, what survives, and what is refused.

use serde_json::{Value as Json, json};

use auth_store::Value;
use auth_store::codec::json;

use crate::support::*;

const REQUIRED: [(&str, &str); 5] = [
    ("noiseKey", "noise_key"),
    ("signedIdentityKey", "signed_identity_key"),
    ("signedPreKey", "signed_pre_key"),
    ("registrationId", "registration_id"),
    ("advSecretKey", "adv_secret_key"),
];

fn least() -> Json {
    let whole = baileys("creds");
    let mut least = serde_json::Map::new();
    for (name, _) in REQUIRED {
        least.insert(name.to_owned(), whole[name].clone());
    }
    Json::Object(least)
}

#[test]
fn absent_members_get_the_defaults_of_the_struct() {
    let value = read("creds", &least());
    let mut expected = native("creds");
    let defaults = [
        ("pairing_ephemeral_key", Value::Nil),
        ("account", Value::Nil),
        ("me", Value::Nil),
        ("signal_identities", Value::List(vec![])),
        ("platform", Value::Nil),
        ("last_account_sync_timestamp", Value::Nil),
        ("processed_history_messages", Value::List(vec![])),
        ("account_sync_counter", Value::Int(0)),
        (
            "account_settings",
            map([
                (atom("unarchive_chats"), Value::Bool(false)),
                (atom("default_disappearing_mode"), Value::Nil),
            ]),
        ),
        ("registered", Value::Bool(false)),
        ("pairing_code", Value::Nil),
        ("last_prop_hash", Value::Nil),
        ("routing_info", Value::Nil),
        ("my_app_state_key_id", Value::Nil),
        ("additional_data", Value::Nil),
        ("first_unuploaded_pre_key_id", Value::Int(1)),
        ("next_pre_key_id", Value::Int(1)),
        ("unknown_fields", map([])),
    ];
    for (name, default) in defaults {
        put(&mut expected, &[], atom(name), default);
    }
    assert_same(&value, &expected, "the least creds");
}

#[test]
fn null_is_as_good_as_absent_but_for_required_members() {
    let mut json = baileys("creds");
    for (name, member) in json.as_object_mut().expect("an object") {
        if !REQUIRED.iter().any(|(required, _)| required == name) {
            *member = Json::Null;
        }
    }
    json.as_object_mut()
        .expect("an object")
        .remove("someFieldFromTheFuture");
    assert_same(
        &read("creds", &json),
        &read("creds", &least()),
        "creds of nulls",
    );
}

/// The members that Baileys' `initAuthCreds` creates must be there.
#[test]
fn written_creds_have_what_baileys_counts_on_and_no_nulls() {
    let json = written("creds", &read("creds", &least()));
    let mut expected = least();
    for (name, default) in [
        ("processedHistoryMessages", json!([])),
        ("nextPreKeyId", json!(1)),
        ("firstUnuploadedPreKeyId", json!(1)),
        ("accountSyncCounter", json!(0)),
        ("accountSettings", json!({"unarchiveChats": false})),
        ("registered", json!(false)),
    ] {
        expected[name] = default;
    }
    assert!(json == expected);
}

#[test]
fn the_identity_is_never_made_up() {
    for (name, key) in REQUIRED {
        let mut json = baileys("creds");
        json.as_object_mut().expect("an object").remove(name);
        assert_eq!(refused("creds", &json), format!("creds.{key}: is missing"));
        json[name] = Json::Null;
        assert!(refused("creds", &json).starts_with(&format!("creds.{key}: ")));
        json[name] = json!([]);
        assert!(refused("creds", &json).starts_with(&format!("creds.{key}: ")));
    }
    let mut explicit: Json =
        serde_json::from_slice(&file("baileys_ex-json", "creds.json")).expect("JSON");
    for (_, key) in REQUIRED {
        let whole = explicit[key].take();
        assert!(refused("creds", &explicit).starts_with(&format!("creds.{key}: ")));
        explicit[key] = whole;
    }
}

#[test]
fn creds_that_are_not_whole_are_refused_wherever_they_end() {
    for directory in ["baileys-7.0.0-rc14", "baileys_ex-json", "baileys_ex-legacy"] {
        let bytes = file(directory, "creds.json");
        for end in 0..bytes.len() {
            let problem = decode("creds", &bytes[..end]).expect_err("cut off");
            assert_eq!(problem.member, "");
            assert!(json::local_identity(&bytes[..end]).is_err());
        }
    }
    assert_eq!(decode("creds", b"").expect_err("empty").problem, "is empty");
    assert_eq!(
        decode("creds", b"{\"noiseKey\":").expect_err("cut").problem,
        "is cut off: the JSON ends too early"
    );
    for json in [
        json!(null),
        json!([]),
        json!("creds"),
        json!(1),
        json!(true),
    ] {
        assert!(refused("creds", &json).starts_with("expected an object"));
        let bytes = json.to_string();
        let problem = json::local_identity(bytes.as_bytes()).expect_err("no creds");
        assert!(problem.problem.starts_with("expected an object"));
    }
    assert_eq!(refused("creds", &json!({})), "creds.noise_key: is missing");
    // A power cut may leave this if the size of a file was on disk and its data was not.
    let problem = decode("creds", &[0; 4096]).expect_err("zeros");
    assert_eq!(
        problem.problem,
        "is filled with zero bytes: its content never reached the disk"
    );
}

#[test]
fn wrong_types_and_lengths_are_refused_and_named() {
    let wrong = [
        (
            "registrationId",
            json!("0253"),
            "registration_id: expected an integer",
        ),
        (
            "registrationId",
            json!(1.5),
            "registration_id: expected an integer",
        ),
        (
            "advSecretKey",
            json!(5),
            "adv_secret_key: expected a string",
        ),
        ("me", json!("me"), "me: expected an object"),
        ("me", json!({"id": 1}), "me.id: expected a string"),
        (
            "account",
            json!({"details": 5}),
            "account.details: expected bytes",
        ),
        (
            "signalIdentities",
            json!([{"identifier": 5, "identifierKey": "AQID"}]),
            "signal_identities[].identifier_key: must be 32 or 33 bytes long, but is 3",
        ),
        (
            "nextPreKeyId",
            json!("many"),
            "next_pre_key_id: expected an integer",
        ),
    ];
    for (name, json, problem) in wrong {
        let mut creds = baileys("creds");
        creds[name] = json;
        let message = refused("creds", &creds);
        assert!(
            message.starts_with(&format!("creds.{problem}")),
            "{name}: {message}"
        );
    }
    let mut creds = baileys("creds");
    creds["signedPreKey"]["signature"] = buffer(KEY);
    assert_eq!(
        refused("creds", &creds),
        "creds.signed_pre_key.signature: must be 64 bytes long, but is 32"
    );
}

/// Baileys reads each of these.
#[test]
fn an_id_may_be_0_and_not_less() {
    let mut creds = baileys("creds");
    creds["registrationId"] = json!(0);
    let mut value = read("creds", &creds);
    assert_eq!(written("creds", &value)["registrationId"], 0);
    let problem = "creds.registration_id: is negative";
    *member(&mut value, &["registration_id"]) = Value::Int(-1);
    assert_eq!(not_written("creds", &value), problem);
    creds["registrationId"] = json!(-1);
    assert_eq!(refused("creds", &creds), problem);
}

#[test]
fn what_cryptography_does_not_need_is_carried_as_it_was_found() {
    let strange = [
        json!(12_345_678),
        json!("text"),
        json!(1.5),
        json!(true),
        json!([]),
        json!([{"x": null}, "y", 7]),
        json!({"x": [1, 2, {"type": "Buffer", "data": "AQID"}]}),
        json!({"type": "Buffer", "data": "?"}),
    ];
    let members: [&[&str]; 14] = [
        &["pairingCode"],
        &["lastPropHash"],
        &["platform"],
        &["registered"],
        &["myAppStateKeyId"],
        &["lastAccountSyncTimestamp"],
        &["accountSettings"],
        &["accountSettings", "unarchiveChats"],
        &["accountSyncCounter"],
        &["processedHistoryMessages"],
        &["me", "name"],
        &["me", "lid"],
        &["additionalData"],
        &["additionalData", "inside"],
    ];
    for path in members {
        for value in &strange {
            let mut json = baileys("creds");
            let mut place = &mut json;
            for name in path {
                place = &mut place[*name];
            }
            *place = value.clone();
            // Settings get their defaults.
            let is_usual = match path[0] {
                "accountSettings" => path.len() == 1 && value.is_object(),
                _ => false,
            };
            if is_usual {
                continue;
            }
            let read = read("creds", &json);
            let again = written("creds", &read);
            assert_eq!(again[path[0]], json[path[0]], "{path:?}: {value}");
            json::check_known("creds", &read).expect("what was read is in order");
        }
    }
}

#[test]
fn integers_may_be_decimal_text() {
    let mut json = baileys("creds");
    for name in [
        "registrationId",
        "nextPreKeyId",
        "firstUnuploadedPreKeyId",
        "accountSyncCounter",
    ] {
        let number = json[name].clone();
        json[name] = json!(number.to_string());
        let value = read("creds", &json);
        json[name] = number;
        assert_eq!(written("creds", &value)[name], json[name], "{name}");
    }
}

#[test]
fn a_byte_order_mark_in_front_is_passed_over() {
    let json = [b"\xEF\xBB\xBF", baileys("creds").to_string().as_bytes()].concat();
    assert_same(
        &decode("creds", &json).expect("with a mark"),
        &read("creds", &baileys("creds")),
        "creds with a mark",
    );
    assert_eq!(json::local_identity(&json).expect("with a mark").len(), 33);
}

#[test]
fn unknown_members_survive_wherever_they_are() {
    let mut json = baileys("creds");
    // These bytes would be text, but an unknown member is kept as JSON has it.
    let news = json!({"x": [1, 2.5, null, "t"], "b": buffer("aGVsbG8="), "u": {"0": 1}});
    json["news"] = news.clone();
    json["me"]["verifiedName"] = news.clone();
    json["me"]["imgUrl"] = json!("https://example.org");
    json["account"]["news"] = news.clone();
    json["signedPreKey"]["timestampS"] = json!(1_710_000_000);
    json["signedPreKey"]["news"] = news.clone();
    json["noiseKey"]["news"] = news.clone();
    json["accountSettings"]["news"] = news.clone();
    json["signalIdentities"][0]["identifier"]["news"] = news.clone();
    json["processedHistoryMessages"] = json!([
        {"key": {"id": "1", "isViewOnce": true, "news": news}, "messageTimestamp": 5}
    ]);
    let value = read("creds", &json);
    assert!(value.get("unknown_fields").is_some_and(|fields| matches!(
        fields,
        Value::Map(pairs) if pairs.len() == 2 && pairs.iter().any(|(k, _)| *k == text("news"))
    )));
    assert!(
        value
            .get("signed_pre_key")
            .and_then(|key| key.get("timestamp_s"))
            == Some(&Value::Int(1_710_000_000))
    );
    assert!(written("creds", &value) == json);
}

#[test]
fn a_member_cannot_be_written_twice() {
    let mut value = native("creds");
    put(
        &mut value,
        &[],
        atom("unknown_fields"),
        map([(text("registered"), Value::Bool(false))]),
    );
    assert_eq!(
        not_written("creds", &value),
        "creds.registered: a string key takes the name of a known member"
    );
}

#[test]
fn what_an_older_version_kept_as_unknown_is_written_as_the_member_that_it_is() {
    let mut value = native("creds");
    remove(&mut value, &[], "last_prop_hash");
    remove(&mut value, &[], "noise_key");
    let kept = map([
        (text("lastPropHash"), text("hash")),
        (text("noiseKey"), baileys_verbatim("noiseKey")),
    ]);
    put(&mut value, &[], atom("unknown_fields"), kept);
    assert_eq!(
        not_written("creds", &value),
        "creds.noise_key: is missing",
        "what makes up the identity is never taken from there"
    );

    put(
        &mut value,
        &[],
        atom("noise_key"),
        member(&mut native("creds"), &["noise_key"]).clone(),
    );
    remove(&mut value, &["unknown_fields"], "noiseKey");
    let json = written("creds", &value);
    assert_eq!(json["lastPropHash"], json!("hash"));
    let read = read("creds", &json);
    assert!(read.get("last_prop_hash") == Some(&text("hash")));
    assert!(read.get("unknown_fields") == Some(&map([])));
    let file = encode("creds", &value).expect("creds");
    let again = encode("creds", &read).expect("creds");
    assert!(file == again, "and in its place");
}

/// A member of the fixture as an older version would have kept it.
fn baileys_verbatim(name: &str) -> Value {
    let mut creds = baileys("creds");
    creds["member_to_come"] = creds[name].take();
    creds[name] = baileys("creds")[name].clone();
    let mut value = read("creds", &creds);
    member(&mut value, &["unknown_fields", "member_to_come"]).clone()
}

#[test]
fn what_is_not_there_is_written_as_its_default() {
    let mut value = native("creds");
    remove(&mut value, &[], "account_settings");
    for unknown in [map([]), map([(text("x"), Value::Int(1))])] {
        put(&mut value, &[], atom("unknown_fields"), unknown);
        assert_eq!(
            written("creds", &value)["accountSettings"],
            json!({"unarchiveChats": false})
        );
    }
}

#[test]
fn a_member_of_a_later_version_of_the_struct_is_written_by_its_name() {
    let mut value = native("creds");
    put(&mut value, &[], atom("member_to_come"), Value::Int(5));
    assert_eq!(written("creds", &value)["member_to_come"], 5);
    // What is there by name counts, and is written once.
    let unknown = map([(text("member_to_come"), Value::Int(6))]);
    put(&mut value, &[], atom("unknown_fields"), unknown);
    let file = String::from_utf8(encode("creds", &value).expect("creds")).expect("text");
    assert_eq!(file.matches("\"member_to_come\":").count(), 1);
    assert!(file.contains("\"member_to_come\":6"));
}

#[test]
fn what_json_cannot_hold_is_refused_with_its_place_among_the_unknown() {
    let mut value = native("creds");
    let unknown = map([(text("x"), Value::Tuple(vec![]))]);
    put(&mut value, &[], atom("unknown_fields"), unknown);
    assert_eq!(
        not_written("creds", &value),
        "creds.unknown_fields.x: JSON cannot hold a tuple"
    );
}

#[test]
fn a_state_without_unknown_fields_can_be_written() {
    let value = native("creds");
    assert!(value.get("unknown_fields").is_none());
    let json = written("creds", &value);
    let mut original = baileys("creds");
    original
        .as_object_mut()
        .expect("an object")
        .remove("someFieldFromTheFuture");
    assert!(json["me"] == original["me"]);
    assert!(json["account"] == original["account"]);
}

/// An event of baileys_ex brings the mode with atoms. Baileys knows only its own names.
#[test]
fn the_disappearing_mode_is_written_for_baileys_whatever_its_members_are_called() {
    let mode = ["account_settings", "default_disappearing_mode"];
    let baileys_own = json!({"ephemeralExpiration": 86400, "ephemeralSettingTimestamp": 7, "x": 1});
    let expected = map([
        (Value::text("ephemeralExpiration"), Value::Int(86400)),
        (Value::text("ephemeralSettingTimestamp"), Value::Int(7)),
        (Value::text("x"), Value::Int(1)),
    ]);
    for name in [atom as fn(&str) -> Value, |name: &str| Value::text(name)] {
        let mut creds = native("creds");
        *member(&mut creds, &mode) = map([
            (name("ephemeral_expiration"), Value::Int(86400)),
            (Value::text("ephemeralSettingTimestamp"), Value::Int(6)),
            (name("ephemeral_setting_timestamp"), Value::Int(7)),
            (Value::text("x"), Value::Int(1)),
        ]);
        let json = written("creds", &creds);
        assert_eq!(
            json["accountSettings"]["defaultDisappearingMode"],
            baileys_own
        );
        let once = "\"ephemeralSettingTimestamp\":";
        let file = String::from_utf8(encode("creds", &creds).expect("creds")).expect("text");
        assert_eq!(file.matches(once).count(), 1, "{file}");
        assert_same(
            member(&mut read("creds", &json), &mode),
            &expected,
            "the mode",
        );
    }

    let explicit = json!({"ephemeral_expiration": 86400, "ephemeral_setting_timestamp": 7, "x": 1});
    let legacy = json!({
        "__atom_keys__": ["ephemeral_expiration", "ephemeral_setting_timestamp"],
        "ephemeral_expiration": 86400, "ephemeral_setting_timestamp": 7, "x": 1,
    });
    for (directory, mode_json) in [("baileys_ex-json", explicit), ("baileys_ex-legacy", legacy)] {
        let mut creds: Json = serde_json::from_slice(&file(directory, "creds.json")).expect("JSON");
        let state = match directory {
            "baileys_ex-legacy" => &mut creds["value"],
            _ => &mut creds,
        };
        state["account_settings"]["default_disappearing_mode"] = mode_json;
        assert_same(
            member(&mut read("creds", &creds), &mode),
            &expected,
            directory,
        );
    }
}

#[test]
fn no_error_shows_a_value() {
    let marked = "MARKED-SECRET";
    for directory in ["baileys-7.0.0-rc14", "baileys_ex-json", "baileys_ex-legacy"] {
        let whole: Json = serde_json::from_slice(&file(directory, "creds.json")).expect("JSON");
        let mut leaves = 0;
        for new in [json!(marked), json!({marked: marked}), json!([marked])] {
            for place in 0.. {
                let mut json = whole.clone();
                let Some(leaf) = leaf(&mut json, &mut { place }) else {
                    break;
                };
                *leaf = new.clone();
                leaves += 1;
                if let Err(problem) = decode("creds", json.to_string().as_bytes()) {
                    assert!(!problem.to_string().contains(marked), "{problem}");
                    assert!(!format!("{problem:?}").contains(marked));
                }
            }
        }
        assert!(leaves > 100);
    }
}

fn leaf<'j>(json: &'j mut Json, n: &mut usize) -> Option<&'j mut Json> {
    match json {
        Json::Object(object) => object.values_mut().find_map(|json| leaf(json, n)),
        Json::Array(items) => items.iter_mut().find_map(|json| leaf(json, n)),
        other if *n == 0 => Some(other),
        _ => {
            *n -= 1;
            None
        }
    }
}

/// Baileys 7.0.0-rc.1 to rc.5 wrote Buffers; every other version writes base64.
#[test]
fn the_bytes_of_the_account_may_be_buffers() {
    let original = baileys("creds");
    let mut json = original.clone();
    for member in json["account"]
        .as_object_mut()
        .expect("members")
        .values_mut()
    {
        *member = buffer(member.as_str().expect("base64"));
    }
    assert!(json["account"] != original["account"]);
    assert_same(&read("creds", &json), &read("creds", &original), "Buffers");
    assert_eq!(
        written("creds", &read("creds", &json))["account"],
        original["account"]
    );
}
