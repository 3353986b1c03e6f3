//! Halves of surrogate pairs, which JavaScript can write and text cannot hold.

use auth_store::Value;
use auth_store::codec::json;

use crate::support::*;

/// In JavaScript, `"Support 🦊".slice(0, 9)` cuts a pair, and `JSON.stringify` writes the remaining
/// half.
#[test]
fn half_a_character_does_not_hide_the_credentials() {
    let whole = String::from_utf8(file("baileys-7.0.0-rc14", "creds.json")).expect("text");
    let halves = [
        (r#""Support \ud83e""#, "Support \u{fffd}"),
        (r#""\uDD8A\ud83e\uDD8a\\ud83e""#, "\u{fffd}🦊\\ud83e"),
        (r#""\ud83e\ud83e\udd8a\n""#, "\u{fffd}🦊\n"),
        (r#""\ud83e\udd8a\ud83e""#, "🦊\u{fffd}"),
    ];
    for (half, text) in halves {
        let creds = whole.replacen('{', &format!(r#"{{"label":{half},{half}:1,"#), 1);
        let mut value = decode("creds", creds.as_bytes()).expect("creds");
        let unknown = member(&mut value, &["unknown_fields"]);
        assert!(under(unknown, "label") == Some(&Value::text(text)));
        assert!(under(unknown, text) == Some(&Value::Int(1)));
        assert!(json::local_identity(creds.as_bytes()) == Ok(identity()));
    }
    let broken = whole.replacen('{', r#"{"label":"\ud83","#, 1);
    assert!(decode("creds", broken.as_bytes()).is_err());
}

fn under<'v>(map: &'v Value, name: &str) -> Option<&'v Value> {
    let Value::Map(pairs) = map else { return None };
    let found = pairs.iter().find(|(key, _)| *key == Value::text(name));
    found.map(|(_, value)| value)
}
