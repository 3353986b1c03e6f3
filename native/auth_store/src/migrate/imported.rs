//! Converts one value between the JSON of Baileys, as stores other than directories keep it, and
//! the external term format.

use crate::codec::json::{DecodeContext, EncodeContext, SenderKeyForm};
use crate::codec::{Problem, etf, json};
use crate::device_names;
use crate::survey::{Purpose, decode_native};

/// A value that was read.
pub struct Imported {
    /// The value in external term format.
    pub bytes: Vec<u8>,
    /// The number of list elements that were left out because they held nothing.
    pub dropped: u64,
    /// The form of a sender key, if its JSON shows it.
    pub sender_keys: Option<SenderKeyForm>,
    /// The id that a current client looks for, if it is another one.
    pub current_id: Option<String>,
}

/// Reads a value; `None` for `null`, which some stores leave of a deleted key.
pub fn imported(
    family: &str,
    id: Option<&str>,
    value: &[u8],
    identity: Option<&[u8]>,
) -> Result<Option<Imported>, Problem> {
    let text = json::unwrapped(family, value);
    if id.is_some() && json::is_null(&text) {
        return Ok(None);
    }
    let context = DecodeContext {
        local_identity: identity,
    };
    let told = json::decode_telling(family, &text, &context)?;
    Ok(Some(Imported {
        bytes: etf::encode(&told.value)?,
        dropped: told.dropped,
        sender_keys: (family == "sender-key")
            .then(|| SenderKeyForm::of(&text))
            .flatten(),
        current_id: id.and_then(|id| device_names::current(family, id)),
    }))
}

/// Converts a row in external term format to JSON.
pub fn exported(family: &str, bytes: &[u8], context: &EncodeContext) -> Result<Vec<u8>, Problem> {
    let value = decode_native(family, bytes, Purpose::Carry)?;
    json::encode(family, &value, context)
}
