//! One file of each family of the account in `test/fixtures`, and the operations on it.

#![allow(clippy::expect_used, clippy::panic)]

use std::path::Path;

use auth_store::Value;
use auth_store::codec::etf;
use auth_store::codec::json::{self, DecodeContext, EncodeContext};

/// The samples that each operation runs on: a family, or the session of a long acquaintance.
pub const SAMPLES: [(&str, &str); 12] = [
    ("creds", "creds"),
    ("session", "session-15559990002.0"),
    (LONG_SESSION, "session-15559990002.0"),
    ("pre-key", "pre-key-1"),
    (
        "sender-key",
        "sender-key-120363041234567890@g.us--15559990002--0",
    ),
    (
        "sender-key-memory",
        "sender-key-memory-120363041234567890@g.us",
    ),
    ("app-state-sync-key", "app-state-sync-key-AAAA__+Ab"),
    (
        "app-state-sync-version",
        "app-state-sync-version-regular_high",
    ),
    ("lid-mapping", "lid-mapping-15550000000"),
    ("device-list", "device-list-15551230001"),
    ("tctoken", "tctoken-15559990002@s.whatsapp.net"),
    ("identity-key", "identity-key-15559990002.0"),
];

/// About 40 kB in the format of Baileys, nearly all of it closed entries.
const LONG_SESSION: &str = "session-of-40-kB";
const CLOSED_ENTRIES: u8 = 27;

pub const OPERATIONS: [&str; 5] = [
    "json decode",
    "json encode",
    "etf scan",
    "etf decode",
    "etf encode",
];

const NOW_MS: i64 = 1_795_000_000_000;

pub struct Sample {
    pub family: &'static str,
    json: Vec<u8>,
    etf: Vec<u8>,
    value: Value,
    identity: Vec<u8>,
}

impl Sample {
    pub fn new(name: &'static str, file: &str) -> Self {
        let is_long = name == LONG_SESSION;
        let family = if is_long { "session" } else { name };
        let mut json = fixture(&format!("baileys-7.0.0-rc14/{file}.json"));
        let identity = json::local_identity(&fixture("baileys-7.0.0-rc14/creds.json"))
            .expect("the account's identity");
        let context = DecodeContext {
            local_identity: Some(&identity),
        };
        let mut value = json::decode(family, &json, &context).expect("a fixture that can be read");
        if is_long {
            add_closed_entries(&mut value);
            let context = EncodeContext {
                local_identity: Some(&identity),
                now_ms: NOW_MS,
                ..Default::default()
            };
            json = json::encode(family, &value, &context).expect("a session");
        }
        let etf = etf::encode(&value).expect("a plain term");
        Sample {
            family,
            json,
            etf,
            value,
            identity,
        }
    }

    /// Runs one operation, and returns a size so that the compiler cannot leave the work out.
    pub fn run(&self, operation: &str) -> usize {
        let family = self.family;
        match operation {
            "json decode" => {
                let context = DecodeContext {
                    local_identity: Some(&self.identity),
                };
                size(&json::decode(family, &self.json, &context).expect("readable"))
            }
            "json encode" => {
                let context = EncodeContext {
                    local_identity: Some(&self.identity),
                    now_ms: NOW_MS,
                    ..Default::default()
                };
                json::encode(family, &self.value, &context)
                    .expect("writable")
                    .len()
            }
            "etf scan" => {
                etf::scan(&self.etf, &mut |_| true).expect("plain data");
                self.etf.len()
            }
            "etf decode" => size(&etf::decode(&self.etf).expect("readable")),
            "etf encode" => etf::encode(&self.value).expect("writable").len(),
            _ => panic!("no such operation: {operation}"),
        }
    }
}

/// Adds entries like the first one under other base keys.
fn add_closed_entries(record: &mut Value) {
    let sessions = member(record, "sessions");
    let (key, entry) = sessions.first().expect("an entry").clone();
    for n in 0..CLOSED_ENTRIES {
        let (mut key, mut entry) = (key.clone(), entry.clone());
        if let Value::Binary(bytes) = &mut key {
            bytes[1] ^= 0x80 | n;
        }
        for (name, value) in member(&mut entry, "index_info") {
            if *name == Value::atom("closed") {
                *value = Value::Int(i128::from(NOW_MS) - i128::from(n));
            }
        }
        sessions.push((key, entry));
    }
}

fn member<'a>(map: &'a mut Value, name: &str) -> &'a mut Vec<(Value, Value)> {
    let Value::Map(pairs) = map else {
        panic!("no map around {name}");
    };
    let found = pairs.iter_mut().find(|(key, _)| match key {
        Value::Atom(atom) => atom == name,
        _ => false,
    });
    match found {
        Some((_, Value::Map(pairs))) => pairs,
        _ => panic!("no map under {name}"),
    }
}

fn size(value: &Value) -> usize {
    match value {
        Value::Map(pairs) => pairs.len(),
        _ => 1,
    }
}

fn fixture(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../test/fixtures");
    std::fs::read(path.join(name)).expect("fixtures are in the repository")
}
