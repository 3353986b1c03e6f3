//! Sender keys of groups: three forms on disk, and message keys of which only the seed is there.
//!
//! Baileys now writes `{"type":"Buffer","data":base64(JSON)}`, 6.7.7 and its like the list itself.
//! Written is the first, with the inner bytes as base64 strings: Baileys 6.7.21 and every 7.0 read
//! it, while 7.0 cannot read a skipped message key back from its own lists of numbers.

use hkdf::Hkdf;
use sha2::Sha256;

use crate::Value;

use super::super::fault::{Fault, Outcome};
use super::bytes;
use super::emit::Writer;
use super::read::{Dialect, Reader};
use super::schema::{SENDER_KEY_RECORD, SENDER_KEY_STATES, SENDER_MESSAGE_KEY};
use super::tree::{Json, parse};

const STATES: &str = "sender_key_states";
const IV_LENGTH: usize = 16;
const CIPHER_KEY_LENGTH: usize = 32;

pub(super) fn read(reader: &Reader<'_>, json: &Json<'_>) -> Outcome<Value> {
    if reader.dialect != Dialect::Baileys {
        return reader.record(&SENDER_KEY_RECORD, json);
    }
    let states = if matches!(json, Json::List(_)) {
        reader.kind(&SENDER_KEY_STATES, json)
    } else {
        let inside = bytes::read(json)?;
        reader.kind(&SENDER_KEY_STATES, &parse(&inside)?)
    };
    let module = SENDER_KEY_RECORD.module.map_or(Value::Nil, Value::atom);
    Ok(Value::Map(vec![
        (Value::atom("__struct__"), module),
        (
            Value::atom(STATES),
            states.map_err(|fault| fault.member(STATES))?,
        ),
    ]))
}

pub(super) fn write(writer: &mut Writer<'_>, value: &Value) -> Outcome<()> {
    let [states] = writer.fields(&SENDER_KEY_RECORD, value)?.known[..] else {
        return Err(Fault::new("is missing").member(STATES));
    };
    let mut inside = writer.nested();
    inside
        .kind(&SENDER_KEY_STATES, states.unwrap_or(&Value::Nil))
        .map_err(|fault| fault.member(STATES))?;
    writer.tagged(&inside.into_bytes())
}

/// Baileys takes an object for no list, and 6.7.7 wrote `{}` for a key it had lost.
pub(super) fn read_message_keys(reader: &Reader<'_>, json: &Json<'_>) -> Outcome<Value> {
    let is_empty = |json: &Json<'_>| matches!(json, Json::Object(pairs) if pairs.is_empty());
    if matches!(json, Json::Null) || is_empty(json) {
        return Ok(Value::List(Vec::new()));
    }
    json.list()?
        .iter()
        .filter(|json| !is_empty(json))
        .map(|json| read_message_key(reader, json).map_err(Fault::item))
        .collect::<Outcome<Vec<_>>>()
        .map(Value::List)
}

fn read_message_key(reader: &Reader<'_>, json: &Json<'_>) -> Outcome<Value> {
    let mut key = reader.record(&SENDER_MESSAGE_KEY, json)?;
    let derived = derive(&key)?;
    if let Value::Map(pairs) = &mut key {
        let is_derived = |name: &Value| matches!(name, Value::Atom(name) if name == "iv" || name == "cipher_key");
        pairs.retain(|(name, _)| !is_derived(name));
        pairs.extend(derived);
    }
    Ok(key)
}

pub(super) fn write_message_keys(writer: &mut Writer<'_>, value: &Value) -> Outcome<()> {
    let Value::List(keys) = value else {
        return Err(Fault::expected("a list", value.kind()));
    };
    writer.list(keys, |writer, key| {
        writer.record(&SENDER_MESSAGE_KEY, key)?;
        for (name, derived) in derive(key)? {
            if let Value::Atom(name) = name
                && key.get(&name) != Some(&derived)
            {
                return Err(Fault::new("has an iv or cipher_key that is not its seed's"));
            }
        }
        Ok(())
    })
}

/// HKDF-SHA256 of the seed, as `sender_message_key.js` of Baileys and libsignal derive them.
fn derive(key: &Value) -> Outcome<[(Value, Value); 2]> {
    let seed = match key.get("seed") {
        Some(Value::Binary(seed)) => seed,
        _ => return Err(Fault::new("is missing").member("seed")),
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
