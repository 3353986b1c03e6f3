//! Reads terms of the external term format as values.

use crate::Value;

use super::super::Problem;
use super::super::fault::{Fault, Outcome};
use super::super::keys::check_unique;
use super::scan::{Cursor, Int, Item, scan_all};

/// Decodes a term that [`scan`](super::scan) accepts.
///
/// In addition to what `scan` refuses, this refuses what a [`Value`] cannot hold: integers beyond
/// 128 bits and improper lists. The keys of a map must be atoms, binaries or integers, and unique.
pub fn decode(bytes: &[u8]) -> Result<Value, Problem> {
    read(bytes, Beyond::Refused).map_err(|fault| fault.into_problem(""))
}

/// As [`decode`], for checking the known members only. What a [`Value`] cannot hold becomes an
/// empty tuple, which no schema allows, and keys may be any term.
pub fn outline(bytes: &[u8]) -> Result<Value, Problem> {
    read(bytes, Beyond::Hidden).map_err(|fault| fault.into_problem(""))
}

/// What happens to a term that a [`Value`] cannot hold.
#[derive(Clone, Copy, PartialEq)]
enum Beyond {
    Refused,
    Hidden,
}

impl Beyond {
    fn value(self, value: Outcome<Value>) -> Outcome<Value> {
        match (self, value) {
            (Beyond::Hidden, Err(_)) => Ok(Value::Tuple(Vec::new())),
            (_, value) => value,
        }
    }
}

fn read(bytes: &[u8], beyond: Beyond) -> Outcome<Value> {
    // After this check every count is known to be true, so that memory may be allocated for it, and
    // the depth of the recursion is bounded.
    scan_all(bytes, &mut |_| true)?;
    let mut cursor = Cursor::start(bytes)?;
    let value = term(&mut cursor, beyond)?;
    cursor.end()?;
    Ok(value)
}

fn term(cursor: &mut Cursor<'_>, beyond: Beyond) -> Outcome<Value> {
    Ok(match cursor.item()? {
        Item::Int(int) => beyond.value(integer(&int).map(Value::Int))?,
        Item::Float(float) => Value::Float(float),
        Item::Atom(name) => Value::atom(name.text()?.into_owned()),
        Item::Binary(bytes) => Value::Binary(bytes.to_vec()),
        Item::Bytes(bytes) => Value::List(byte_list(bytes)),
        Item::Tuple(count) => Value::Tuple(terms(cursor, count, beyond)?),
        Item::List(count) => {
            let items = terms(cursor, count, beyond)?;
            let tail = term(cursor, beyond)?;
            beyond.value(list(items, tail))?
        }
        Item::Map(count) => {
            let mut pairs = Vec::with_capacity(count as usize);
            for _ in 0..count {
                let key = term(cursor, beyond)?;
                pairs.push((key, term(cursor, beyond)?));
            }
            if beyond == Beyond::Refused {
                check_unique(&pairs)?;
            }
            Value::Map(pairs)
        }
    })
}

fn terms(cursor: &mut Cursor<'_>, count: u32, beyond: Beyond) -> Outcome<Vec<Value>> {
    let mut items = Vec::with_capacity(count as usize);
    for _ in 0..count {
        items.push(term(cursor, beyond)?);
    }
    Ok(items)
}

fn list(mut items: Vec<Value>, tail: Value) -> Outcome<Value> {
    match tail {
        Value::List(mut tail) => items.append(&mut tail),
        _ => return Err(Fault::new("holds an improper list")),
    }
    Ok(Value::List(items))
}

fn byte_list(bytes: &[u8]) -> Vec<Value> {
    bytes.iter().map(|b| Value::Int(i128::from(*b))).collect()
}

fn integer(int: &Int<'_>) -> Outcome<i128> {
    let (negative, magnitude) = match int {
        Int::Small(int) => return Ok(i128::from(*int)),
        Int::Big {
            negative,
            magnitude,
        } => (*negative, *magnitude),
    };
    let too_large = || Fault::new("holds an integer of more than 128 bits");
    let significant = magnitude.iter().rposition(|b| *b != 0).map_or(0, |i| i + 1);
    let mut bytes = [0; 16];
    bytes
        .get_mut(..significant)
        .ok_or_else(too_large)?
        .copy_from_slice(&magnitude[..significant]);
    let magnitude = u128::from_le_bytes(bytes);
    if negative {
        0i128.checked_sub_unsigned(magnitude).ok_or_else(too_large)
    } else {
        i128::try_from(magnitude).map_err(|_| too_large())
    }
}
