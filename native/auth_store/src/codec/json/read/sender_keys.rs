//! The lists inside a sender key, from which elements without a key are left out.

use crate::Value;

use super::super::super::fault::Outcome;
use super::super::message_key::derive;
use super::super::schema::{Record, SENDER_KEY_STATE, SENDER_MESSAGE_KEY};
use super::super::tree::Json;
use super::Reader;

/// Baileys handles the states one by one, so a state without a key must not make the others
/// unreadable.
pub(in super::super) fn read_states(reader: &Reader<'_>, json: &Json<'_>) -> Outcome<Value> {
    read_keys(reader, json, &SENDER_KEY_STATE, |_| Ok(()))
}

/// Baileys treats an object as an empty list, and 6.7.7 wrote `{}` for a message key that it had
/// lost.
pub(in super::super) fn read_message_keys(reader: &Reader<'_>, json: &Json<'_>) -> Outcome<Value> {
    read_keys(reader, json, &SENDER_MESSAGE_KEY, fill_in)
}

fn read_keys(
    reader: &Reader<'_>,
    json: &Json<'_>,
    record: &'static Record,
    finish: impl Fn(&mut Value) -> Outcome<()>,
) -> Outcome<Value> {
    let items = match json {
        Json::Null => &[],
        Json::Object(pairs) if pairs.is_empty() => &[],
        json => json.list()?,
    };
    let mut keys = Vec::with_capacity(items.len());
    for item in items {
        if !matches!(item, Json::Object(_)) {
            reader.drop_element();
            continue;
        }
        let key = reader.record(record, item).and_then(|mut key| {
            finish(&mut key)?;
            Ok(key)
        });
        match key {
            Ok(key) => keys.push(key),
            Err(fault) if fault.is_absence() => reader.drop_element(),
            Err(fault) => return Err(fault.item()),
        }
    }
    Ok(Value::List(keys))
}

/// Derives what is not in the file, and replaces what the legacy dialect has there.
fn fill_in(key: &mut Value) -> Outcome<()> {
    let derived = derive(key)?;
    if let Value::Map(pairs) = key {
        let is_derived = |name: &Value| matches!(name, Value::Atom(name) if name == "iv" || name == "cipher_key");
        pairs.retain(|(name, _)| !is_derived(name));
        pairs.extend(derived);
    }
    Ok(())
}
