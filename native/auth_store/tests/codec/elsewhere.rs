//! JSON that is kept elsewhere than in files: rows, lines of dumps, documents.

use std::borrow::Cow;

use auth_store::codec::json::{Kept, KeptValue, kept, unwrapped};

fn account(text: &str) -> Vec<(String, Option<String>, String)> {
    let Kept::Account(values) = kept(text.as_bytes()).expect("an account") else {
        panic!("expected an account");
    };
    let text = |value: Vec<u8>| String::from_utf8(value).expect("text");
    values
        .into_iter()
        .map(|KeptValue { family, id, value }| (family, id, text(value)))
        .collect()
}

fn row(text: &str) -> (String, String) {
    let Kept::Row { name, value } = kept(text.as_bytes()).expect("a row") else {
        panic!("expected a row");
    };
    (name, String::from_utf8(value).expect("text"))
}

fn refused(text: &[u8]) -> String {
    kept(text).expect_err("no row").problem
}

#[test]
fn a_line_is_a_name_and_a_value_that_stays_as_it_is() {
    for line in [
        r#"{"name":"creds","value":{"a": 1.50}}"#,
        r#"{"value":{"a": 1.50},"id":7,"name":"creds"}"#,
        r#"["creds",{"a": 1.50}]"#,
        "\u{feff} [ \"cr\\u0065ds\" , {\"a\": 1.50} ]\n",
        r#"{"name":"x","name":"creds","value":{"a": 1.50}}"#,
    ] {
        assert_eq!(row(line), ("creds".to_owned(), r#"{"a": 1.50}"#.to_owned()));
    }
    assert_eq!(row(r#"["\ud800","v"]"#).0, "\u{fffd}");
}

#[test]
fn a_document_has_the_families_of_baileys_or_of_its_single_file() {
    let expected = [
        ("creds".to_owned(), None, "{}".to_owned()),
        ("pre-key".to_owned(), Some("1".to_owned()), "{}".to_owned()),
        (
            "of-a-fork".to_owned(),
            Some("2".to_owned()),
            "[]".to_owned(),
        ),
    ];
    for text in [
        r#"{"creds":{},"keys":{"pre-key":{"1":{}},"of-a-fork":{"2":[]}}}"#,
        r#"{"keys":{"preKeys":{"1":{}},"of-a-fork":"{\"2\":[]}"},"creds":{},"more":1}"#,
        r#""{\"creds\":{},\"keys\":{\"preKeys\":{\"1\":{}},\"of-a-fork\":{\"2\":[]}}}""#,
    ] {
        let mut found = account(text);
        found.sort_by(|one, other| one.2.cmp(&other.2).reverse().then(one.0.cmp(&other.0)));
        assert_eq!(found, expected);
    }
    assert_eq!(account(r#"{"creds":null}"#).len(), 1);
    assert_eq!(account(r#"{"keys":null}"#), []);
    assert_eq!(account(r#"{"keys":{"session":null}}"#), []);
}

#[test]
fn what_is_neither_is_refused_without_showing_any_of_it() {
    for text in [
        "",
        "7",
        "null",
        "\"a secret\"",
        "[]",
        "[1,2]",
        r#"["a secret"]"#,
        r#"["a",1,2]"#,
        r#"{"a secret":1}"#,
        r#"{"name":"a"}"#,
        r#"{"name":1,"value":2}"#,
        r#"{"keys":["a secret"]}"#,
        r#"{"keys":{"session":["a secret"]}}"#,
        r#"{"keys":{"a secret":7}}"#,
        r#"["a",1"#,
        r#"["a",1] 7"#,
    ] {
        assert!(!refused(text.as_bytes()).contains("secret"), "{text}");
    }
    refused(b"[\"a\",\"\xff\"]");
}

#[test]
fn deep_nesting_costs_no_stack() {
    let deep = [vec![b'['; 1_000_000], vec![b']'; 1_000_000]].concat();
    let line = [&b"[\"pre-key-1\","[..], &deep, b"]"].concat();
    assert!(matches!(kept(&line), Ok(Kept::Row { .. })));
    refused(&deep[..1_000_000]);
    let document = [&b"{\"keys\":{\"session\":{\"1\":"[..], &deep, b"}}}"].concat();
    assert!(matches!(kept(&document), Ok(Kept::Account(_))));
}

#[test]
fn text_within_text_is_unwrapped_and_text_that_is_the_value_is_not() {
    for (family, value, expected) in [
        ("session", r#"{"a":1}"#, r#"{"a":1}"#),
        ("session", r#""{\"a\":1}""#, r#"{"a":1}"#),
        ("session", r#""\"{\\\"a\\\":1}\"""#, r#"{"a":1}"#),
        ("identity-key", r#""BQ==""#, r#""BQ==""#),
        ("lid-mapping", r#""123""#, r#""123""#),
        ("lid-mapping", r#""\"123\"""#, r#""123""#),
        ("lid-mapping", "123", r#""123""#),
        ("lid-mapping", " 123@lid ", r#""123@lid""#),
        ("lid-mapping", "null", "null"),
        ("lid-mapping", r#""null""#, "null"),
        ("lid-mapping", "1 2", "1 2"),
        ("session", "123", "123"),
    ] {
        let unwrapped: Cow<[u8]> = unwrapped(family, value.as_bytes());
        assert_eq!(unwrapped, expected.as_bytes(), "{family} {value}");
    }
}
