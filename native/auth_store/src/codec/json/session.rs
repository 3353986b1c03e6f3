//! Reads session records. In those from before libsignal's version 1, some sessions have no
//! registration id and take that of the record.

use crate::Value;

use super::super::fault::Outcome;
use super::dialect::Dialect;
use super::leaf::int;
use super::legacy::Name;
use super::read::Reader;
use super::schema::SESSION_RECORD;
use super::tree::Json;
use super::{bytes, damage};

pub(super) fn read(reader: &Reader<'_>, json: &Json<'_>) -> Outcome<Value> {
    if let Some(Ok(record)) = bytes::tagged(json).or_else(|| json.text().map(bytes::from_base64))
        && let Some(fault) = damage::explain(&record)
    {
        return Err(fault);
    }
    if reader.dialect != Dialect::Baileys || json.get("version").is_some() {
        return reader.record(&SESSION_RECORD, json);
    }
    let registration_id = match json.get("registrationId") {
        Some(Json::Null) | None => None,
        Some(json) => Some(int(json).map_err(|fault| fault.member("registration_id"))?),
    };
    let others = json
        .object()?
        .iter()
        .filter(|(name, _)| name != "registrationId")
        .map(|(name, json)| (Name::Plain(name), json));
    let mut record = reader.members(&SESSION_RECORD, others)?;
    if let Some(id) = registration_id {
        fill(&mut record, id);
    }
    Ok(record)
}

fn fill(record: &mut Value, registration_id: i128) {
    let sessions = member(record, "sessions").and_then(|sessions| match sessions {
        Value::Map(sessions) => Some(sessions),
        _ => None,
    });
    for (_, session) in sessions.into_iter().flatten() {
        if let Some(id @ Value::Nil) = member(session, "registration_id") {
            *id = Value::Int(registration_id);
        }
    }
}

fn member<'v>(value: &'v mut Value, key: &str) -> Option<&'v mut Value> {
    let Value::Map(pairs) = value else {
        return None;
    };
    pairs
        .iter_mut()
        .find(|(name, _)| matches!(name, Value::Atom(name) if name == key))
        .map(|(_, value)| value)
}
