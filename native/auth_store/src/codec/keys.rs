//! Checks that the keys of a [`Value::Map`] are unique, which a file need not respect.

use crate::Value;

use super::fault::{Fault, Outcome};

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Key<'a> {
    Nil,
    Bool(bool),
    Int(i128),
    Atom(&'a str),
    Binary(&'a [u8]),
}

/// Refuses a map in which two keys are equal, or a key is not a scalar.
///
/// The keys of auth state are atoms, binaries and integers. Comparing compound keys in linear time
/// is not worth the code.
pub(super) fn check_unique(pairs: &[(Value, Value)]) -> Outcome<()> {
    if pairs.len() == 1 && key(&pairs[0].0).is_some() {
        return Ok(());
    }
    let mut keys = pairs
        .iter()
        .map(|(k, _)| key(k))
        .collect::<Option<Vec<_>>>()
        .ok_or_else(|| Fault::new("a map key that is a float, list, tuple or map"))?;
    keys.sort_unstable();
    if keys.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(Fault::new("two members of a map have the same key"));
    }
    Ok(())
}

fn key(value: &Value) -> Option<Key<'_>> {
    match value {
        Value::Nil => Some(Key::Nil),
        Value::Bool(bool) => Some(Key::Bool(*bool)),
        Value::Int(int) => Some(Key::Int(*int)),
        Value::Atom(name) => Some(Key::Atom(name)),
        Value::Binary(bytes) => Some(Key::Binary(bytes)),
        Value::Float(_) | Value::List(_) | Value::Tuple(_) | Value::Map(_) => None,
    }
}
