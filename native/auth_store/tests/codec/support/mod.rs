//! What the tests of the codec share.
pub mod generate;

use std::path::{Path, PathBuf};

use auth_store::Value;
use auth_store::codec::etf;
use auth_store::codec::json::{self, DecodeContext, EncodeContext};
use serde_json::{Value as Json, json};

/// The families of Baileys. Where one is a prefix of another, the longer one comes first.
pub const FAMILIES: [&str; 10] = [
    "app-state-sync-version",
    "app-state-sync-key",
    "sender-key-memory",
    "identity-key",
    "device-list",
    "lid-mapping",
    "sender-key",
    "session",
    "tctoken",
    "pre-key",
];

pub const NOW_MS: i64 = 1_795_000_000_000;

pub fn fixtures(directory: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../test/fixtures")
        .join(directory)
}

/// Every file of a fixture except the manifests: its family, its name without the extension, and
/// its bytes.
pub fn files(directory: &str) -> Vec<(String, String, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(fixtures(directory)).expect("fixtures are in the repository") {
        let path = entry.expect("a readable entry").path();
        let stem = path
            .file_stem()
            .and_then(|n| n.to_str())
            .unwrap_or_default();
        if stem.starts_with('.') {
            continue;
        }
        let family = FAMILIES
            .into_iter()
            .find(|family| stem.starts_with(&format!("{family}-")))
            .unwrap_or("creds");
        let bytes = std::fs::read(&path).expect("a readable file");
        files.push((family.to_owned(), stem.to_owned(), bytes));
    }
    files.sort();
    assert!(files.len() > 90, "the fixture {directory} is not whole");
    files
}

pub fn file(directory: &str, name: &str) -> Vec<u8> {
    std::fs::read(fixtures(directory).join(name)).expect("a readable file")
}

pub fn native(name: &str) -> Value {
    etf::decode(&file("baileys_ex-native", &format!("{name}.etf"))).expect("a native fixture")
}

pub fn identity() -> Vec<u8> {
    json::local_identity(&file("baileys-7.0.0-rc14", "creds.json")).expect("the account's creds")
}

pub fn decode(family: &str, bytes: &[u8]) -> Result<Value, auth_store::codec::Problem> {
    let identity = identity();
    json::decode(
        family,
        bytes,
        &DecodeContext {
            local_identity: Some(&identity),
        },
    )
}

pub fn encode(family: &str, value: &Value) -> Result<Vec<u8>, auth_store::codec::Problem> {
    let identity = identity();
    json::encode(
        family,
        value,
        &EncodeContext {
            local_identity: Some(&identity),
            now_ms: NOW_MS,
            ..Default::default()
        },
    )
}

/// The first difference between two terms, without regard to the order of maps; `None` if they are
/// equal.
pub fn difference(left: &Value, right: &Value) -> Option<String> {
    match (left, right) {
        (Value::Map(a), Value::Map(b)) => {
            for (key, value) in a {
                let Some((_, other)) = b.iter().find(|(k, _)| difference(k, key).is_none()) else {
                    return Some(format!("{} only left", show(key)));
                };
                if let Some(inner) = difference(value, other) {
                    return Some(format!("{}.{inner}", show(key)));
                }
            }
            let extra = b
                .iter()
                .find(|(key, _)| !a.iter().any(|(k, _)| difference(k, key).is_none()));
            extra.map(|(key, _)| format!("{} only right", show(key)))
        }
        (Value::List(a), Value::List(b)) | (Value::Tuple(a), Value::Tuple(b)) => {
            if a.len() != b.len() {
                return Some(format!("length {} and {}", a.len(), b.len()));
            }
            a.iter()
                .zip(b)
                .enumerate()
                .find_map(|(i, (a, b))| difference(a, b).map(|inner| format!("[{i}].{inner}")))
        }
        (Value::Float(a), Value::Float(b)) if a.to_bits() == b.to_bits() => None,
        (a, b) if a == b && a.kind() == b.kind() => None,
        (a, b) => Some(format!("{} and {}", a.kind(), b.kind())),
    }
}

fn show(key: &Value) -> String {
    match key {
        Value::Atom(name) => name.to_string(),
        Value::Binary(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::Int(int) => int.to_string(),
        other => other.kind().to_owned(),
    }
}

#[track_caller]
pub fn assert_same(left: &Value, right: &Value, what: &str) {
    if let Some(place) = difference(left, right) {
        panic!("{what} differs at {place}");
    }
}

pub fn member<'v>(value: &'v mut Value, path: &[&str]) -> &'v mut Value {
    let Some((name, rest)) = path.split_first() else {
        return value;
    };
    let inner = match value {
        Value::Map(pairs) => pairs
            .iter_mut()
            .find(|(key, _)| show(key) == *name)
            .map(|(_, value)| value),
        Value::List(items) => items.get_mut(name.parse::<usize>().expect("an index")),
        _ => None,
    };
    member(inner.unwrap_or_else(|| panic!("no member {name}")), rest)
}

pub fn remove(value: &mut Value, path: &[&str], name: &str) {
    if let Value::Map(pairs) = member(value, path) {
        pairs.retain(|(key, _)| show(key) != name);
    }
}

pub fn put(value: &mut Value, path: &[&str], key: Value, new: Value) {
    remove(value, path, &show(&key));
    if let Value::Map(pairs) = member(value, path) {
        pairs.push((key, new));
    }
}

pub fn atom(name: &str) -> Value {
    Value::atom(name.to_owned())
}

pub fn text(text: &str) -> Value {
    Value::text(text)
}

pub fn map<const N: usize>(pairs: [(Value, Value); N]) -> Value {
    Value::Map(pairs.into())
}

pub const KEY: &str = "IPSMRzJleryHlIjqjvtm8a38k0wUzXn1xhNx9IEtTmY=";

pub fn read(family: &str, json: &Json) -> Value {
    decode(family, json.to_string().as_bytes()).unwrap_or_else(|e| panic!("{family}: {e}"))
}

#[track_caller]
pub fn refused(family: &str, json: &Json) -> String {
    match decode(family, json.to_string().as_bytes()) {
        Ok(_) => panic!("{family} was read"),
        Err(problem) => problem.to_string(),
    }
}

#[track_caller]
pub fn not_written(family: &str, value: &Value) -> String {
    match encode(family, value) {
        Ok(_) => panic!("{family} was written"),
        Err(problem) => problem.to_string(),
    }
}

pub fn written(family: &str, value: &Value) -> Json {
    let bytes = encode(family, value).unwrap_or_else(|e| panic!("{family}: {e}"));
    serde_json::from_slice(&bytes).expect("JSON")
}

pub fn baileys(name: &str) -> Json {
    serde_json::from_slice(&file("baileys-7.0.0-rc14", &format!("{name}.json"))).expect("JSON")
}

pub fn buffer(base64: &str) -> Json {
    json!({"type": "Buffer", "data": base64})
}
