//! What must hold of any input: shared by the fuzz targets and by the test that replays the corpus.

use auth_store::Value;
use auth_store::codec::etf;
use auth_store::codec::json::{self, DecodeContext, EncodeContext};

/// The families that [`json_others`] picks from by its first byte.
pub const OTHERS: [&str; 9] = [
    "pre-key",
    "sender-key-memory",
    "app-state-sync-key",
    "app-state-sync-version",
    "lid-mapping",
    "device-list",
    "tctoken",
    "identity-key",
    "a-family-to-come",
];

const IDENTITY: [u8; 33] = [5; 33];

/// A file is read or refused; what is read and can be written reads back as itself.
pub fn json(family: &str, bytes: &[u8]) {
    let decode = |bytes: &[u8]| {
        let ctx = DecodeContext {
            local_identity: Some(&IDENTITY),
        };
        json::decode(family, bytes, &ctx)
    };
    let encode = |value: &Value| {
        let ctx = EncodeContext {
            local_identity: Some(&IDENTITY),
            now_ms: 0,
        };
        json::encode(family, value, &ctx)
    };
    if let Ok(value) = decode(bytes)
        && let Ok(written) = encode(&value)
    {
        let again = decode(&written).expect("what was written is read");
        assert!(encode(&again).expect("what was read is written") == written);
    }
    if family == "creds" {
        let _ = json::local_identity(bytes);
    }
}

/// [`json`] of the family that the first byte says.
pub fn json_others(bytes: &[u8]) {
    if let Some((family, bytes)) = bytes.split_first() {
        json(OTHERS[usize::from(*family) % OTHERS.len()], bytes);
    }
}

/// A term is let in or refused, with no atom asked for after a refusal.
pub fn etf_scan(bytes: &[u8]) {
    let mut left = 3;
    let _ = etf::scan(bytes, &mut |name| {
        assert!(left > 0 && name.chars().count() <= 255);
        left -= 1;
        left > 0
    });
}

/// Nothing is decoded that the scan refuses, and what is decoded is written and reads back.
pub fn etf_decode(bytes: &[u8]) {
    let scanned = etf::scan(bytes, &mut |_| true);
    if let Ok(value) = etf::decode(bytes) {
        assert!(scanned.is_ok());
        let written = etf::encode(&value).expect("what was decoded is encoded");
        let again = etf::decode(&written).expect("what was encoded is decoded");
        assert!(etf::encode(&again).expect("a term").len() == written.len());
    }
}
