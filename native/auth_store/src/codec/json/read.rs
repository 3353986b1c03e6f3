//! Follows the tables from JSON to a run-time term.

use std::borrow::Cow;
use std::cell::Cell;

use crate::Value;

use super::super::fault::{Fault, Outcome};
use super::super::keys::check_unique;
use super::bytes;
use super::dialect::Dialect;
use super::emit::out_of_range;
use super::free_form;
use super::leaf::{check_length, decimal, int, known, timestamp, utf8};
use super::legacy::{self, Name};
use super::schema::{Keys, Kind, Member, Presence, Record, Unknown};
use super::tree::Json;

pub(super) mod sender_keys;

/// No table has more members than this.
const MAX_MEMBERS: usize = 24;

pub(super) struct Reader<'c> {
    pub(super) dialect: Dialect,
    pub(super) local_identity: Option<&'c [u8]>,
    /// The number of elements that were left out because they held nothing.
    pub(super) dropped: Cell<u64>,
}

impl Reader<'_> {
    pub(super) fn kind(&self, kind: &'static Kind, json: &Json<'_>) -> Outcome<Value> {
        match self.strictly(kind, json) {
            Err(_) if kind.is_lenient() => self.carried(json),
            outcome => outcome,
        }
    }

    /// The JSON as the file has it, to be written back unchanged.
    fn carried(&self, json: &Json<'_>) -> Outcome<Value> {
        if self.dialect == Dialect::Legacy {
            legacy::free(json)
        } else {
            Ok(free_form::read_verbatim(json))
        }
    }

    fn strictly(&self, kind: &'static Kind, json: &Json<'_>) -> Outcome<Value> {
        match kind {
            Kind::Carried(inner) => self.kind(inner, json),
            Kind::Bytes(_, lengths) => self.bytes_of(json, lengths).map(Value::Binary),
            Kind::BytesOrNil(lengths) => {
                // `JSON.stringify` makes this of an empty Uint8Array.
                if matches!(json, Json::Object(pairs) if pairs.is_empty()) {
                    return Ok(Value::Nil);
                }
                let bytes = self.bytes(json)?;
                if bytes.is_empty() {
                    return Ok(Value::Nil);
                }
                check_length(&bytes, lengths)?;
                Ok(Value::Binary(bytes))
            }
            Kind::Token => match json.text() {
                Some(text) => Ok(Value::text(text)),
                None => bytes::read(json).map(Value::Binary),
            },
            Kind::Text | Kind::Vital => self.text(json).map(|text| Value::text(text.into_owned())),
            Kind::TextOrNil => {
                let text = self.text(json)?;
                Ok(if text.is_empty() {
                    Value::Nil
                } else {
                    Value::text(text)
                })
            }
            Kind::Int => int(json).map(Value::Int),
            Kind::Id => match int(json)? {
                id if id < 0 => Err(Fault::new("is negative")),
                id => Ok(Value::Int(id)),
            },
            Kind::Bool => match json {
                Json::Bool(bool) => Ok(Value::Bool(*bool)),
                other => Err(Fault::expected("a boolean", other.kind())),
            },
            Kind::Timestamp(_) => timestamp(json).map(Value::Int),
            Kind::Counter => {
                let counter = int(json)? + i128::from(self.dialect == Dialect::Baileys);
                if counter > i128::from(u64::MAX) {
                    return Err(out_of_range());
                }
                Ok(Value::Int(counter))
            }
            Kind::Closed => self.closed(json),
            Kind::Code(codes) => self.code(json, codes),
            Kind::Word(words) => self.word(json, words),
            Kind::LocalIdentity => self.bytes_of(json, &[32, 33]).map(Value::Binary),
            Kind::Constant(text) => match json.text() {
                Some(found) if found == *text => Ok(Value::Nil),
                _ => Err(Fault::new("an unsupported version")),
            },
            Kind::List(inner) => self.list(json, inner),
            Kind::Map(keys, inner) => self.map(json, *keys, inner),
            Kind::Record(record) => self.record(record, json),
            Kind::BytesOr(lengths, _) if is_bare(json) || bytes::are_spelled(json) => {
                self.bytes_of(json, lengths).map(Value::Binary)
            }
            Kind::BytesOr(_, inner) => self.kind(inner, json),
            Kind::RecordOrBytes(_) if is_bare(json) => self.bytes(json).map(Value::Binary),
            Kind::RecordOrBytes(record) => self.record(record, json),
            Kind::SenderKeyStates => sender_keys::read_states(self, json),
            Kind::SenderMessageKeys => sender_keys::read_message_keys(self, json),
            Kind::Free => self.free(json),
            Kind::FreeNamed(names) => self.free(json).map(|value| free_form::rename(value, names)),
        }
    }

    /// Counts an element that is left out because it holds nothing.
    pub(super) fn drop_element(&self) {
        self.dropped.set(self.dropped.get() + 1);
    }

    pub(super) fn record(&self, record: &'static Record, json: &Json<'_>) -> Outcome<Value> {
        if self.dialect == Dialect::Legacy {
            self.members(record, legacy::members(json, record)?.into_iter())
        } else {
            self.members(record, plain(json.object()?))
        }
    }

    pub(super) fn members<'j, 'a: 'j>(
        &self,
        record: &'static Record,
        pairs: impl Iterator<Item = (Name<'j>, &'j Json<'a>)>,
    ) -> Outcome<Value> {
        let mut found: [Option<&Json<'_>>; MAX_MEMBERS] = [None; MAX_MEMBERS];
        let mut unknown = Vec::new();
        let mut expected = 0;
        for (name, json) in pairs {
            match self.place(record, name, expected)? {
                Some(place) => {
                    found[place] = Some(json);
                    // Mutants: this is only the first guess of `place`; a wrong one costs time alone.
                    expected = place + 1;
                }
                None => unknown.push(unknown_member(name, json)),
            }
        }
        let mut members = Vec::with_capacity(record.members.len() + unknown.len() + 1);
        if let Some(module) = record.module {
            members.push((Value::atom("__struct__"), Value::atom(module)));
        }
        for (member, json) in record.members.iter().zip(found) {
            let value = self.member(member, json).map_err(|fault| {
                fault.member(if member.key.is_empty() {
                    member.name
                } else {
                    member.key
                })
            })?;
            if let Some(value) = value {
                members.push((Value::atom(member.key), value));
            }
        }
        match record.unknown {
            Unknown::Under(key) => members.push((Value::atom(key), Value::Map(unknown))),
            Unknown::Beside => members.append(&mut unknown),
            Unknown::Nowhere if unknown.is_empty() => {}
            Unknown::Nowhere => return Err(Fault::new("holds a member that has no place in it")),
        }
        Ok(Value::Map(members))
    }

    /// The member that a name stands for. Files usually have the order of the table, so that place
    /// is tried first.
    fn place(&self, record: &Record, name: Name<'_>, expected: usize) -> Outcome<Option<usize>> {
        let (name, by_key) = match name {
            Name::Plain(name) => (name, self.dialect != Dialect::Baileys),
            Name::Atom(name) => (name, true),
            Name::Text(_) => return Ok(None),
        };
        let is = |member: &Member| {
            let own = if by_key { member.key } else { member.name };
            own == name && !name.is_empty()
        };
        if record.members.get(expected).is_some_and(is) {
            return Ok(Some(expected));
        }
        let place = record.members.iter().position(is);
        if place.is_none() && by_key && self.dialect == Dialect::Legacy {
            return Err(Fault::new("names an atom that is not of the schema"));
        }
        Ok(place)
    }

    fn member(&self, member: &'static Member, json: Option<&Json<'_>>) -> Outcome<Option<Value>> {
        if matches!(member.kind, Kind::LocalIdentity) {
            return self.local_identity(&member.kind, json).map(Some);
        }
        let json = match (json, &member.presence) {
            (Some(Json::Null), Presence::Required) if !may_be_null(&member.kind) => {
                // As a carried value this would be nil, which is not written. So the member counts
                // as missing, and whatever holds it is carried instead.
                return match self.kind(&member.kind, &Json::Null) {
                    Ok(Value::Nil) => Err(Fault::missing()),
                    null => null.map(Some).map_err(Fault::absence),
                };
            }
            (Some(json), Presence::Required) => json,
            (None, Presence::Required) => return Err(Fault::missing()),
            (Some(Json::Null) | None, presence) => {
                return Ok(match presence {
                    _ if member.key.is_empty() => None,
                    Presence::Default(default) => Some(default()),
                    Presence::OptionalList => Some(Value::List(Vec::new())),
                    Presence::Extra | Presence::ExtraNow => None,
                    Presence::Optional | Presence::Required => Some(Value::Nil),
                });
            }
            (Some(json), _) => json,
        };
        let value = self.kind(&member.kind, json)?;
        Ok((!member.key.is_empty()).then_some(value))
    }

    /// The identity in the file, or else that of the account.
    fn local_identity(&self, kind: &'static Kind, json: Option<&Json<'_>>) -> Outcome<Value> {
        match json {
            Some(Json::Null) | None => Ok(match self.local_identity {
                Some(identity) => Value::Binary(identity.to_vec()),
                None => Value::Nil,
            }),
            Some(json) => self.kind(kind, json),
        }
    }

    pub(super) fn list(&self, json: &Json<'_>, inner: &'static Kind) -> Outcome<Value> {
        json.list()?
            .iter()
            .filter_map(|item| self.element(inner, item).transpose())
            .collect::<Outcome<Vec<_>>>()
            .map(Value::List)
    }

    /// Reads an element of a list or map. One that cannot be read and holds nothing is dropped, so
    /// that it does not make the others unreadable.
    fn element(&self, inner: &'static Kind, json: &Json<'_>) -> Outcome<Option<Value>> {
        match self.kind(inner, json) {
            Ok(value) => Ok(Some(value)),
            Err(_) if bytes::hold_nothing(json) => {
                self.drop_element();
                Ok(None)
            }
            Err(fault) => Err(fault.item()),
        }
    }

    fn map(&self, json: &Json<'_>, keys: Keys, inner: &'static Kind) -> Outcome<Value> {
        let pairs = if self.dialect == Dialect::Legacy {
            legacy::entries(json)?
                .into_iter()
                .filter_map(|(key, json)| {
                    let value = self.element(inner, json).transpose()?;
                    Some(value.and_then(|value| Ok((legacy::key(key, keys)?, value))))
                })
                .collect::<Outcome<Vec<_>>>()?
        } else {
            json.object()?
                .iter()
                .filter_map(|(name, json)| {
                    let value = self.element(inner, json).transpose()?;
                    Some(value.and_then(|value| Ok((self.key(name, keys)?, value))))
                })
                .collect::<Outcome<Vec<_>>>()?
        };
        // Two names may spell the same bytes. Equal names are already merged.
        if keys != Keys::Text {
            check_unique(&pairs)?;
        }
        Ok(Value::Map(pairs))
    }

    fn key(&self, name: &str, keys: Keys) -> Outcome<Value> {
        match keys {
            Keys::Chain if self.dialect == Dialect::Explicit => bytes::from_base64(name)
                .and_then(utf8)
                .map(Value::text)
                .map_err(Fault::item),
            Keys::Text | Keys::Chain => Ok(Value::text(name)),
            Keys::Bytes(lengths) => {
                let bytes = bytes::from_base64(name).map_err(Fault::item)?;
                check_length(&bytes, lengths).map_err(Fault::item)?;
                Ok(Value::Binary(bytes))
            }
            Keys::Int => decimal(name)
                .filter(|int| *int >= 0)
                .map(Value::Int)
                .ok_or_else(|| Fault::new("a name is not a decimal number").item()),
        }
    }

    fn bytes_of(&self, json: &Json<'_>, lengths: &[usize]) -> Outcome<Vec<u8>> {
        let bytes = self.bytes(json);
        if bytes
            .as_ref()
            .is_ok_and(|bytes| check_length(bytes, lengths).is_ok())
        {
            return bytes;
        }
        // Hexadecimal text has two digits for each byte, so its length as base64 never matches.
        if let Some(bytes) = json.text().and_then(bytes::from_hex)
            && lengths.contains(&bytes.len())
        {
            return Ok(bytes);
        }
        bytes.and_then(|bytes| check_length(&bytes, lengths).map(|()| bytes))
    }

    fn bytes(&self, json: &Json<'_>) -> Outcome<Vec<u8>> {
        match json.text() {
            // In the legacy dialect, a printable binary is written as its own text.
            Some(text) if self.dialect == Dialect::Legacy => Ok(text.as_bytes().to_vec()),
            _ => bytes::read(json),
        }
    }

    /// baileys_ex tags text that is not printable.
    fn text<'j>(&self, json: &'j Json<'_>) -> Outcome<Cow<'j, str>> {
        match json {
            Json::Text(text) => Ok(Cow::Borrowed(text)),
            Json::Object(_) if self.dialect != Dialect::Baileys => {
                bytes::read(json).and_then(utf8).map(Cow::Owned)
            }
            other => Err(Fault::expected("a string", other.kind())),
        }
    }

    fn closed(&self, json: &Json<'_>) -> Outcome<Value> {
        match json {
            Json::Null if self.dialect != Dialect::Baileys => Ok(Value::Nil),
            _ => int(json).map(|at| if at == -1 { Value::Nil } else { Value::Int(at) }),
        }
    }

    fn code(&self, json: &Json<'_>, codes: &[(i64, &'static str)]) -> Outcome<Value> {
        let name = match self.dialect {
            Dialect::Baileys => json
                .int()
                .and_then(|int| codes.iter().find(|(code, _)| i128::from(*code) == int))
                .map(|(_, name)| *name),
            Dialect::Explicit => known(json.text(), codes.iter().map(|(_, name)| *name)),
            Dialect::Legacy => known(legacy::atom(json), codes.iter().map(|(_, name)| *name)),
        };
        name.map(Value::atom)
            .ok_or_else(|| Fault::new("is none of the known types"))
    }

    fn word(&self, json: &Json<'_>, words: &[&'static str]) -> Outcome<Value> {
        let atom = legacy::atom(json).filter(|_| self.dialect == Dialect::Legacy);
        let text = match atom {
            Some(atom) => Cow::Borrowed(atom),
            None => self.text(json)?,
        };
        match known(Some(&text), words.iter().copied()) {
            Some(word) => Ok(Value::atom(word)),
            None if atom.is_some() => Err(Fault::new("names an atom that is not of the schema")),
            None if text.is_empty() => Ok(Value::Nil),
            None => Ok(Value::text(text)),
        }
    }

    fn free(&self, json: &Json<'_>) -> Outcome<Value> {
        if self.dialect == Dialect::Legacy {
            legacy::free(json)
        } else {
            free_form::read(json)
        }
    }
}

/// Whether null has a meaning of its own for this kind.
fn may_be_null(kind: &Kind) -> bool {
    matches!(kind, Kind::Closed | Kind::Free | Kind::FreeNamed(_))
}

fn unknown_member(name: Name<'_>, json: &Json<'_>) -> (Value, Value) {
    let (Name::Plain(name) | Name::Atom(name) | Name::Text(name)) = name;
    (Value::text(name), free_form::read_verbatim(json))
}

/// Whether the JSON spells bytes.
fn is_bare(json: &Json<'_>) -> bool {
    json.text().is_some() || free_form::as_bytes(json).is_some()
}

fn plain<'j, 'a>(
    pairs: &'j [(Cow<'a, str>, Json<'a>)],
) -> impl Iterator<Item = (Name<'j>, &'j Json<'a>)> {
    pairs.iter().map(|(name, json)| (Name::Plain(name), json))
}
