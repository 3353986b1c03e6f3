//! Values without members, as every dialect spells them.

use super::super::fault::{Fault, Outcome};
use super::tree::Json;

pub(super) fn known<'n>(
    text: Option<&str>,
    mut names: impl Iterator<Item = &'n str>,
) -> Option<&'n str> {
    let text = text?;
    names.find(|name| *name == text)
}

/// An integer, or its decimal digits as text, which is what some databases return.
pub(super) fn int(json: &Json<'_>) -> Outcome<i128> {
    json.int()
        .or_else(|| decimal(json.text()?))
        .ok_or_else(|| Fault::expected("an integer", json.kind()))
}

/// A number, a decimal string, or a Long of protobuf.js.
pub(super) fn timestamp(json: &Json<'_>) -> Outcome<i128> {
    match json {
        Json::Object(_) => {
            long(json).ok_or_else(|| Fault::expected("a number or a Long", "another object"))
        }
        _ => int(json),
    }
}

fn long(json: &Json<'_>) -> Option<i128> {
    let half = |name| {
        let int = json.get(name)?.int()?;
        (i128::from(i32::MIN)..=i128::from(u32::MAX))
            .contains(&int)
            .then_some(int as u32)
    };
    // Mutants: the halves have no bits in common, so `^` joins them too.
    let bits = (u64::from(half("high")?) << 32) | u64::from(half("low")?);
    match json.get("unsigned") {
        Some(Json::Bool(true)) => Some(i128::from(bits)),
        Some(Json::Bool(false)) | None => Some(i128::from(bits as i64)),
        Some(_) => None,
    }
}

/// A decimal number in its canonical spelling.
pub(super) fn decimal(text: &str) -> Option<i128> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let canonical = digits.bytes().all(|b| b.is_ascii_digit())
        && (text == "0" || digits.starts_with(|c| c != '0'));
    let int = if canonical {
        text.parse().ok()?
    } else {
        return None;
    };
    (i128::from(i64::MIN)..=i128::from(u64::MAX))
        .contains(&int)
        .then_some(int)
}

pub(super) fn utf8(bytes: Vec<u8>) -> Outcome<String> {
    String::from_utf8(bytes).map_err(|_| Fault::new("is not UTF-8"))
}

pub(super) fn check_length(bytes: &[u8], lengths: &[usize]) -> Outcome<()> {
    if lengths.is_empty() || lengths.contains(&bytes.len()) {
        return Ok(());
    }
    let lengths: Vec<String> = lengths.iter().map(ToString::to_string).collect();
    let fault = Fault::new(format!(
        "must be {} bytes long, but is {}",
        lengths.join(" or "),
        bytes.len()
    ));
    Err(if bytes.is_empty() {
        fault.absence()
    } else {
        fault
    })
}
