//! The spellings of bytes in JSON.
//!
//! | spelling | written by |
//! |---|---|
//! | `{"type":"Buffer","data":"<base64>"}` | `BufferJSON` of Baileys; baileys_ex |
//! | `{"type":"Buffer","data":[1,2]}` | `Buffer.toJSON` of Node; baileys_ex before alpha.4 |
//! | `{"buffer":true,"data":…}` | Baileys before `BufferJSON` wrote a type |
//! | `{"0":1,"1":2}` | `JSON.stringify` of a `Uint8Array` |
//! | `"<base64>"` | libsignal, protobuf.js |
//! | `[1,2]`, `{"data":…}` | other stores of Baileys' state |
//! | `{"$binary":{"base64":…}}`, `{"$binary":…,"$type":…}` | MongoDB's extended JSON |
//!
//! If the length is known, hexadecimal text is read too.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::{
    STANDARD, STANDARD_PAD_INDIFFERENT, URL_SAFE_PAD_INDIFFERENT,
};

use super::super::fault::{Fault, Outcome};
use super::tree::Json;

/// Reads bytes in any of these spellings. Text is base64, never the bytes themselves.
pub(super) fn read(json: &Json<'_>) -> Outcome<Vec<u8>> {
    match json {
        Json::Text(text) => from_base64(text),
        Json::List(items) => listed(items),
        Json::Object(pairs) => match tagged(json).or_else(|| untagged(pairs)) {
            Some(bytes) => bytes,
            None if pairs.is_empty() => Err(Fault::expected("bytes", "another object").absence()),
            None => indexed(pairs).ok_or_else(|| Fault::expected("bytes", "another object")),
        },
        other => Err(Fault::expected("bytes", other.kind())),
    }
}

/// Decodes base64 of either alphabet, padded or not, as Node does, but without any other
/// characters.
pub(super) fn from_base64(text: &str) -> Outcome<Vec<u8>> {
    STANDARD_PAD_INDIFFERENT
        .decode(text)
        .or_else(|_| URL_SAFE_PAD_INDIFFERENT.decode(text))
        .map_err(|_| Fault::new("is not base64"))
}

pub(super) fn to_base64(bytes: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    // The length of padded base64 cannot overflow for bytes that fit in memory.
    out.resize(start + bytes.len().div_ceil(3) * 4, 0);
    let written = STANDARD.encode_slice(bytes, &mut out[start..]);
    debug_assert_eq!(written, Ok(out.len() - start));
}

/// The bytes of a tagged object; `None` for any other JSON.
pub(super) fn tagged(json: &Json<'_>) -> Option<Outcome<Vec<u8>>> {
    let Json::Object(pairs) = json else {
        return None;
    };
    let data = match pairs.as_slice() {
        [(tag, marker), (data, bytes)] | [(data, bytes), (tag, marker)]
            if data == "data" && is_tag(tag, marker) =>
        {
            bytes
        }
        _ => return None,
    };
    match data {
        Json::Text(text) => Some(from_base64(text)),
        Json::List(items) => Some(listed(items)),
        _ => None,
    }
}

fn listed(items: &[Json<'_>]) -> Outcome<Vec<u8>> {
    let bytes = items.iter().map(byte).collect::<Option<Vec<u8>>>();
    bytes.ok_or_else(|| Fault::new("is not a list of bytes"))
}

/// Objects that count as bytes only where bytes are expected: a Buffer without its type, and what
/// MongoDB exports.
fn untagged(pairs: &[(Cow<'_, str>, Json<'_>)]) -> Option<Outcome<Vec<u8>>> {
    match pairs {
        [(name, Json::Text(text))] if name == "data" => Some(from_base64(text)),
        [(name, Json::List(items))] if name == "data" => Some(listed(items)),
        _ => mongo(pairs),
    }
}

/// `{"$binary":{"base64":…,"subType":…}}`, and the older form `{"$binary":…,"$type":…}`.
fn mongo(pairs: &[(Cow<'_, str>, Json<'_>)]) -> Option<Outcome<Vec<u8>>> {
    let (_, binary) = pairs.iter().find(|(name, _)| name == "$binary")?;
    let known = pairs
        .iter()
        .all(|(name, _)| matches!(name.as_ref(), "$binary" | "$type"));
    let text = match binary {
        Json::Text(text) => Some(text.as_ref()),
        Json::Object(_) => binary.get("base64").and_then(Json::text),
        _ => None,
    };
    text.filter(|_| known).map(from_base64)
}

/// Whether JSON other than text can only be bytes, in a place where a record or bytes are expected.
pub(super) fn are_spelled(json: &Json<'_>) -> bool {
    match json {
        Json::List(items) => !items.is_empty() && items.iter().all(|item| byte(item).is_some()),
        Json::Object(pairs) => mongo(pairs).is_some(),
        _ => false,
    }
}

/// Whether the JSON contains nothing that could be a key or a damaged key: no bytes and no text.
pub(super) fn hold_nothing(json: &Json<'_>) -> bool {
    match json {
        Json::Null => true,
        Json::Text(text) => text.is_empty(),
        Json::List(items) => items.iter().all(hold_nothing),
        Json::Object(pairs) => pairs.iter().all(|(name, json)| match json {
            // With an index as its name the number may be a byte of a Uint8Array. Otherwise it only
            // accompanies bytes that are missing.
            Json::Int(_) => index(name).is_none(),
            Json::Bool(_) | Json::Unsigned(_) | Json::Float(_) => true,
            other => hold_nothing(other),
        }),
        Json::Bool(_) | Json::Int(_) | Json::Unsigned(_) | Json::Float(_) => false,
    }
}

/// Decodes two hexadecimal digits for each byte.
pub(super) fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    digits
        .chunks_exact(2)
        .map(|pair| {
            let [high, low] = [pair[0], pair[1]].map(|digit| char::from(digit).to_digit(16));
            u8::try_from(high? * 16 + low?).ok()
        })
        .collect()
}

fn is_tag(tag: &str, marker: &Json<'_>) -> bool {
    match marker {
        Json::Text(text) => tag == "type" && text == "Buffer",
        Json::Bool(bool) => tag == "buffer" && *bool,
        _ => false,
    }
}

/// The bytes of an object whose names are all decimal integers and whose values are all bytes.
pub(super) fn indexed(pairs: &[(Cow<'_, str>, Json<'_>)]) -> Option<Vec<u8>> {
    let mut bytes = pairs
        .iter()
        .map(|(name, json)| Some((index(name)?, byte(json)?)))
        .collect::<Option<Vec<(u32, u8)>>>()?;
    if bytes.is_empty() {
        return None;
    }
    bytes.sort_unstable();
    Some(bytes.into_iter().map(|(_, byte)| byte).collect())
}

/// An array index as JavaScript spells it.
pub(super) fn index(name: &str) -> Option<u32> {
    let canonical = name == "0" || name.starts_with(|c: char| matches!(c, '1'..='9'));
    if canonical { name.parse().ok() } else { None }
}

fn byte(json: &Json<'_>) -> Option<u8> {
    match json {
        Json::Int(int) => u8::try_from(*int).ok(),
        _ => None,
    }
}
