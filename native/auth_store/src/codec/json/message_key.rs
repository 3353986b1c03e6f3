//! Derives those parts of a group's message key that are in memory but not in the file.

use hkdf::Hkdf;
use sha2::Sha256;

use crate::Value;

use super::super::fault::{Fault, Outcome};

const IV_LENGTH: usize = 16;
const CIPHER_KEY_LENGTH: usize = 32;

/// HKDF-SHA256 of the seed, as in `sender_message_key.js` of Baileys and in libsignal.
pub(super) fn derive(key: &Value) -> Outcome<[(Value, Value); 2]> {
    let seed = match key.get("seed") {
        Some(Value::Binary(seed)) => seed,
        _ => return Err(Fault::missing().member("seed")),
    };
    let mut okm = [0; IV_LENGTH + CIPHER_KEY_LENGTH];
    Hkdf::<Sha256>::new(Some(&[0; 32]), seed)
        .expand(b"WhisperGroup", &mut okm)
        .map_err(|_| Fault::new("cannot be derived"))?;
    let (iv, cipher_key) = okm.split_at(IV_LENGTH);
    Ok([
        (Value::atom("iv"), Value::Binary(iv.to_vec())),
        (
            Value::atom("cipher_key"),
            Value::Binary(cipher_key.to_vec()),
        ),
    ])
}
