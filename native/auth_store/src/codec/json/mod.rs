//! The JSON files: Baileys' shape in both directions, and the two older dialects of baileys_ex.
//!
//! One table per family (`schema`) is walked from JSON to a term (`read`) and back
//! (`write`). A file's dialect is recognised by its own content.
//!
//! # Unknown members
//!
//! A member that the tables do not know is kept under its string key: those of creds in
//! `unknown_fields`, others in the map they are in. It is kept as JSON has it, bytes in their
//! object, and so is written back exactly; only where a table says free-form (`additionalData`, a
//! family that Baileys does not have) do bytes become binaries.
//!
//! # What comes back
//!
//! [`decode`] gives for what [`encode`] wrote the same value, but for these, which have one form
//! at run time and are taken in another:
//!
//! * an optional member that is missing or nil reads as its default
//! * empty text in a message key, and an empty private signing key, read as nil
//! * an addressing mode as text reads as its atom; a `MessageKey` struct as a plain map
//! * an app-state sync key that is bare bytes reads as the map with them, since Baileys has no bare one
//! * the two members of `default_disappearing_mode` read under Baileys' names
//! * in a session, a missing `used` or `created` is the time of writing, and a missing
//!   `local_identity_key` the account's

mod bytes;
mod damage;
mod dialect;
mod elsewhere;
mod emit;
mod free_form;
mod leaf;
mod legacy;
mod local_identity;
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
use read::Reader;
use schema::{Content, Family};
use tree::Json;

pub use damage::document_before_remains;
pub use dialect::Dialect;
pub use elsewhere::{Kept, KeptValue, kept, unwrapped};
pub use local_identity::local_identity;
pub use sender_key::SenderKeyForm;

/// The struct that credentials are at run time.
pub const STATE_MODULE: &str = "Elixir.BaileysEx.Auth.State";

/// What a file does not say.
#[derive(Clone, Copy, Default)]
pub struct DecodeContext<'a> {
    /// `<<5>> <> signedIdentityKey.public` of the account: sessions hold it at run time only.
    pub local_identity: Option<&'a [u8]>,
}

/// What a term does not say.
#[derive(Clone, Copy, Default)]
pub struct EncodeContext<'a> {
    /// Left out of the session files of this account.
    pub local_identity: Option<&'a [u8]>,
    /// The time of writing in milliseconds, for sessions that do not know when they were used.
    pub now_ms: i64,
    /// What the readers of the file can read.
    pub sender_keys: SenderKeyForm,
    /// How bytes are spelled.
    pub bytes: BytesForm,
}

/// How bytes are spelled: `{"type":"Buffer","data":…}` with these data. Baileys reads both.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum BytesForm {
    /// As Baileys writes them.
    #[default]
    Base64,
    /// A list of numbers, as `Buffer.toJSON` gives it. Some stores read nothing else.
    List,
}

/// Reads a file of a family of keys, or `"creds"`. A family that Baileys does not have is free-form.
///
/// A [`Problem`] says what is missing, of another type or length than it must be, not JSON, cut
/// off, nested too deep, or, in the legacy dialect, an atom or module that no table knows.
pub fn decode(family: &str, bytes: &[u8], ctx: &DecodeContext) -> Result<Value, Problem> {
    decode_telling(family, bytes, ctx).map(|told| told.value)
}

/// What a file holds, and what is to be said about it.
pub struct Told {
    pub value: Value,
    /// `None` where the content is the same in Baileys' and the explicit dialect.
    pub dialect: Option<Dialect>,
    /// How many elements of lists held nothing and were left out.
    pub dropped: u64,
}

/// As [`decode`], with what is to be said about the file.
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

/// Tries again without halves of surrogate pairs, if there are any and they may be to blame.
fn or_mended<T>(bytes: &[u8], decode: impl Fn(&[u8]) -> Outcome<T>) -> Outcome<T> {
    decode(bytes).or_else(|fault| match surrogates::mended(bytes) {
        Some(mended) => decode(&mended),
        None => Err(fault),
    })
}

/// Whether a file holds `null` and nothing else: what some stores leave of a key that was deleted.
pub fn is_null(bytes: &[u8]) -> bool {
    tree::without_mark(bytes).trim_ascii() == b"null"
}

/// Writes a term as Baileys would.
///
/// A [`Problem`] names the member that is missing or of another type or length than it must be, or
/// that JSON cannot hold: atoms, tuples, structs and keys that are not strings where none belong,
/// text that is not UTF-8, integers beyond 64 bits, floats that are not finite, nesting that could
/// not be read again, and maps that could not be told from bytes.
pub fn encode(family: &str, value: &Value, ctx: &EncodeContext) -> Result<Vec<u8>, Problem> {
    let mut writer = Writer::new(ctx);
    write(&mut writer, family, value)?;
    Ok(writer.into_bytes())
}

/// Whether the members that the tables know have their types and lengths. What is free-form or
/// unknown is not looked at: a native file may hold any term there.
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

/// The value, and how many elements held nothing.
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
