//! Explains what happened to a file that is not JSON, as far as its bytes show.

use serde::de::IgnoredAny;

use super::super::fault::Fault;
use super::mark::without_mark;

/// The length of a whole document that is followed by other bytes: the end of an older, longer
/// write, or zeros.
pub fn document_before_remains(bytes: &[u8]) -> Option<usize> {
    let start = bytes.len() - without_mark(bytes).len();
    let text = valid_start(&bytes[start..]);
    // Our documents never start with a number or a word, and such a value may end anywhere.
    if !matches!(
        text.trim_ascii_start().as_bytes().first(),
        Some(b'{' | b'[' | b'"')
    ) {
        return None;
    }
    let mut documents = serde_json::Deserializer::from_str(text).into_iter::<IgnoredAny>();
    documents.next()?.ok()?;
    let end = start + documents.byte_offset();
    let follows = bytes[end..].iter().any(|byte| !byte.is_ascii_whitespace());
    follows.then_some(end)
}

/// The explanation; `None` if nothing better can be said than where the JSON breaks.
pub(super) fn explain(bytes: &[u8]) -> Option<Fault> {
    let zeros = bytes.iter().rev().take_while(|byte| **byte == 0).count();
    if bytes.is_empty() {
        return Some(Fault::new("is empty"));
    }
    if zeros == bytes.len() {
        return Some(Fault::new(
            "is filled with zero bytes: its content never reached the disk",
        ));
    }
    if let Some(end) = document_before_remains(bytes) {
        let rest = &bytes[end..];
        let what = if rest.len() == zeros {
            "zero bytes"
        } else {
            "bytes of another write, such as the end of an older and longer one"
        };
        return Some(Fault::new(format!(
            "holds a whole document, and after it {} {what}",
            rest.len()
        )));
    }
    if is_protobuf(bytes) {
        return Some(Fault::new(
            "holds a record in protobuf, as clients on libsignal's Rust and other protobuf \
             implementations keep it, and not the JSON of Baileys",
        ));
    }
    let whole = &bytes[..bytes.len() - zeros];
    let cut = serde_json::from_slice::<IgnoredAny>(whole).is_err_and(|error| error.is_eof());
    (zeros > 0 && cut).then(|| Fault::new("is cut off, and filled up with zero bytes"))
}

fn valid_start(bytes: &[u8]) -> &str {
    match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default(),
    }
}

/// Whether the bytes are the fields of a protobuf message up to the very end: numbers, and bytes or
/// nested messages, as in the records of sessions and sender keys.
pub(super) fn is_protobuf(mut bytes: &[u8]) -> bool {
    while !bytes.is_empty() {
        let Some((tag, rest)) = varint(bytes) else {
            return false;
        };
        let rest = match tag & 7 {
            0 => varint(rest).map(|(_, rest)| rest),
            2 => varint(rest).and_then(|(length, rest)| {
                rest.split_at_checked(usize::try_from(length).ok()?)
                    .map(|(_, rest)| rest)
            }),
            _ => None,
        };
        match rest {
            Some(rest) if (1..=31).contains(&(tag >> 3)) => bytes = rest,
            _ => return false,
        }
    }
    true
}

fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0;
    for (index, byte) in bytes.iter().enumerate().take(10) {
        value |= u64::from(byte & 0x7f).checked_shl(7 * index as u32)?;
        if byte & 0x80 == 0 {
            return Some((value, &bytes[index + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(bytes: &[u8]) -> String {
        explain(bytes).map_or(String::new(), |fault| fault.into_problem("").problem)
    }

    #[test]
    fn what_happened_is_said() {
        for (bytes, expected) in [
            (&b""[..], "is empty"),
            (&[0; 9], "is filled with zero bytes"),
            (
                b"{\"a\":1}\"}}",
                "a whole document, and after it 3 bytes of another write",
            ),
            (b"{\"a\":1}\n\0\0\0", "a whole document, and after it 4 "),
            (
                b"{\"a\":1}\0\0\0",
                "a whole document, and after it 3 zero bytes",
            ),
            (
                b"{\"a\":[1,\0\0",
                "is cut off, and filled up with zero bytes",
            ),
            (
                b"{\"a\":1}\xff\xfe",
                "a whole document, and after it 2 bytes",
            ),
            (b"\x0a\x03abc\x10\x07", "a record in protobuf"),
        ] {
            let told = told(bytes);
            assert!(told.contains(expected), "{told}");
        }
    }

    #[test]
    fn nothing_is_made_up() {
        for bytes in [
            &b"{\"a\":"[..],
            b"not json",
            b"12 34",
            b"{\"a\":1}  \n",
            b"{a}",
            b"\xff\xff",
            b"\x0a\x7fabc",
            // Fields 0 and 32.
            b"\x00\x01",
            b"\x80\x02\x01",
        ] {
            assert_eq!(told(bytes), "");
        }
        assert_eq!(document_before_remains(b"{}"), None);
        assert_eq!(document_before_remains(b"1 2"), None);
        assert_eq!(document_before_remains(b"\xEF\xBB\xBF{\"a\":1}}"), Some(10));
    }
}
