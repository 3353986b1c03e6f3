//! The same JSON kept elsewhere than in a file of its own: in the rows of a table, in the lines of
//! a dump, or in one document for the whole account.
//!
//! Some stores keep text as it is, others as JSON within JSON, and `mysql-baileys` keeps a string
//! without its quotes. The document is `{"creds": …, "keys": {family: {id: …}}}`. The single file
//! that Baileys wrote before it used a directory has its own names for the families.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::super::Problem;
use super::super::fault::{Fault, Outcome};
use super::mark::without_mark;
use super::schema::{self, Content, Kind};
use super::{or_mended, tree};
use crate::layout;

/// How many times JSON may be wrapped as text within JSON.
const MAX_WRAPS: usize = 2;

/// The names of the families in Baileys' single file.
const SINGLE_FILE: [(&str, &str); 6] = [
    ("preKeys", "pre-key"),
    ("sessions", "session"),
    ("senderKeys", "sender-key"),
    ("appStateSyncKeys", "app-state-sync-key"),
    ("appStateVersions", "app-state-sync-version"),
    ("senderKeyMemory", "sender-key-memory"),
];

/// The content of a line or document.
#[derive(Debug, PartialEq)]
pub enum Kept {
    Row { name: String, value: Vec<u8> },
    Account(Vec<KeptValue>),
}

/// A value of an account. Credentials have no id.
#[derive(Debug, PartialEq)]
pub struct KeptValue {
    pub family: String,
    pub id: Option<String>,
    pub value: Vec<u8>,
}

/// Reads a line, `{"name": …, "value": …}` or `[name, value]`, or a document. Values are not
/// decoded.
pub fn kept(text: &[u8]) -> Result<Kept, Problem> {
    or_mended(&without_wraps(text), |text| match Shape::of(text)? {
        Shape::List(items) => match items[..] {
            [name, value] => row(name, value),
            _ => Err(Fault::new("expected a list of a name and a value")),
        },
        Shape::Object(members) => {
            let member = |name: &str| member(&members, name);
            match (
                member("keys"),
                member("creds"),
                member("name"),
                member("value"),
            ) {
                (None, None, Some(name), Some(value)) => row(name, value),
                (None, None, _, _) => Err(Fault::new(
                    "expected a name and a value, or an account's creds and keys",
                )),
                (keys, creds, _, _) => account(creds, keys),
            }
        }
        Shape::Other => Err(Fault::new(
            "expected a name and a value, or an account's creds and keys",
        )),
    })
    .map_err(|fault| fault.into_problem(""))
}

fn row(name: &RawValue, value: &RawValue) -> Outcome<Kept> {
    let name = string(name.get()).ok_or_else(|| Fault::new("the name is not a string"))?;
    Ok(Kept::Row {
        name,
        value: value.get().as_bytes().to_vec(),
    })
}

fn account(creds: Option<&RawValue>, keys: Option<&RawValue>) -> Outcome<Kept> {
    let mut values = Vec::new();
    if let Some(creds) = creds {
        values.push(KeptValue {
            family: layout::CREDS.to_owned(),
            id: None,
            value: creds.get().as_bytes().to_vec(),
        });
    }
    each(keys, "keys", |family, of_family| {
        let name = SINGLE_FILE.iter().find(|(old, _)| *old == family);
        let family = name.map_or(family, |(_, current)| current);
        each(Some(of_family), family, |id, value| {
            values.push(KeptValue {
                family: family.to_owned(),
                id: Some(id.to_owned()),
                value: value.get().as_bytes().to_vec(),
            });
            Ok(())
        })
    })?;
    Ok(Kept::Account(values))
}

/// Calls `take` for each member of an object, which may be wrapped as text or be missing.
fn each(
    object: Option<&RawValue>,
    name: &str,
    mut take: impl FnMut(&str, &RawValue) -> Outcome<()>,
) -> Outcome<()> {
    let text = object.map_or(Cow::Borrowed(&b"null"[..]), |object| {
        without_wraps(object.get().as_bytes())
    });
    if super::is_null(&text) {
        return Ok(());
    }
    match Shape::of(&text)? {
        Shape::Object(members) => members
            .iter()
            .try_for_each(|(name, value)| take(name, value)),
        _ => Err(Fault::new(format!(
            "expected an object under {}",
            if layout::FAMILIES.contains(&name) {
                name
            } else {
                "keys"
            }
        ))),
    }
}

/// The JSON of a value, which may be wrapped as text or, in a family of plain text, lack its
/// quotes.
pub fn unwrapped<'a>(family: &str, value: &'a [u8]) -> Cow<'a, [u8]> {
    let value = without_wraps(value);
    let holds_text = matches!(schema::family(family).content, Content::Plain(Kind::Text));
    if holds_text && is_bare(&value) {
        let quoted = [b"\"", without_mark(&value).trim_ascii(), b"\""].concat();
        return Cow::Owned(quoted);
    }
    value
}

fn without_wraps(value: &[u8]) -> Cow<'_, [u8]> {
    let mut value = Cow::Borrowed(value);
    for _ in 0..MAX_WRAPS {
        match string_of(&value).filter(|inner| is_json(inner)) {
            Some(inner) => value = Cow::Owned(inner.into_bytes()),
            None => break,
        }
    }
    value
}

fn string_of(value: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(without_mark(value)).ok()?;
    string(text)
}

fn string(text: &str) -> Option<String> {
    if !text.trim_ascii_start().starts_with('"') {
        return None;
    }
    serde_json::from_str(text).ok()
}

/// The text of an actual value never starts like this: it is base64 or an id.
fn is_json(text: &str) -> bool {
    let text = text.trim_ascii();
    text.starts_with(['{', '[', '"']) || text == "null"
}

/// An id or a telephone number without quotes, as a store that keeps text as it is writes it.
fn is_bare(value: &[u8]) -> bool {
    let text = without_mark(value).trim_ascii();
    let may_be_id = |byte: &u8| byte.is_ascii_alphanumeric() || b"@._:+-".contains(byte);
    !text.is_empty() && text != b"null" && text.iter().all(may_be_id)
}

/// The outermost level of JSON text.
enum Shape<'a> {
    List(Vec<&'a RawValue>),
    Object(Vec<(Cow<'a, str>, &'a RawValue)>),
    Other,
}

impl<'a> Shape<'a> {
    fn of(text: &'a [u8]) -> Outcome<Shape<'a>> {
        let text = without_mark(text);
        let shape = match text.trim_ascii_start().first() {
            Some(b'[') => serde_json::from_slice(text).map(Shape::List),
            Some(b'{') => serde_json::from_slice(text).map(|Members(all)| Shape::Object(all)),
            _ => serde_json::from_slice(text).map(|_: &RawValue| Shape::Other),
        };
        shape.map_err(|error| tree::syntax(text, &error))
    }
}

/// If a name occurs more than once, the last value counts, as in `JSON.parse`.
fn member<'a>(members: &[(Cow<'a, str>, &'a RawValue)], name: &str) -> Option<&'a RawValue> {
    let found = members.iter().rev().find(|(member, _)| member == name);
    found.map(|(_, value)| *value)
}

struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor).map(Members)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Vec<(Cow<'de, str>, &'de RawValue)>;

    // Mutants: our errors replace those of serde, so this text is never shown.
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(name) = access.next_key_seed(tree::Name)? {
            members.push((name, access.next_value()?));
        }
        Ok(members)
    }
}
