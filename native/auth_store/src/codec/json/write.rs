//! Follows the tables from a run-time term to the JSON of Baileys.

use std::borrow::Cow;

use crate::Value;

use super::super::fault::{Fault, Outcome};
use super::dialect::Dialect;
use super::emit::{Writer, out_of_range};
use super::free_form::{self, Style};
use super::leaf::check_length;
use super::read::Reader;
use super::schema::{Form, Keys, Kind, Member, Presence, Record, Unknown};
use super::{bytes, legacy, sender_key, tree};

mod fields;

use fields::{Fields, sorted};

impl Writer<'_> {
    pub(super) fn kind(&mut self, kind: &'static Kind, value: &Value) -> Outcome<()> {
        let mark = self.mark();
        let outcome = self.strictly(kind, value);
        if outcome.is_ok() || !kind.is_lenient() {
            return outcome;
        }
        // The value was carried, so it is written as it was found.
        self.back_to(mark);
        if self.known_only {
            self.raw("null");
            return Ok(());
        }
        match free_form::write(self, value, Style::Verbatim) {
            Ok(()) if self.reads_back(mark, kind, value) => Ok(()),
            _ => outcome,
        }
    }

    /// Whether what was written since the mark reads back as this value. If not, for example
    /// because it holds bytes, the value was never carried.
    fn reads_back(&self, mark: (usize, usize), kind: &'static Kind, value: &Value) -> bool {
        let reader = Reader {
            dialect: Dialect::Baileys,
            local_identity: None,
            dropped: std::cell::Cell::default(),
        };
        tree::parse(self.since(mark))
            .and_then(|json| reader.kind(kind, &json))
            .is_ok_and(|again| same(&again, value))
    }

    fn strictly(&mut self, kind: &'static Kind, value: &Value) -> Outcome<()> {
        match kind {
            Kind::Carried(inner) => self.kind(inner, value),
            Kind::Bytes(form, lengths) => self.bytes(binary(value)?, *form, lengths),
            Kind::LocalIdentity => self.bytes(binary(value)?, Form::Text, &[32, 33]),
            Kind::BytesOrNil(lengths) => match value {
                Value::Nil => self.tagged(&[]),
                _ => {
                    let bytes = binary(value)?;
                    let lengths = if bytes.is_empty() { &[] } else { *lengths };
                    self.bytes(bytes, Form::Own, lengths)
                }
            },
            Kind::Token => self.tagged(binary(value)?),
            Kind::Text | Kind::TextOrNil | Kind::Vital => {
                self.text(text(value)?);
                Ok(())
            }
            Kind::Int => self.int(int(value)?),
            Kind::Id => match int(value)? {
                id if id < 0 => Err(Fault::new("is negative")),
                id => self.int(id),
            },
            Kind::Bool => match value {
                Value::Bool(bool) => {
                    self.bool(*bool);
                    Ok(())
                }
                other => Err(Fault::expected("a boolean", other.kind())),
            },
            Kind::Timestamp(Form::Own) => self.int(int(value)?),
            Kind::Timestamp(Form::Text) => {
                self.raw("\"");
                self.int(int(value)?)?;
                self.raw("\"");
                Ok(())
            }
            Kind::Counter => {
                let before = int(value)?.checked_sub(1);
                self.int(before.ok_or_else(out_of_range)?)
            }
            Kind::Closed => match value {
                Value::Nil => self.int(-1),
                Value::Int(-1) => Err(Fault::new("an open session is nil, not -1")),
                other => self.int(int(other)?),
            },
            Kind::Code(codes) => {
                let code = codes
                    .iter()
                    .find(|(_, name)| matches!(value, Value::Atom(atom) if atom == name));
                self.int(i128::from(code.ok_or_else(|| unknown_type(value))?.0))
            }
            Kind::Word(words) => {
                let word = match value {
                    Value::Atom(atom) if words.contains(&atom.as_ref()) => atom,
                    Value::Atom(_) => return Err(unknown_type(value)),
                    _ => text(value)?,
                };
                self.text(word);
                Ok(())
            }
            Kind::Constant(text) => {
                self.text(text);
                Ok(())
            }
            Kind::List(inner) => match value {
                Value::List(items) => self.list(items, |writer, item| writer.kind(inner, item)),
                other => Err(Fault::expected("a list", other.kind())),
            },
            Kind::Map(keys, inner) => self.map(value, *keys, inner),
            Kind::Record(record) => self.record(record, value),
            Kind::BytesOr(lengths, inner) => match value {
                Value::Binary(bytes) => self.bytes(bytes, Form::Own, lengths),
                other => self.kind(inner, other),
            },
            Kind::SenderKeyStates => sender_key::write_states(self, value),
            Kind::SenderMessageKeys => sender_key::write_message_keys(self, value),
            Kind::RecordOrBytes(record) => match value {
                Value::Binary(_) => self.record(record, &first_member(record, value)),
                other => self.record(record, other),
            },
            Kind::Free | Kind::FreeNamed(_) if self.known_only => {
                self.raw("null");
                Ok(())
            }
            Kind::Free => free_form::write(self, value, Style::Free),
            Kind::FreeNamed(names) => {
                let renamed = free_form::rename(value.clone(), names);
                free_form::write(self, &renamed, Style::Free)
            }
        }
    }

    pub(super) fn record(&mut self, record: &'static Record, value: &Value) -> Outcome<()> {
        let fields = self.fields(record, value)?;
        let members = || record.members.iter().zip(&fields.known);
        self.open('{')?;
        for (member, value) in members() {
            let kept = fields.unknown.iter().find(|(name, _)| *name == member.name);
            match kept {
                Some((name, kept)) if is_free(record, member, *value) => {
                    self.unknown_member(record, name, kept)?;
                }
                _ => self
                    .member(member, *value)
                    .map_err(|fault| fault.member(member.key))?,
            }
        }
        for &(name, value) in &fields.unknown {
            match members().find(|(member, _)| member.name == name) {
                None => self.unknown_member(record, name, value)?,
                // Written in the place of the member.
                Some((member, known)) if is_free(record, member, *known) => {}
                Some(_) => {
                    let fault = Fault::new("a string key takes the name of a known member");
                    return Err(fault.key(name));
                }
            }
        }
        self.close('}');
        Ok(())
    }

    fn unknown_member(&mut self, record: &Record, name: &str, value: &Value) -> Outcome<()> {
        self.free_member(name, value, Style::Verbatim)
            .map_err(|fault| match record.unknown {
                Unknown::Under(key) => fault.member(key),
                _ => fault,
            })
    }

    /// Sorts a map into the members that the table knows and the rest.
    pub(super) fn fields<'v>(&self, record: &Record, value: &'v Value) -> Outcome<Fields<'v>> {
        let mut fields = sorted(record, value)?;
        if self.known_only {
            fields.unknown.clear();
            return Ok(fields);
        }
        fields.misplaced.take().map_or(Ok(fields), Err)
    }

    fn member(&mut self, member: &'static Member, value: Option<&Value>) -> Outcome<()> {
        if member.name.is_empty() {
            return Ok(());
        }
        if let Kind::Constant(_) = member.kind {
            self.name(member.name);
            return self.kind(&member.kind, &Value::Nil);
        }
        let default;
        let value = match (value.unwrap_or(&Value::Nil), &member.presence) {
            (Value::Nil, Presence::Optional | Presence::Extra | Presence::OptionalList) => {
                return Ok(());
            }
            (Value::List(items), Presence::OptionalList) if items.is_empty() => return Ok(()),
            (Value::Nil, Presence::ExtraNow) => {
                default = Value::Int(i128::from(self.context.now_ms));
                &default
            }
            (Value::Nil, Presence::Default(make)) => {
                default = make();
                &default
            }
            (Value::Nil, Presence::Required) if !matches!(member.kind, Kind::Closed) => {
                return Err(Fault::new("is missing"));
            }
            (value, _) => value,
        };
        if self.is_left_out(&member.kind, value) {
            return Ok(());
        }
        self.name(member.name);
        self.kind(&member.kind, value)
    }

    fn is_left_out(&self, kind: &Kind, value: &Value) -> bool {
        match (kind, value) {
            (Kind::TextOrNil | Kind::Word(_), Value::Binary(text)) => text.is_empty(),
            (Kind::BytesOrNil(_), Value::Nil) => self.leaves_out_nil,
            (Kind::LocalIdentity, Value::Binary(identity)) => {
                self.context.local_identity == Some(identity)
            }
            _ => false,
        }
    }

    fn map(&mut self, value: &Value, keys: Keys, inner: &'static Kind) -> Outcome<()> {
        let mut members = map(value)?
            .iter()
            .map(|(key, value)| Ok((key_name(key, keys)?, value)))
            .collect::<Outcome<Vec<_>>>()
            .map_err(Fault::item)?;
        // Numbers by value, names by their bytes.
        members.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        self.open('{')?;
        for ((_, name), value) in members {
            self.check_no_mark(&name, value)?;
            self.name(&name);
            self.kind(inner, value).map_err(Fault::item)?;
        }
        self.close('}');
        Ok(())
    }

    fn bytes(&mut self, bytes: &[u8], form: Form, lengths: &[usize]) -> Outcome<()> {
        check_length(bytes, lengths)?;
        match form {
            Form::Own if !self.bytes_as_text => self.tagged(bytes)?,
            Form::Own => self.base64(bytes),
            Form::Text => self.base64(bytes),
        }
        Ok(())
    }

    /// Writes a member without a table.
    pub(super) fn free_member(&mut self, name: &str, value: &Value, style: Style) -> Outcome<()> {
        self.check_no_mark(name, value)?;
        self.name(name);
        free_form::write(self, value, style).map_err(|fault| fault.key(name))
    }

    fn check_no_mark(&self, name: &str, value: &Value) -> Outcome<()> {
        if self.depth == 1 && legacy::is_mark(name, value) {
            return Err(Fault::new("would mark the file as one of another format").key(name));
        }
        Ok(())
    }
}

/// Compares values without regard to the order of maps. Larger maps than any account has count as
/// different.
fn same(one: &Value, other: &Value) -> bool {
    const MOST: usize = 1_000;
    match (one, other) {
        (Value::Map(one), Value::Map(other)) => {
            one.len() == other.len()
                && one.len() <= MOST
                && one.iter().all(|(key, value)| {
                    let found = other.iter().find(|(name, _)| name == key);
                    found.is_some_and(|(_, other)| same(value, other))
                })
        }
        (Value::List(one), Value::List(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        _ => one == other,
    }
}

/// Whether a known member is empty, so that `unknown_fields` may supply it: an older version that
/// did not know the member has kept it there.
fn is_free(record: &Record, member: &Member, value: Option<&Value>) -> bool {
    matches!(record.unknown, Unknown::Under(_))
        && !matches!(member.presence, Presence::Required)
        && matches!(value, None | Some(Value::Nil))
}

fn first_member(record: &Record, value: &Value) -> Value {
    let key = record.members.first().map_or("", |member| member.key);
    Value::Map(vec![(Value::atom(key), value.clone())])
}

/// The name of a map's member, and the number to sort it by first.
fn key_name(key: &Value, keys: Keys) -> Outcome<(i128, Cow<'_, str>)> {
    match (key, keys) {
        (Value::Int(int), Keys::Int) => {
            let int = u64::try_from(*int).map_err(|_| out_of_range())?;
            Ok((i128::from(int), Cow::Owned(int.to_string())))
        }
        (Value::Binary(bytes), Keys::Bytes(lengths)) => {
            check_length(bytes, lengths)?;
            let mut name = Vec::new();
            bytes::to_base64(bytes, &mut name);
            let name = String::from_utf8(name).map_err(|_| Fault::new("is not base64"))?;
            Ok((0, Cow::Owned(name)))
        }
        (Value::Binary(text), Keys::Text | Keys::Chain) => Ok((0, Cow::Borrowed(utf8(text)?))),
        (other, _) => Err(Fault::new(format!("has {} as a key", other.kind()))),
    }
}

fn map(value: &Value) -> Outcome<&[(Value, Value)]> {
    match value {
        Value::Map(pairs) => Ok(pairs),
        other => Err(Fault::expected("a map", other.kind())),
    }
}

fn binary(value: &Value) -> Outcome<&[u8]> {
    match value {
        Value::Binary(bytes) => Ok(bytes),
        other => Err(Fault::expected("a binary", other.kind())),
    }
}

fn text(value: &Value) -> Outcome<&str> {
    binary(value).and_then(utf8)
}

fn utf8(bytes: &[u8]) -> Outcome<&str> {
    std::str::from_utf8(bytes).map_err(|_| Fault::new("is not UTF-8"))
}

fn int(value: &Value) -> Outcome<i128> {
    match value {
        Value::Int(int) => Ok(*int),
        other => Err(Fault::expected("an integer", other.kind())),
    }
}

fn unknown_type(value: &Value) -> Fault {
    match value {
        Value::Atom(_) => Fault::new("is none of the known atoms"),
        other => Fault::expected("an atom", other.kind()),
    }
}
