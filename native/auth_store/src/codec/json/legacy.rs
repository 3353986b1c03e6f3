//! The dialect of baileys_ex before alpha.4: tagged run-time terms.
//!
//! | term | JSON |
//! |---|---|
//! | struct | `{"__type__":"struct","module":…,"value":…}` |
//! | map with other keys than atoms and strings | `{"__type__":"map","entries":[[key,value],…]}` |
//! | map with atom keys | an object, with their names in `"__atom_keys__"` |
//! | tuple, atom | `{"__type__":"tuple","items":[…]}`, `{"__type__":"atom","value":…}` |
//! | binary | a string if it is printable, else `{"type":"Buffer","data":[…]}` |
//!
//! Atoms and modules that the tables do not know are refused, so that no file creates new atoms.

use std::borrow::Cow;
use std::collections::HashSet;

use crate::Value;

use super::super::fault::{Fault, Outcome};
use super::super::keys::check_unique;
use super::leaf::{check_length, utf8};
use super::schema::{self, Keys, Record};
use super::tree::Json;
use super::{bytes, free_form};

const TYPE: &str = "__type__";
const ATOM_KEYS: &str = "__atom_keys__";

/// The name of a member of a record.
#[derive(Clone, Copy)]
pub(super) enum Name<'j> {
    /// A name in a file of another dialect.
    Plain(&'j str),
    Atom(&'j str),
    Text(&'j str),
}

/// The key of a map.
#[derive(Clone, Copy)]
pub(super) enum Key<'j, 'a> {
    Text(&'j str),
    Atom(&'j str),
    Term(&'j Json<'a>),
}

type Entries<'j, 'a> = Vec<(Key<'j, 'a>, &'j Json<'a>)>;

/// Whether a whole file is in this dialect.
pub(super) fn recognises(json: &Json<'_>) -> bool {
    let tagged = json.get(TYPE).is_some_and(|tag| tag.text().is_some());
    tagged || matches!(json.get(ATOM_KEYS), Some(Json::List(_)))
}

/// Whether this member would make [`recognises`] accept a file in the format of Baileys.
pub(super) fn is_mark(name: &str, value: &Value) -> bool {
    match value {
        Value::Binary(_) => name == TYPE,
        Value::List(_) => name == ATOM_KEYS,
        _ => false,
    }
}

/// The members of a record, which may be tagged as its struct or be a map.
pub(super) fn members<'j, 'a>(
    json: &'j Json<'a>,
    record: &Record,
) -> Outcome<Vec<(Name<'j>, &'j Json<'a>)>> {
    let entries = if tag(json) == Some("struct") {
        let module = json.get("module").and_then(Json::text);
        if module.is_none() || (module != record.module && module != record.also) {
            return Err(Fault::new("is a struct of another module"));
        }
        entries(
            json.get("value")
                .ok_or_else(|| Fault::new("is an empty struct tag"))?,
        )?
    } else {
        entries(json)?
    };
    entries
        .into_iter()
        .map(|(key, json)| match key {
            Key::Atom(name) => Ok((Name::Atom(name), json)),
            Key::Text(name) => Ok((Name::Text(name), json)),
            Key::Term(_) => Err(Fault::new("has a key that is no name")),
        })
        .collect()
}

/// The entries of a map, tagged or not.
pub(super) fn entries<'j, 'a>(json: &'j Json<'a>) -> Outcome<Entries<'j, 'a>> {
    match tag(json) {
        Some("map") => tagged_entries(json),
        Some(_) => Err(Fault::expected("a map", "another term")),
        None => object_entries(json),
    }
}

fn tagged_entries<'j, 'a>(json: &'j Json<'a>) -> Outcome<Entries<'j, 'a>> {
    let Some(Json::List(entries)) = json.get("entries") else {
        return Err(Fault::new("is a map tag without entries"));
    };
    entries
        .iter()
        .map(|entry| match entry {
            Json::List(pair) if pair.len() == 2 => Ok((key_of(&pair[0]), &pair[1])),
            _ => Err(Fault::new("a map entry is no pair")),
        })
        .collect()
}

fn key_of<'j, 'a>(json: &'j Json<'a>) -> Key<'j, 'a> {
    match (json.text(), atom(json)) {
        (Some(text), _) => Key::Text(text),
        (None, Some(name)) => Key::Atom(name),
        (None, None) => Key::Term(json),
    }
}

fn object_entries<'j, 'a>(json: &'j Json<'a>) -> Outcome<Entries<'j, 'a>> {
    let pairs = json.object()?;
    let atoms: HashSet<&str> = match json.get(ATOM_KEYS) {
        Some(Json::List(names)) => names.iter().filter_map(Json::text).collect(),
        Some(_) => return Err(Fault::new("the names of the atom keys are no list")),
        None => HashSet::new(),
    };
    let key = |name: &'j Cow<'a, str>| {
        if atoms.contains(name.as_ref()) {
            Key::Atom(name)
        } else {
            Key::Text(name)
        }
    };
    Ok(pairs
        .iter()
        .filter(|(name, _)| name != ATOM_KEYS)
        .map(|(name, json)| (key(name), json))
        .collect())
}

fn tag<'j>(json: &'j Json<'_>) -> Option<&'j str> {
    json.get(TYPE).and_then(Json::text)
}

/// The name of a tagged atom.
pub(super) fn atom<'j>(json: &'j Json<'_>) -> Option<&'j str> {
    if tag(json) == Some("atom") {
        json.get("value").and_then(Json::text)
    } else {
        None
    }
}

/// Reads a key of a map whose type of keys the table knows.
pub(super) fn key(key: Key<'_, '_>, keys: Keys) -> Outcome<Value> {
    let value = match (key, keys) {
        (Key::Text(text), Keys::Text | Keys::Chain) => Value::text(text),
        (Key::Text(text), Keys::Bytes(lengths)) => {
            check_length(text.as_bytes(), lengths).map_err(Fault::item)?;
            Value::text(text)
        }
        (Key::Term(json), Keys::Text | Keys::Chain) => {
            Value::text(bytes::read(json).and_then(utf8).map_err(Fault::item)?)
        }
        (Key::Term(json), Keys::Bytes(lengths)) => {
            let bytes = bytes::read(json).map_err(Fault::item)?;
            check_length(&bytes, lengths).map_err(Fault::item)?;
            Value::Binary(bytes)
        }
        (Key::Term(json), Keys::Int) => match json.int() {
            Some(int) if int >= 0 => Value::Int(int),
            _ => return Err(Fault::new("a key is not a number").item()),
        },
        (Key::Text(_), Keys::Int) | (Key::Atom(_), _) => {
            return Err(Fault::new("a key is of another type").item());
        }
    };
    Ok(value)
}

/// Reads a term without a table.
pub(super) fn free(json: &Json<'_>) -> Outcome<Value> {
    match json {
        Json::List(items) => free_list(items).map(Value::List),
        Json::Object(_) => match tag(json) {
            Some("atom") => known_atom(atom(json)),
            Some("tuple") => match json.get("items") {
                Some(Json::List(items)) => free_list(items).map(Value::Tuple),
                _ => Err(Fault::new("is a tuple tag without items")),
            },
            Some("struct") => Err(Fault::new("is a struct where none belongs")),
            _ => match bytes::tagged(json) {
                Some(bytes) => bytes.map(Value::Binary),
                None => free_map(json),
            },
        },
        scalar => Ok(free_form::read_scalar(scalar)),
    }
}

fn free_list(items: &[Json<'_>]) -> Outcome<Vec<Value>> {
    items
        .iter()
        .map(|item| free(item).map_err(Fault::item))
        .collect()
}

fn free_map(json: &Json<'_>) -> Outcome<Value> {
    let pairs = entries(json)?
        .into_iter()
        .map(|(key, json)| {
            let value = free(json).map_err(|fault| match key {
                Key::Text(name) | Key::Atom(name) => fault.key(name),
                Key::Term(_) => fault.item(),
            })?;
            let key = match key {
                Key::Text(text) => Value::text(text),
                Key::Atom(name) => known_atom(Some(name))?,
                Key::Term(json) => free(json).map_err(Fault::item)?,
            };
            Ok((key, value))
        })
        .collect::<Outcome<Vec<_>>>()?;
    check_unique(&pairs)?;
    Ok(Value::Map(pairs))
}

fn known_atom(name: Option<&str>) -> Outcome<Value> {
    match name {
        Some(name @ ("nil" | "true" | "false")) => Ok(Value::atom(name.to_owned())),
        Some(name) if schema::is_known_atom(name) => Ok(Value::atom(name.to_owned())),
        _ => Err(Fault::new("names an atom that is not of the schema")),
    }
}
