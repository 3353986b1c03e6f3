//! Sender keys of groups, which have three forms on disk and keep only the seeds of message keys.
//!
//! Baileys writes `{"type":"Buffer","data":base64(JSON)}` since 6.7.19 and in every 7.0. Versions
//! up to 6.7.18, and 6.17.16, write the list itself and can read nothing else. So a list is written
//! if the caller says that the directory holds lists ([`SenderKeyForm`]). In the first form the
//! inner bytes are base64 strings: 7.0 cannot read back a skipped message key from its own lists of
//! numbers.

use crate::Value;

use super::super::fault::{Fault, Outcome};
use super::bytes;
use super::dialect::Dialect;
use super::emit::Writer;
use super::message_key::derive;
use super::read::{Reader, sender_keys};
use super::schema::{SENDER_KEY_RECORD, SENDER_KEY_STATE, SENDER_MESSAGE_KEY};
use super::tree::{Json, parse};

const STATES: &str = "sender_key_states";
/// Baileys 4.4 and 5.0 leave this of a record whose first save was interrupted: the class instead
/// of its content.
const CLASS_STATES: &str = "senderKeyStates";

/// How a sender key is written in a JSON file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum SenderKeyForm {
    /// JSON in a Buffer, since 6.7.19.
    #[default]
    Buffer,
    /// A list of states whose bytes are Buffers, as older versions write it.
    List,
    /// A list with bytes as plain base64, as those versions write it with a cached store.
    TextList,
}

impl SenderKeyForm {
    pub fn is_list(self) -> bool {
        self != SenderKeyForm::Buffer
    }

    /// The form of a file; `None` if the file does not show it. Does not check the content.
    pub fn of(file: &[u8]) -> Option<Self> {
        let holds = |part: &[u8]| file.windows(part.len()).any(|window| window == part);
        let bare = file.strip_prefix(b"\xef\xbb\xbf").unwrap_or(file);
        match bare.trim_ascii_start().first() {
            Some(b'[') if !holds(b"\"data\"") && holds(b"\"seed\"") => {
                Some(SenderKeyForm::TextList)
            }
            Some(b'[') => Some(SenderKeyForm::List),
            Some(b'{') if holds(b"\"senderKeyStates\"") => Some(SenderKeyForm::List),
            Some(b'{') => is_bare_buffer(bare),
            _ => None,
        }
    }
}

/// The older dialects of baileys_ex have Buffers too, but deeper inside.
fn is_bare_buffer(file: &[u8]) -> Option<SenderKeyForm> {
    let json = parse(file).ok()?;
    bytes::tagged(&json).map(|_| SenderKeyForm::Buffer)
}

pub(super) fn read(reader: &Reader<'_>, json: &Json<'_>) -> Outcome<Value> {
    if reader.dialect != Dialect::Baileys {
        return reader.record(&SENDER_KEY_RECORD, json);
    }
    let states = match json {
        Json::List(_) => sender_keys::read_states(reader, json),
        Json::Null => Ok(Value::List(Vec::new())),
        Json::Object(pairs) if pairs.is_empty() => Ok(Value::List(Vec::new())),
        Json::Object(_) if json.get(CLASS_STATES).is_some() => {
            sender_keys::read_states(reader, json.get(CLASS_STATES).unwrap_or(&Json::Null))
        }
        _ => sender_keys::read_states(reader, &parse(&bytes::read(json)?)?),
    };
    let module = SENDER_KEY_RECORD.module.map_or(Value::Nil, Value::atom);
    Ok(Value::Map(vec![
        (Value::atom("__struct__"), module),
        (
            Value::atom(STATES),
            states.map_err(|fault| fault.member(STATES))?,
        ),
    ]))
}

pub(super) fn write(writer: &mut Writer<'_>, value: &Value) -> Outcome<()> {
    let [states] = writer.fields(&SENDER_KEY_RECORD, value)?.known[..] else {
        return Err(Fault::missing().member(STATES));
    };
    let form = writer.context.sender_keys;
    let mut inside = writer.nested();
    inside.bytes_as_text = form == SenderKeyForm::TextList;
    inside.leaves_out_nil = form.is_list();
    write_states(&mut inside, states.unwrap_or(&Value::Nil))
        .map_err(|fault| fault.member(STATES))?;
    if form.is_list() {
        writer.append(inside);
        Ok(())
    } else {
        writer.tagged(&inside.into_bytes())
    }
}

pub(super) fn write_states(writer: &mut Writer<'_>, states: &Value) -> Outcome<()> {
    let Value::List(states) = states else {
        return Err(Fault::expected("a list", states.kind()));
    };
    writer.list(states, |writer, state| {
        writer.record(&SENDER_KEY_STATE, state)
    })
}

pub(super) fn write_message_keys(writer: &mut Writer<'_>, value: &Value) -> Outcome<()> {
    let Value::List(keys) = value else {
        return Err(Fault::expected("a list", value.kind()));
    };
    writer.list(keys, |writer, key| {
        writer.record(&SENDER_MESSAGE_KEY, key)?;
        for (name, derived) in derive(key)? {
            if let Value::Atom(name) = name
                && key.get(&name) != Some(&derived)
            {
                return Err(Fault::new("has an iv or cipher_key that is not its seed's"));
            }
        }
        Ok(())
    })
}
