//! What is written reads back as it was, and no input does harm.

use crate::support::generate;
use crate::support::*;
use auth_store::Value;
use auth_store::codec::etf;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

/// This many cases, or as many as `PROPTEST_CASES` says.
fn cases(cases: u32) -> ProptestConfig {
    let asked = std::env::var("PROPTEST_CASES").ok();
    ProptestConfig {
        cases: asked.and_then(|asked| asked.parse().ok()).unwrap_or(cases),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(cases(3000))]

    #[test]
    fn a_term_of_any_family_reads_back_as_it_was_written(
        (family, value) in generate::any_family()
    ) {
        match encode(family, &value) {
            Ok(json) => {
                let again = decode(family, &json).expect("what was written");
                prop_assert_eq!(difference(&value, &again), None);
            }
            // Only free-form values: the generator does not know what looks like bytes.
            Err(problem) => prop_assert!(
                problem.problem.contains("cannot tell from bytes"),
                "{}", problem
            ),
        }
    }

    #[test]
    fn whatever_is_accepted_anywhere_reads_back_as_it_was(
        (family, value) in generate::any_family(),
        place in any::<Index>(),
        strange in generate::anything(),
    ) {
        let mut value = value;
        let places = count(&value);
        *nth(&mut value, &mut place.index(places)).expect("a place") = strange.clone();
        if let Ok(json) = encode(family, &value) {
            let again = decode(family, &json).expect("what was written");
            // These values have several spellings but one form at run time; the documentation of
            // `json` lists them.
            let is_bare_key = family == "app-state-sync-key" && matches!(value, Value::Binary(_));
            let has_one_form = is_bare_key
                || matches!(&strange, Value::Nil)
                || matches!(&strange, Value::Binary(bytes) if bytes.is_empty());
            if !has_one_form {
                let (before, after) =
                    (without_defaults(&again, &value), without_defaults(&value, &again));
                prop_assert_eq!(difference(&before, &after), None);
            }
            prop_assert_eq!(encode(family, &again).expect("what was read"), json);
        }
    }

    #[test]
    fn free_form_reads_back_as_it_was_or_is_refused(value in generate::anything()) {
        if let Ok(json) = encode("some-family-to-come", &value) {
            let again = decode("some-family-to-come", &json).expect("what was written");
            prop_assert_eq!(difference(&value, &again), None);
        }
    }

    #[test]
    fn etf_reads_back_as_it_was(value in generate::anything()) {
        let bytes = etf::encode(&value).expect("a term of small depth");
        prop_assert_eq!(etf::scan(&bytes, &mut |_| true), Ok(()));
        let again = etf::decode(&bytes).expect("what was written");
        prop_assert_eq!(difference(&value, &again), None);
    }
}

fn count(value: &Value) -> usize {
    1 + match value {
        Value::List(items) | Value::Tuple(items) => items.iter().map(count).sum(),
        Value::Map(pairs) => pairs.iter().map(|(_, value)| count(value)).sum(),
        _ => 0,
    }
}

/// Removes from maps what only the second one has, if an absent optional member reads as that.
fn without_defaults(value: &Value, again: &Value) -> Value {
    match (value, again) {
        (Value::Map(before), Value::Map(after)) => {
            let known = |key: &Value| before.iter().find(|(k, _)| k == key).map(|(_, v)| v);
            let kept = after.iter().filter_map(|(key, after)| match known(key) {
                Some(before) => Some((key.clone(), without_defaults(before, after))),
                None if matches!(after, Value::Nil | Value::Bool(false)) => None,
                None => Some((key.clone(), after.clone())),
            });
            Value::Map(kept.collect())
        }
        (Value::List(before), Value::List(after)) if before.len() == after.len() => Value::List(
            before
                .iter()
                .zip(after)
                .map(|(b, a)| without_defaults(b, a))
                .collect(),
        ),
        _ => again.clone(),
    }
}

fn nth<'v>(value: &'v mut Value, n: &mut usize) -> Option<&'v mut Value> {
    if *n == 0 {
        return Some(value);
    }
    *n -= 1;
    match value {
        Value::List(items) | Value::Tuple(items) => items.iter_mut().find_map(|i| nth(i, n)),
        Value::Map(pairs) => pairs.iter_mut().find_map(|(_, value)| nth(value, n)),
        _ => None,
    }
}

/// One kind of damage to a file.
#[derive(Debug, Clone)]
enum Damage {
    Flip(Index, u8),
    Cut(Index),
    Splice(Index, Vec<u8>),
    Repeat(Index, Index),
    Swap(Index, &'static str),
}

fn damage() -> impl Strategy<Value = Damage> {
    let snippets = [
        "null",
        "{}",
        "[]",
        "-1",
        "\"\"",
        "1e21",
        "{\"type\":\"Buffer\",\"data\":[300]}",
        "\"__type__\":\"atom\",",
        "\"__atom_keys__\":[\"x\"],",
        "true",
        "9007199254740993",
        "{\"low\":1,\"high\":-1,\"unsigned\":true}",
        "{\"0\":1,\"1\":256}",
        "\u{1F98A}",
    ];
    prop_oneof![
        (any::<Index>(), any::<u8>()).prop_map(|(i, b)| Damage::Flip(i, b)),
        any::<Index>().prop_map(Damage::Cut),
        (any::<Index>(), vec(any::<u8>(), 1..8)).prop_map(|(i, b)| Damage::Splice(i, b)),
        (any::<Index>(), any::<Index>()).prop_map(|(a, b)| Damage::Repeat(a, b)),
        (any::<Index>(), prop::sample::select(snippets.to_vec()))
            .prop_map(|(i, s)| Damage::Swap(i, s)),
    ]
}

fn apply(bytes: &mut Vec<u8>, damage: &Damage) {
    if bytes.is_empty() {
        return;
    }
    let length = bytes.len();
    match damage {
        Damage::Flip(at, with) => bytes[at.index(length)] ^= with,
        Damage::Cut(at) => bytes.truncate(at.index(length)),
        Damage::Splice(at, new) => {
            let at = at.index(length);
            bytes.splice(at..at, new.iter().copied());
        }
        Damage::Repeat(from, to) => {
            let (from, to) = (from.index(length), to.index(length));
            let again = bytes[from.min(to)..from.max(to)].to_vec();
            bytes.splice(from..from, again);
        }
        // Replaces a value by another one, which usually keeps the text JSON.
        Damage::Swap(at, new) => {
            let start = at.index(length);
            let Some(colon) = bytes[start..].iter().position(|b| *b == b':') else {
                return;
            };
            let start = start + colon + 1;
            let end = bytes[start..]
                .iter()
                .position(|b| b",}]".contains(b))
                .map_or(length, |end| start + end);
            bytes.splice(start..end, new.bytes());
        }
    }
}

fn any_fixture(directories: &'static [&'static str]) -> impl Strategy<Value = (String, Vec<u8>)> {
    // The largest file of each family: the others show nothing more.
    let mut chosen: Vec<(String, Vec<u8>)> = Vec::new();
    for directory in directories {
        let mut files = files(directory);
        files.sort_by_key(|(family, _, bytes)| (family.clone(), std::cmp::Reverse(bytes.len())));
        files.dedup_by(|a, b| a.0 == b.0);
        chosen.extend(files.into_iter().map(|(family, _, bytes)| (family, bytes)));
    }
    prop::sample::select(chosen)
}

proptest! {
    #![proptest_config(cases(6000))]

    #[test]
    fn a_damaged_file_is_read_or_refused_and_what_is_read_can_be_written(
        (family, bytes) in any_fixture(&["baileys-7.0.0-rc14", "baileys_ex-json"]),
        damages in vec(damage(), 1..4),
    ) {
        let mut bytes = bytes;
        for damage in &damages {
            apply(&mut bytes, damage);
        }
        let _ = auth_store::codec::json::local_identity(&bytes);
        if let Ok(value) = decode(&family, &bytes) {
            match encode(&family, &value) {
                Ok(json) => {
                    let again = decode(&family, &json).expect("what was written");
                    prop_assert_eq!(encode(&family, &again).expect("what was read"), json);
                }
                Err(problem) => prop_assert!(
                    problem.problem.contains("takes the name of a known member"),
                    "{}", problem
                ),
            }
        }
    }

    #[test]
    fn a_damaged_legacy_file_is_read_or_refused(
        (family, bytes) in any_fixture(&["baileys_ex-legacy"]),
        damages in vec(damage(), 1..4),
    ) {
        let mut bytes = bytes;
        for damage in &damages {
            apply(&mut bytes, damage);
        }
        let _ = auth_store::codec::json::local_identity(&bytes);
        if let Ok(value) = decode(&family, &bytes) {
            let _ = encode(&family, &value);
            prop_assert!(etf::decode(&etf::encode(&value).expect("a term")).is_ok());
        }
    }

    #[test]
    fn a_damaged_native_file_is_decoded_if_the_scan_lets_it_pass(
        (_, bytes) in any_fixture(&["baileys_ex-native"]),
        damages in vec(damage(), 1..4),
    ) {
        let mut bytes = bytes;
        for damage in &damages {
            apply(&mut bytes, damage);
        }
        decodes_what_scans(&bytes)?;
    }

    #[test]
    fn arbitrary_bytes_are_decoded_if_the_scan_lets_them_pass(
        bytes in vec(prop_oneof![any::<u8>(), 97..120u8, 0..3u8], 0..64)
    ) {
        let mut term = vec![131];
        term.extend_from_slice(&bytes);
        decodes_what_scans(&term)?;
        decodes_what_scans(&bytes)?;
    }

    #[test]
    fn arbitrary_json_is_read_or_refused(
        value in generate::anything(),
        family in prop::sample::select(generate::ALL.as_slice()),
        bytes in vec(any::<u8>(), 0..64),
    ) {
        let _ = decode(family, &bytes);
        if let Ok(json) = encode("some-family-to-come", &value) {
            let _ = decode(family, &json);
        }
    }
}

/// What the BEAM can hold and a value cannot.
const LIMITS: [&str; 4] = [
    "holds an improper list",
    "holds an integer of more than 128 bits",
    "a map key that is a float, list, tuple or map",
    "two members of a map have the same key",
];

fn decodes_what_scans(bytes: &[u8]) -> Result<(), TestCaseError> {
    match (etf::scan(bytes, &mut |_| true), etf::decode(bytes)) {
        (Ok(()), Err(problem)) => {
            prop_assert!(LIMITS.contains(&problem.problem.as_str()), "{}", problem);
        }
        (Err(expected), Err(problem)) => prop_assert_eq!(expected, problem),
        (Err(problem), Ok(_)) => prop_assert!(false, "decoded, though {}", problem),
        (Ok(()), Ok(value)) => {
            let written = etf::encode(&value).expect("what was read");
            let again = etf::decode(&written).expect("what was written");
            prop_assert_eq!(difference(&value, &again), None);
        }
    }
    Ok(())
}
