//! Values without a table: anything that JSON can hold.

use crate::Value;

use super::super::fault::{Fault, Outcome};
use super::bytes;
use super::emit::Writer;
use super::tree::Json;

/// How bytes are treated.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Style {
    /// Bytes in JSON become binaries at run time, and a binary that is not printable text becomes
    /// bytes in JSON.
    Free,
    /// For a member that no table knows: bytes stay in their JSON form, so that it is written back
    /// unchanged. Otherwise bytes that happen to be printable would come back as text.
    Verbatim,
}

/// Reads what Baileys or the explicit dialect of baileys_ex wrote, in [`Style::Free`].
pub(super) fn read(json: &Json<'_>) -> Outcome<Value> {
    match json {
        Json::Object(pairs) => {
            if let Some(bytes) = as_bytes(json) {
                return bytes.map(Value::Binary);
            }
            pairs
                .iter()
                .map(|(name, json)| {
                    let value = read(json).map_err(|fault| fault.key(name))?;
                    Ok((Value::text(name.as_ref()), value))
                })
                .collect::<Outcome<Vec<_>>>()
                .map(Value::Map)
        }
        Json::List(items) => items
            .iter()
            .map(|item| read(item).map_err(Fault::item))
            .collect::<Outcome<Vec<_>>>()
            .map(Value::List),
        scalar => Ok(read_scalar(scalar)),
    }
}

/// Reads any JSON, in [`Style::Verbatim`].
pub(super) fn read_verbatim(json: &Json<'_>) -> Value {
    match json {
        Json::Object(pairs) => Value::Map(
            pairs
                .iter()
                .map(|(name, json)| (Value::text(name.as_ref()), read_verbatim(json)))
                .collect(),
        ),
        Json::List(items) => Value::List(items.iter().map(read_verbatim).collect()),
        scalar => read_scalar(scalar),
    }
}

/// The bytes that an object stands for, if it stands for bytes.
pub(super) fn as_bytes(json: &Json<'_>) -> Option<Outcome<Vec<u8>>> {
    let Json::Object(pairs) = json else {
        return None;
    };
    match bytes::tagged(json) {
        // Current Baileys has no `buffer` tag, so an object of that shape counts as bytes only if
        // it decodes.
        Some(Err(_)) if json.get("buffer").is_some() => None,
        Some(bytes) => Some(bytes),
        None => bytes::indexed(pairs).map(Ok),
    }
}

pub(super) fn read_scalar(json: &Json<'_>) -> Value {
    match json {
        Json::Bool(bool) => Value::Bool(*bool),
        Json::Int(int) => Value::Int(i128::from(*int)),
        Json::Unsigned(int) => Value::Int(i128::from(*int)),
        Json::Float(float) => Value::Float(*float),
        Json::Text(text) => Value::text(text.as_ref()),
        Json::Null | Json::List(_) | Json::Object(_) => Value::Nil,
    }
}

pub(super) fn write(writer: &mut Writer<'_>, value: &Value, style: Style) -> Outcome<()> {
    match value {
        Value::Nil => writer.raw("null"),
        Value::Bool(bool) => writer.bool(*bool),
        Value::Int(int) => writer.int(*int)?,
        Value::Float(float) => writer.float(*float)?,
        Value::Binary(bytes) => write_binary(writer, bytes, style)?,
        Value::List(items) => writer.list(items, |writer, item| write(writer, item, style))?,
        Value::Map(pairs) => write_map(writer, pairs, style)?,
        Value::Atom(_) | Value::Tuple(_) => {
            return Err(Fault::new(format!("JSON cannot hold {}", value.kind())));
        }
    }
    Ok(())
}

fn write_binary(writer: &mut Writer<'_>, bytes: &[u8], style: Style) -> Outcome<()> {
    let text = match style {
        Style::Free => printable(bytes),
        Style::Verbatim => Some(std::str::from_utf8(bytes).map_err(|_| {
            Fault::new("is bytes in an unknown member, where only what JSON says is kept")
        })?),
    };
    match text {
        Some(text) => writer.text(text),
        None => writer.tagged(bytes)?,
    }
    Ok(())
}

fn write_map(writer: &mut Writer<'_>, pairs: &[(Value, Value)], style: Style) -> Outcome<()> {
    let mut members = Vec::with_capacity(pairs.len());
    for (key, value) in pairs {
        members.push((free_key(key)?, value));
    }
    if style == Style::Free && reads_as_bytes(&members) {
        return Err(Fault::new(
            "a map that JSON cannot tell from bytes would come back as bytes",
        ));
    }
    members.sort_unstable_by_key(|(name, _)| *name);
    writer.open('{')?;
    for (name, value) in members {
        writer.free_member(name, value, style)?;
    }
    writer.close('}');
    Ok(())
}

fn free_key(key: &Value) -> Outcome<&str> {
    match key {
        Value::Binary(bytes) => std::str::from_utf8(bytes)
            .map_err(|_| Fault::new("JSON cannot hold a key that is not UTF-8")),
        Value::Atom(name) if name == "__struct__" => Err(Fault::new("JSON cannot hold a struct")),
        other => {
            let fault = Fault::new(format!(
                "JSON cannot hold {} as a key; only strings",
                other.kind()
            ));
            Err(match other {
                Value::Atom(name) => fault.key(name),
                _ => fault,
            })
        }
    }
}

/// Renames each member of `names` from its atom to the name of Baileys. If both are there, the atom
/// counts: it is newer than what Baileys had.
pub(super) fn rename(value: Value, names: &[(&str, &str)]) -> Value {
    let Value::Map(mut pairs) = value else {
        return value;
    };
    for (name, atom) in names {
        let is_atom = |key: &Value| match key {
            Value::Atom(key) => key == atom,
            Value::Binary(key) => key == atom.as_bytes(),
            _ => false,
        };
        let Some(place) = pairs.iter().position(|(key, _)| is_atom(key)) else {
            continue;
        };
        let (_, value) = pairs.remove(place);
        pairs.retain(|(key, _)| !is_atom(key) && *key != Value::text(*name));
        pairs.push((Value::text(*name), value));
    }
    Value::Map(pairs)
}

/// Whether [`as_bytes`] would take the written map for bytes.
fn reads_as_bytes(members: &[(&str, &Value)]) -> bool {
    let byte = |value: &Value| matches!(value, Value::Int(0..=255));
    let indexed = !members.is_empty()
        && members
            .iter()
            .all(|(name, value)| bytes::index(name).is_some() && byte(value));
    let tagged = match members {
        [(data, bytes), tag] | [tag, (data, bytes)] if *data == "data" => reads_as_data(tag, bytes),
        _ => false,
    };
    indexed || tagged
}

fn reads_as_data(tag: &(&str, &Value), data: &Value) -> bool {
    match tag {
        ("type", Value::Binary(marker)) => {
            marker == b"Buffer"
                && match data {
                    Value::List(_) => true,
                    Value::Binary(bytes) => printable(bytes).is_some(),
                    _ => false,
                }
        }
        ("buffer", Value::Bool(true)) => match data {
            Value::List(items) => items.iter().all(|item| matches!(item, Value::Int(0..=255))),
            Value::Binary(bytes) => {
                printable(bytes).is_some_and(|text| bytes::from_base64(text).is_ok())
            }
            _ => false,
        },
        _ => false,
    }
}

/// Text that Elixir's `String.printable?/1` accepts. Anything else is written as bytes.
fn printable(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?;
    let shown = |c: char| {
        matches!(c,
            '\u{07}'..='\u{0d}' | '\u{1b}' | '\u{20}'..='\u{7f}' | '\u{a0}'..='\u{d7ff}'
            | '\u{e000}'..='\u{fffd}' | '\u{10000}'..='\u{10ffff}')
    };
    text.chars().all(shown).then_some(text)
}
