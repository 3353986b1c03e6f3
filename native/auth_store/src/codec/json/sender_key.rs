//! Sender keys of groups: three forms on disk, and message keys of which only the seed is there.
//!
//! Baileys writes `{"type":"Buffer","data":base64(JSON)}` since 6.7.19 and in every 7.0; 6.17.16 and
//! everything up to 6.7.18 write the list itself, and can read nothing else. So a list is written
//! where the caller says that one was there ([`SenderKeyForm`]). In the first form the inner bytes are
//! base64 strings: 7.0 cannot read a skipped message key back from its own lists of numbers.

use hkdf::Hkdf;
use sha2::Sha256;

use crate::Value;

use super::super::fault::{Fault, Outcome};
use super::bytes;
use super::emit::Writer;
use super::read::{Dialect, Reader};
use super::schema::{Record, SENDER_KEY_RECORD, SENDER_KEY_STATE, SENDER_MESSAGE_KEY};
use super::tree::{Json, parse};

const STATES: &str = "sender_key_states";
/// What 4.4 and 5.0 leave of a record whose first save was cut: the class, not its content.
const CLASS_STATES: &str = "senderKeyStates";
const IV_LENGTH: usize = 16;
const CIPHER_KEY_LENGTH: usize = 32;

/// How a sender key is written in a JSON file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum SenderKeyForm {
    /// Since 6.7.19: JSON in a Buffer.
    #[default]
    Buffer,
    /// Before: a list of states whose bytes are Buffers.
    List,
    /// The same with bytes as plain base64: what those versions write with a cached store.
    TextList,
}

impl SenderKeyForm {
    pub fn is_list(self) -> bool {
        self != SenderKeyForm::Buffer
    }

    /// The form of a file; `None` where it does not tell. Does not check the content.
    pub fn of(file: &[u8]) -> Option<Self> {
        let holds = |part: &[u8]| file.windows(part.len()).any(|window| window == part);
        let bare = file.strip_prefix(b"\xef\xbb\xbf").unwrap_or(file);
        match bare.trim_ascii_start().first() {
            Some(b'[') if !holds(b"\"data\"") && holds(b"\"seed\"") => {
                Some(SenderKeyForm::TextList)
            }
            Some(b'[') => Some(SenderKeyForm::List),
            Some(b'{') if holds(b"\"senderKeyStates\"") => Some(SenderKeyForm::List),
            Some(b'{') if holds(b"\"data\"") && holds(b"\"Buffer\"") => is_bare_buffer(bare),
            _ => None,
        }
    }
}

/// The older dialects of baileys_ex hold Buffers deeper inside.
fn is_bare_buffer(file: &[u8]) -> Option<SenderKeyForm> {
    let json = parse(file).ok()?;
    bytes::tagged(&json).map(|_| SenderKeyForm::Buffer)
}

pub(super) fn read(reader: &Reader<'_>, json: &Json<'_>) -> Outcome<Value> {
    if reader.dialect != Dialect::Baileys {
        return reader.record(&SENDER_KEY_RECORD, json);
    }
    let states = match json {
        Json::List(_) => read_states(reader, json),
        Json::Null => Ok(Value::List(Vec::new())),
        Json::Object(pairs) if pairs.is_empty() => Ok(Value::List(Vec::new())),
        Json::Object(_) if json.get(CLASS_STATES).is_some() => {
            read_states(reader, json.get(CLASS_STATES).unwrap_or(&Json::Null))
        }
        _ => read_states(reader, &parse(&bytes::read(json)?)?),
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

/// Baileys goes element by element: one that holds no key costs itself, not the others.
pub(super) fn read_states(reader: &Reader<'_>, json: &Json<'_>) -> Outcome<Value> {
    read_keys(reader, json, &SENDER_KEY_STATE, |_| Ok(()))
}

pub(super) fn write_states(writer: &mut Writer<'_>, states: &Value) -> Outcome<()> {
    let Value::List(states) = states else {
        return Err(Fault::expected("a list", states.kind()));
    };
    writer.list(states, |writer, state| {
        writer.record(&SENDER_KEY_STATE, state)
    })
}

/// Baileys takes an object for no list, and 6.7.7 wrote `{}` for a key it had lost.
pub(super) fn read_message_keys(reader: &Reader<'_>, json: &Json<'_>) -> Outcome<Value> {
    read_keys(reader, json, &SENDER_MESSAGE_KEY, fill_in)
}

fn read_keys(
    reader: &Reader<'_>,
    json: &Json<'_>,
    record: &'static Record,
    finish: impl Fn(&mut Value) -> Outcome<()>,
) -> Outcome<Value> {
    let items = match json {
        Json::Null => &[],
        Json::Object(pairs) if pairs.is_empty() => &[],
        json => json.list()?,
    };
    let mut keys = Vec::with_capacity(items.len());
    for item in items {
        if !matches!(item, Json::Object(_)) {
            reader.drop_element();
            continue;
        }
        let key = reader.record(record, item).and_then(|mut key| {
            finish(&mut key)?;
            Ok(key)
        });
        match key {
            Ok(key) => keys.push(key),
            Err(fault) if fault.is_absence() => reader.drop_element(),
            Err(fault) => return Err(fault.item()),
        }
    }
    Ok(Value::List(keys))
}

/// What is not on disk, or was there in the legacy dialect.
fn fill_in(key: &mut Value) -> Outcome<()> {
    let derived = derive(key)?;
    if let Value::Map(pairs) = key {
        let is_derived = |name: &Value| matches!(name, Value::Atom(name) if name == "iv" || name == "cipher_key");
        pairs.retain(|(name, _)| !is_derived(name));
        pairs.extend(derived);
    }
    Ok(())
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

/// HKDF-SHA256 of the seed, as `sender_message_key.js` of Baileys and libsignal derive them.
fn derive(key: &Value) -> Outcome<[(Value, Value); 2]> {
    let seed = match key.get("seed") {
        Some(Value::Binary(seed)) => seed,
        _ => return Err(Fault::missing().member("seed")),
    };
    let mut okm = [0; IV_LENGTH + CIPHER_KEY_LENGTH];
    Hkdf::<Sha256>::new(Some(&[0; 32]), seed)
        .expand(b"WhisperGroup", &mut okm)
        .map_err(|_| Fault::new("cannot be derived"))?;
    let (iv, cipher_key) = okm.split_at(IV_LENGTH);
    Ok([
        (Value::atom("iv"), Value::Binary(iv.to_vec())),
        (
            Value::atom("cipher_key"),
            Value::Binary(cipher_key.to_vec()),
        ),
    ])
}
