//! A check of whole terms without recursion, and the reader of single items that it shares with
//! decoding.

use std::borrow::Cow;
use std::collections::HashSet;

use foldhash::fast::RandomState;

use crate::value::MAX_DEPTH;

use super::super::Problem;
use super::super::fault::{Fault, Outcome};
use super::tag;

/// The most characters of an atom.
const MAX_ATOM_CHARS: usize = 255;

/// No struct of this library has more members, so that the set of their names need not grow.
const USUAL_NAMES: usize = 56;

/// Whether `binary_to_term` may be called: the bytes must be exactly one term of plain data.
///
/// Refuses another version byte, compression, funs, pids, ports, references and bit strings, terms
/// nested deeper than [`MAX_DEPTH`], lengths beyond the end of the bytes, and bytes after the term.
/// `atom` is called at least once with the name of every atom; if it returns `false`, the term is
/// refused.
///
/// Takes linear time and almost no memory.
pub fn scan(bytes: &[u8], atom: &mut dyn FnMut(&str) -> bool) -> Result<(), Problem> {
    scan_all(bytes, atom).map_err(|fault| fault.into_problem(""))
}

pub(super) fn scan_all(bytes: &[u8], atom: &mut dyn FnMut(&str) -> bool) -> Outcome<()> {
    let mut cursor = Cursor::start(bytes)?;
    // The number of terms still to come at each open level.
    let mut open = [0u64; MAX_DEPTH + 1];
    let mut depth = 0;
    open[0] = 1;
    // Structs of one kind repeat the same member names, and asking the BEAM about a name costs far
    // more than finding it here. ASCII names only: other bytes are different names in UTF-8 and in
    // Latin-1.
    let mut allowed = HashSet::with_capacity_and_hasher(USUAL_NAMES, RandomState::default());
    loop {
        while open[depth] == 0 {
            if depth == 0 {
                return cursor.end();
            }
            depth -= 1;
        }
        open[depth] -= 1;
        match cursor.item()? {
            Item::Atom(name) if allowed.contains(name.bytes) => {}
            Item::Atom(name) => {
                if !atom(&name.text()?) {
                    return Err(Fault::new("holds an atom that is refused"));
                }
                if name.bytes.is_ascii() {
                    allowed.insert(name.bytes);
                }
            }
            Item::Tuple(count) => depth = deeper(&mut open, depth, u64::from(count))?,
            Item::List(count) => depth = deeper(&mut open, depth, u64::from(count) + 1)?,
            Item::Map(count) => depth = deeper(&mut open, depth, u64::from(count) * 2)?,
            Item::Bytes(bytes) if !bytes.is_empty() && depth == MAX_DEPTH => {
                return Err(too_deep());
            }
            Item::Int(_) | Item::Float(_) | Item::Binary(_) | Item::Bytes(_) => {}
        }
    }
}

fn deeper(open: &mut [u64; MAX_DEPTH + 1], depth: usize, count: u64) -> Outcome<usize> {
    if count == 0 {
        return Ok(depth);
    }
    match open.get_mut(depth + 1) {
        Some(level) => {
            *level = count;
            Ok(depth + 1)
        }
        None => Err(too_deep()),
    }
}

pub(super) fn too_deep() -> Fault {
    Fault::new(format!("is nested deeper than {MAX_DEPTH} levels"))
}

/// A term without elements, or the head of a term whose elements follow.
pub(super) enum Item<'a> {
    Int(Int<'a>),
    Float(f64),
    Atom(AtomName<'a>),
    Binary(&'a [u8]),
    /// A list of small integers, or the empty list.
    Bytes(&'a [u8]),
    Tuple(u32),
    /// The number of elements; the tail follows them.
    List(u32),
    /// The number of pairs.
    Map(u32),
}

/// The name of an atom as it is in the file.
pub(super) struct AtomName<'a> {
    bytes: &'a [u8],
    is_utf8: bool,
}

impl<'a> AtomName<'a> {
    pub(super) fn text(&self) -> Outcome<Cow<'a, str>> {
        let text = match std::str::from_utf8(self.bytes) {
            Ok(text) if self.is_utf8 || text.is_ascii() => Cow::Borrowed(text),
            Err(_) if self.is_utf8 => return Err(Fault::new("holds an atom that is not UTF-8")),
            _ => Cow::Owned(self.bytes.iter().copied().map(char::from).collect()),
        };
        if text.chars().count() > MAX_ATOM_CHARS {
            return Err(Fault::new("holds an atom that is too long"));
        }
        Ok(text)
    }
}

pub(super) enum Int<'a> {
    Small(i32),
    /// The magnitude has its least significant byte first.
    Big {
        negative: bool,
        magnitude: &'a [u8],
    },
}

pub(super) struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    /// Starts after the version byte.
    pub(super) fn start(bytes: &'a [u8]) -> Outcome<Cursor<'a>> {
        match bytes {
            [] => Err(Fault::new("is empty")),
            [tag::VERSION, tag::COMPRESSED, ..] => Err(Fault::new("is a compressed term")),
            [tag::VERSION, rest @ ..] => Ok(Cursor { rest }),
            _ => Err(Fault::new(
                "is not in the external term format, version 131",
            )),
        }
    }

    pub(super) fn end(&self) -> Outcome<()> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(Fault::new("has bytes after the term"))
        }
    }

    // Inlined: returning the item through memory would make a scan a third slower.
    #[inline(always)]
    pub(super) fn item(&mut self) -> Outcome<Item<'a>> {
        Ok(match self.u8()? {
            tag::SMALL_INTEGER => Item::Int(Int::Small(i32::from(self.u8()?))),
            tag::INTEGER => Item::Int(Int::Small(i32::from_be_bytes(self.array()?))),
            tag::SMALL_BIG => {
                let length = u32::from(self.u8()?);
                self.big(length)?
            }
            tag::LARGE_BIG => {
                let length = self.u32()?;
                self.big(length)?
            }
            tag::NEW_FLOAT => {
                let float = f64::from_be_bytes(self.array()?);
                if !float.is_finite() {
                    return Err(Fault::new("holds a float that is not finite"));
                }
                Item::Float(float)
            }
            tag::ATOM_UTF8 => {
                let length = u32::from(self.u16()?);
                self.atom(length, true)?
            }
            tag::SMALL_ATOM_UTF8 => {
                let length = u32::from(self.u8()?);
                self.atom(length, true)?
            }
            tag::ATOM_LATIN1 => {
                let length = u32::from(self.u16()?);
                self.atom(length, false)?
            }
            tag::SMALL_ATOM_LATIN1 => {
                let length = u32::from(self.u8()?);
                self.atom(length, false)?
            }
            tag::BINARY => {
                let length = self.u32()?;
                Item::Binary(self.take(length)?)
            }
            tag::STRING => {
                let length = u32::from(self.u16()?);
                Item::Bytes(self.take(length)?)
            }
            tag::NIL => Item::Bytes(&[]),
            tag::SMALL_TUPLE => {
                let count = u32::from(self.u8()?);
                Item::Tuple(count)
            }
            tag::LARGE_TUPLE => {
                let count = self.u32()?;
                Item::Tuple(count)
            }
            tag::LIST => {
                let count = self.u32()?;
                Item::List(count)
            }
            tag::MAP => {
                let count = self.u32()?;
                Item::Map(count)
            }
            _ => return Err(Fault::new("holds a term that is not plain data")),
        })
    }

    fn big(&mut self, length: u32) -> Outcome<Item<'a>> {
        let negative = match self.u8()? {
            0 => false,
            1 => true,
            _ => return Err(Fault::new("holds an integer without a sign")),
        };
        let magnitude = self.take(length)?;
        Ok(Item::Int(Int::Big {
            negative,
            magnitude,
        }))
    }

    fn atom(&mut self, length: u32, is_utf8: bool) -> Outcome<Item<'a>> {
        let bytes = self.take(length)?;
        Ok(Item::Atom(AtomName { bytes, is_utf8 }))
    }

    fn take(&mut self, length: u32) -> Outcome<&'a [u8]> {
        let (taken, rest) = self
            .rest
            .split_at_checked(length as usize)
            .ok_or_else(cut_off)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Outcome<[u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or_else(cut_off)?;
        self.rest = rest;
        Ok(*taken)
    }

    fn u8(&mut self) -> Outcome<u8> {
        self.array().map(|[byte]| byte)
    }

    fn u16(&mut self) -> Outcome<u16> {
        self.array().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Outcome<u32> {
        self.array().map(u32::from_be_bytes)
    }
}

fn cut_off() -> Fault {
    Fault::new("is cut off: the term ends too early")
}
