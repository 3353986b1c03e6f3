//! Lone halves of surrogate pairs in JSON text.
//!
//! A JavaScript string may be cut inside such a pair, for example by `slice`, and `JSON.stringify`
//! writes the remaining half as an escape. Text on the BEAM cannot hold it, and one such label must
//! not make a whole file unreadable.

const HEX: usize = 4;

/// The text with U+FFFD in place of each lone half; `None` if there is none.
pub(super) fn mended(json: &[u8]) -> Option<Vec<u8>> {
    let mut halves = Vec::new();
    let mut at = 0;
    while let Some(escape) = json.get(at..).and_then(next_backslash) {
        at += escape;
        match (unit(json, at), unit(json, at + 2 + HEX)) {
            // Mutants: `2 + (2 + HEX)` also ends behind the second backslash, which is enough.
            (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => at += 2 * (2 + HEX),
            (Some(0xD800..=0xDFFF), _) => {
                halves.push(at + 2);
                at += 2 + HEX;
            }
            // Any other escape consists of two characters, or its rest needs no attention.
            _ => at += 2,
        }
    }
    if halves.is_empty() {
        return None;
    }
    let mut text = json.to_vec();
    for at in halves {
        text[at..at + HEX].copy_from_slice(b"fffd");
    }
    Some(text)
}

fn next_backslash(json: &[u8]) -> Option<usize> {
    json.iter().position(|byte| *byte == b'\\')
}

/// The code unit of the escape at this position.
fn unit(json: &[u8], at: usize) -> Option<u16> {
    let digits = json.get(at..at + 2 + HEX)?.strip_prefix(b"\\u")?;
    let digits = std::str::from_utf8(digits).ok()?;
    // `from_str_radix` would accept a sign.
    let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    is_hex
        .then(|| u16::from_str_radix(digits, 16).ok())
        .flatten()
}
