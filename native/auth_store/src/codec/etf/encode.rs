//! Writes values in the external term format, as `term_to_binary` does, except for the order of
//! maps.

use std::collections::HashMap;

use eetf::{
    Atom, BigInteger, Binary, ByteList, FixInteger, Float, ImproperList, List, Map, Term, Tuple,
};

use crate::Value;
use crate::value::MAX_DEPTH;

use super::super::Problem;
use super::super::fault::{Fault, Outcome};
use super::scan::too_deep;

const MAX_ATOM_CHARS: usize = 255;

/// Encodes a term so that [`decode`](super::decode) gives it back.
///
/// Refuses terms nested deeper than [`MAX_DEPTH`], floats that are not finite, atoms of more than
/// 255 characters, and binaries and collections of 2³² or more bytes or items.
pub fn encode(value: &Value) -> Result<Vec<u8>, Problem> {
    write(value).map_err(|fault| fault.into_problem("term"))
}

fn write(value: &Value) -> Outcome<Vec<u8>> {
    let mut bytes = Vec::new();
    term(value, 0)?
        .encode(&mut bytes)
        .map_err(|_| Fault::new("cannot be held by the external term format"))?;
    Ok(bytes)
}

fn term(value: &Value, depth: usize) -> Outcome<Term> {
    if depth > MAX_DEPTH {
        return Err(too_deep());
    }
    Ok(match value {
        Value::Nil => Term::Atom(Atom::from("nil")),
        Value::Bool(bool) => Term::Atom(Atom::from(if *bool { "true" } else { "false" })),
        Value::Int(int) => integer(*int),
        Value::Float(float) => Float::try_from(*float)
            .map(Term::Float)
            .map_err(|_| Fault::new("is a float that is not finite"))?,
        Value::Atom(name) => atom(name)?,
        Value::Binary(bytes) => {
            check_size(bytes.len())?;
            Term::Binary(Binary::from(bytes.clone()))
        }
        Value::List(items) => list(items, depth + 1)?,
        Value::Tuple(items) => Term::Tuple(Tuple::from(terms(items, depth + 1)?)),
        Value::Map(pairs) => {
            check_size(pairs.len())?;
            let mut map = HashMap::with_capacity(pairs.len());
            for (key, value) in pairs {
                map.insert(
                    term(key, depth + 1).map_err(Fault::item)?,
                    term(value, depth + 1).map_err(|fault| within(fault, key))?,
                );
            }
            if map.len() != pairs.len() {
                return Err(Fault::new("has the same key twice"));
            }
            Term::Map(Map::from(map))
        }
    })
}

fn within(fault: Fault, key: &Value) -> Fault {
    match key {
        Value::Atom(name) => fault.key(name),
        _ => fault.item(),
    }
}

fn terms(items: &[Value], depth: usize) -> Outcome<Vec<Term>> {
    check_size(items.len())?;
    items
        .iter()
        .map(|item| term(item, depth).map_err(Fault::item))
        .collect()
}

/// Chooses the tag of a list. Left to itself, eetf 0.12 takes every list of integers below 256 for
/// bytes, even negative ones, and writes `[-1]` as `[255]`.
fn list(items: &[Value], depth: usize) -> Outcome<Term> {
    if items.is_empty() {
        return Ok(Term::List(List::nil()));
    }
    if depth > MAX_DEPTH {
        return Err(too_deep());
    }
    if items.len() <= usize::from(u16::MAX)
        && let Some(bytes) = items.iter().map(byte).collect::<Option<Vec<u8>>>()
    {
        return Ok(Term::ByteList(ByteList::from(bytes)));
    }
    let nil = Term::List(List::nil());
    Ok(Term::ImproperList(ImproperList::from((
        terms(items, depth)?,
        nil,
    ))))
}

fn byte(value: &Value) -> Option<u8> {
    match value {
        Value::Int(int) => u8::try_from(*int).ok(),
        _ => None,
    }
}

fn integer(int: i128) -> Term {
    if let Ok(int) = i32::try_from(int) {
        return Term::FixInteger(FixInteger::from(int));
    }
    // eetf converts from 64 bits at most.
    let mut big = BigInteger::from((int >> 64) as i64);
    big.value <<= 64;
    big.value += int as u64;
    Term::BigInteger(big)
}

fn atom(name: &str) -> Outcome<Term> {
    if name.chars().count() > MAX_ATOM_CHARS {
        return Err(Fault::new("is an atom of more than 255 characters"));
    }
    Ok(Term::Atom(Atom::from(name)))
}

fn check_size(size: usize) -> Outcome<()> {
    u32::try_from(size)
        .map(|_| ())
        .map_err(|_| Fault::new("is larger than the external term format allows"))
}
