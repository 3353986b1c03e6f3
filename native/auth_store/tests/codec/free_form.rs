//! Values without a table.

use serde_json::json;

use auth_store::Value;

use crate::support::*;

const FAMILY: &str = "a-family-to-come";

#[test]
fn bytes_are_binaries_and_text_is_text() {
    let json = json!({
        "tagged": buffer("AQID"),
        "numbers": {"type": "Buffer", "data": [255, 0]},
        "array": {"0": 7, "1": 8},
        "text": "hello \u{1F98A}\n",
        "none": {},
        "more": {"type": "Buffer", "data": "AQID", "x": 1},
        "old": {"buffer": true, "data": "AQID"},
        "no": {"buffer": true, "data": "hello!"},
    });
    let expected = map([
        (text("tagged"), Value::Binary(vec![1, 2, 3])),
        (text("numbers"), Value::Binary(vec![255, 0])),
        (text("array"), Value::Binary(vec![7, 8])),
        (text("text"), text("hello \u{1F98A}\n")),
        (text("none"), map([])),
        (
            text("more"),
            map([
                (text("type"), text("Buffer")),
                (text("data"), text("AQID")),
                (text("x"), Value::Int(1)),
            ]),
        ),
        (text("old"), Value::Binary(vec![1, 2, 3])),
        (
            text("no"),
            map([
                (text("buffer"), Value::Bool(true)),
                (text("data"), text("hello!")),
            ]),
        ),
    ]);
    let value = read(FAMILY, &json);
    assert_same(&value, &expected, "free form");
    let json = written(FAMILY, &value);
    assert_eq!(json["tagged"], buffer("AQID"));
    assert_eq!(json["numbers"], buffer("/wA="));
    assert_eq!(json["text"], "hello \u{1F98A}\n");
}

#[test]
fn numbers_keep_their_type_and_every_bit() {
    let text = "[1,-1,0,18446744073709551615,-9223372036854775808,1.0,0.1,1e21,-0.0,5e-324,\
                1.7976931348623157e308,123456789012345678901234567890]";
    let value = decode(FAMILY, text.as_bytes()).expect("numbers");
    let Value::List(numbers) = &value else {
        panic!("no list");
    };
    let kinds: Vec<&str> = numbers.iter().map(Value::kind).collect();
    assert_eq!(kinds[..5], ["an integer"; 5]);
    assert_eq!(kinds[5..], ["a float"; 7]);
    let again = decode(FAMILY, &encode(FAMILY, &value).expect("JSON")).expect("JSON");
    assert_same(&again, &value, "numbers");
}

#[test]
fn what_json_cannot_hold_is_refused_with_its_place() {
    let nested = |value: Value| map([(text("a"), map([(text("b"), Value::List(vec![value]))]))]);
    let wrong = [
        (atom("alpha"), "a.b[]: JSON cannot hold an atom"),
        (Value::Tuple(vec![]), "a.b[]: JSON cannot hold a tuple"),
        (
            Value::Float(f64::NAN),
            "a.b[]: JSON cannot hold a float that is not finite",
        ),
        (
            Value::Int(1 << 64),
            "a.b[]: is an integer of more than 64 bits",
        ),
        (
            Value::Int(-(1 << 63) - 1),
            "a.b[]: is an integer of more than 64 bits",
        ),
        (
            map([(atom("key"), Value::Nil)]),
            "a.b[].key: JSON cannot hold an atom as a key; only strings",
        ),
        (
            map([(Value::Int(1), Value::Nil)]),
            "a.b[]: JSON cannot hold an integer as a key; only strings",
        ),
        (
            map([(atom("__struct__"), atom("Elixir.Date"))]),
            "a.b[]: JSON cannot hold a struct",
        ),
        (
            map([(Value::Binary(vec![0xff]), Value::Nil)]),
            "a.b[]: JSON cannot hold a key that is not UTF-8",
        ),
    ];
    for (value, problem) in wrong {
        let message = not_written(FAMILY, &nested(value.clone()));
        assert!(
            message.starts_with(&format!("{FAMILY}.{problem}")),
            "{message}"
        );
        let mut creds = native("creds");
        *member(&mut creds, &["additional_data"]) = nested(value);
        let message = not_written("creds", &creds);
        assert!(
            message.starts_with(&format!("creds.additional_data.{problem}")),
            "{message}"
        );
    }
}

#[test]
fn a_map_that_would_come_back_as_bytes_is_refused() {
    let misread = [
        map([(text("type"), text("Buffer")), (text("data"), text("AQ=="))]),
        map([
            (text("data"), text("no base64")),
            (text("type"), text("Buffer")),
        ]),
        map([
            (text("type"), text("Buffer")),
            (text("data"), Value::List(vec![Value::Int(1)])),
        ]),
        map([
            (text("buffer"), Value::Bool(true)),
            (text("data"), text("AQ==")),
        ]),
        map([
            (text("buffer"), Value::Bool(true)),
            (text("data"), Value::List(vec![Value::Int(1)])),
        ]),
        map([(text("0"), Value::Int(1))]),
        map([(text("7"), Value::Int(0)), (text("12"), Value::Int(255))]),
    ];
    for value in misread {
        let message = not_written(FAMILY, &Value::List(vec![value]));
        assert!(message.contains("cannot tell from bytes"), "{message}");
    }
    let harmless = [
        map([
            (text("type"), text("Buffer")),
            (text("data"), Value::Int(1)),
        ]),
        map([(text("type"), text("buffer")), (text("data"), text("AQ=="))]),
        map([(text("type"), text("Buffer"))]),
        map([
            (text("type"), text("Buffer")),
            (text("x"), Value::List(vec![Value::Int(1)])),
        ]),
        map([
            (text("buffer"), Value::Bool(true)),
            (text("data"), text("hi there")),
        ]),
        map([
            (text("buffer"), Value::Bool(true)),
            (text("data"), Value::List(vec![Value::Int(256)])),
        ]),
        map([(text("count"), Value::Int(1))]),
        map([(text("0"), Value::Int(256))]),
        map([(text("00"), Value::Int(1))]),
        map([(text("-1"), Value::Int(1))]),
        map([(text("4294967296"), Value::Int(1))]),
        map([]),
    ];
    for value in harmless {
        let value = Value::List(vec![value]);
        let json = encode(FAMILY, &value).expect("nothing is misread");
        assert_same(&decode(FAMILY, &json).expect("JSON"), &value, "a map");
    }
}

#[test]
fn a_map_that_would_mark_the_file_as_legacy_is_refused() {
    let marked = map([(text("__type__"), text("map"))]);
    assert!(not_written(FAMILY, &marked).contains("another format"));
    let inside = map([(text("a"), marked)]);
    assert!(encode(FAMILY, &inside).is_ok());
    let mut creds = native("creds");
    put(
        &mut creds,
        &[],
        atom("unknown_fields"),
        map([(text("__atom_keys__"), Value::List(vec![]))]),
    );
    assert!(not_written("creds", &creds).contains("another format"));
}

#[test]
fn a_key_that_may_be_data_is_not_shown() {
    let refused = |key: &str| {
        not_written(
            FAMILY,
            &map([(text("a"), map([(text(key), atom("alpha"))]))]),
        )
    };
    assert!(refused("note_2").starts_with("a-family-to-come.a.note_2: "));
    let long = "k".repeat(33);
    for key in [
        long.as_str(),
        "4nZ1xCfs0g8eKCRR",
        "15559990002@s.whatsapp.net",
        "a=",
        "",
        "é",
    ] {
        assert!(refused(key).starts_with("a-family-to-come.a[]: "), "{key}");
    }
}

#[test]
fn what_could_not_be_read_again_for_its_depth_is_refused() {
    let nest =
        |depth: usize, leaf: Value| (0..depth).fold(leaf, |inner, _| Value::List(vec![inner]));
    assert!(encode(FAMILY, &nest(90, Value::Nil)).is_ok());
    assert!(
        not_written(FAMILY, &nest(91, Value::Nil)).ends_with("is nested deeper than 90 levels")
    );
    // Bytes are an object in JSON, which adds a level.
    let bytes = Value::Binary(vec![0]);
    assert!(encode(FAMILY, &nest(89, bytes.clone())).is_ok());
    assert!(not_written(FAMILY, &nest(90, bytes)).ends_with("is nested deeper than 90 levels"));
}

/// Equal terms give equal files, whatever the order of their maps.
#[test]
fn the_order_of_maps_is_not_written() {
    let mut pairs: Vec<(Value, Value)> = ["b", "a", "c", "B"]
        .map(|name| (text(name), Value::Nil))
        .into();
    let one = encode(FAMILY, &Value::Map(pairs.clone())).expect("JSON");
    pairs.reverse();
    assert!(encode(FAMILY, &Value::Map(pairs)).expect("JSON") == one);
    assert!(one == br#"{"B":null,"a":null,"b":null,"c":null}"#);
}
