//! The JSON files: the format of Baileys in both directions, and reading the two older dialects of
//! baileys_ex.
//!
//! Each family has one table (`schema`), which is followed from JSON to a term (`read`) and back
//! (`write`). The content of a file shows its dialect.
//!
//! # Unknown members
//!
//! A member that the tables do not know is kept under its string key: in `unknown_fields` for
//! creds, otherwise in the map that holds it. It is kept exactly as JSON has it, with bytes in
//! their object form, so that it is written back unchanged. Bytes become binaries only where a
//! table says free-form (`additionalData`, a family that Baileys does not have).
//!
//! # Round trips
//!
//! What [`encode`] wrote, [`decode`] reads back as the same value, except for values that may be
//! spelled in several ways but have only one form at run time:
//!
//! * an optional member that is missing or nil reads as its default
//! * empty text in a message key, and an empty private signing key, read as nil
//! * an addressing mode as text reads as its atom; a `MessageKey` struct as a plain map
//! * an app-state sync key that is bare bytes reads as a map with these bytes, since Baileys has no
//!   bare form
//! * the two members of `default_disappearing_mode` read under Baileys' names
//! * in a session, a missing `used` or `created` reads as the time of writing, and a missing
//!   `local_identity_key` as that of the account

mod bytes;
mod damage;
mod dialect;
mod elsewhere;
mod emit;
mod free_form;
mod leaf;
mod legacy;
mod local_identity;
mod mark;
mod message_key;
mod read;
mod schema;
mod sender_key;
mod session;
mod surrogates;
mod tree;
mod write;

use std::cell::Cell;

use crate::Value;

use super::Problem;
use super::fault::Outcome;
use emit::Writer;
use mark::without_mark;
use read::Reader;
use schema::{Content, Family};
use tree::Json;

pub use damage::document_before_remains;
pub use dialect::Dialect;
pub use elsewhere::{Kept, KeptValue, kept, unwrapped};
pub use local_identity::local_identity;
pub use sender_key::SenderKeyForm;

/// The struct of credentials at run time.
pub const STATE_MODULE: &str = "Elixir.BaileysEx.Auth.State";

/// What decoding needs to know besides the file.
#[derive(Clone, Copy, Default)]
pub struct DecodeContext<'a> {
    /// `<<5>> <> signedIdentityKey.public` of the account. Sessions have it at run time only.
    pub local_identity: Option<&'a [u8]>,
}

/// What encoding needs to know besides the term.
#[derive(Clone, Copy, Default)]
pub struct EncodeContext<'a> {
    /// Left out of the session files of this account.
    pub local_identity: Option<&'a [u8]>,
    /// The time of writing in milliseconds, for sessions without the time of their last use.
    pub now_ms: i64,
    /// The form of sender keys that the readers of the file understand.
    pub sender_keys: SenderKeyForm,
    /// The spelling of bytes.
    pub bytes: BytesForm,
}

/// The spelling of the data in `{"type":"Buffer","data":…}`. Baileys reads both.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum BytesForm {
    /// As Baileys writes them.
    #[default]
    Base64,
    /// A list of numbers, as from `Buffer.toJSON`. Some stores read nothing else.
    List,
}

/// Decodes a file of a family of keys, or of `"creds"`. A family that Baileys does not have is
/// free-form.
///
/// A [`Problem`] says that something is missing, has the wrong type or length, is not JSON, is cut
/// off, is nested too deep, or, in the legacy dialect, is an atom or module that no table knows.
pub fn decode(family: &str, bytes: &[u8], ctx: &DecodeContext) -> Result<Value, Problem> {
    decode_telling(family, bytes, ctx).map(|told| told.value)
}

/// The content of a file, with notes on how it was read.
pub struct Told {
    pub value: Value,
    /// `None` if the content looks the same in the Baileys dialect and in the explicit one.
    pub dialect: Option<Dialect>,
    /// The number of list elements that were left out because they held nothing.
    pub dropped: u64,
}

/// As [`decode`], with notes on how the file was read.
pub fn decode_telling(family: &str, bytes: &[u8], ctx: &DecodeContext) -> Result<Told, Problem> {
    let table = schema::family(family);
    let decode = |bytes: &[u8]| {
        let json = tree::parse(bytes)?;
        let (value, dropped) = read(table, &json, ctx)?;
        Ok(Told {
            value,
            dialect: telling_dialect(table, &json),
            dropped,
        })
    };
    or_mended(bytes, decode).map_err(|fault| fault.into_problem(family))
}

/// Decodes again without halves of surrogate pairs, if there are any and decoding has failed.
fn or_mended<T>(bytes: &[u8], decode: impl Fn(&[u8]) -> Outcome<T>) -> Outcome<T> {
    decode(bytes).or_else(|fault| match surrogates::mended(bytes) {
        Some(mended) => decode(&mended),
        None => Err(fault),
    })
}

/// Whether a file holds nothing but `null`, which some stores leave of a deleted key.
pub fn is_null(bytes: &[u8]) -> bool {
    without_mark(bytes).trim_ascii() == b"null"
}

/// Encodes a term as Baileys would write it.
///
/// A [`Problem`] names the member that is missing, has the wrong type or length, or does not fit
/// JSON. JSON cannot hold: atoms, tuples, structs and keys that are no strings in places that are
/// free-form, text that is not UTF-8, integers beyond 64 bits, floats that are not finite, nesting
/// that could not be read back, and maps that look like bytes.
pub fn encode(family: &str, value: &Value, ctx: &EncodeContext) -> Result<Vec<u8>, Problem> {
    let mut writer = Writer::new(ctx);
    write(&mut writer, family, value)?;
    Ok(writer.into_bytes())
}

/// Checks the types and lengths of the members that the tables know. Free-form and unknown members
/// are not checked: a native file may hold any term there.
pub fn check_known(family: &str, value: &Value) -> Result<(), Problem> {
    write(
        &mut Writer::for_check(&EncodeContext::default()),
        family,
        value,
    )
}

fn write(writer: &mut Writer<'_>, family: &str, value: &Value) -> Result<(), Problem> {
    let written = match &schema::family(family).content {
        Content::Plain(kind) => writer.kind(kind, value),
        Content::Session => writer.record(&schema::SESSION_RECORD, value),
        Content::SenderKey => sender_key::write(writer, value),
    };
    written.map_err(|fault| fault.into_problem(family))
}

/// The value, and the number of elements that were left out because they held nothing.
fn read(family: &'static Family, json: &Json<'_>, ctx: &DecodeContext) -> Outcome<(Value, u64)> {
    let reader = Reader {
        dialect: dialect(family, json),
        local_identity: ctx.local_identity,
        dropped: Cell::default(),
    };
    let value = match &family.content {
        Content::Plain(kind) => reader.kind(kind, json),
        Content::Session => session::read(&reader, json),
        Content::SenderKey => sender_key::read(&reader, json),
    }?;
    Ok((value, reader.dropped.get()))
}

fn dialect(family: &Family, json: &Json<'_>) -> Dialect {
    telling_dialect(family, json).unwrap_or(Dialect::Baileys)
}

fn telling_dialect(family: &Family, json: &Json<'_>) -> Option<Dialect> {
    if legacy::recognises(json) {
        return Some(Dialect::Legacy);
    }
    let (name, key) = family.marker?;
    let has = |member: &str| !member.is_empty() && json.get(member).is_some();
    if has(name) {
        Some(Dialect::Baileys)
    } else {
        has(key).then_some(Dialect::Explicit)
    }
}
