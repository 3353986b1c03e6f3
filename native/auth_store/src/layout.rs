//! The file names of an auth directory, and the way back from a name to family and id.
//!
//! The file of a key is named `<family>-<id>`, with `/` written as `__` and `:` as `-` (as by
//! Baileys' `fixFileName`), and `.json` or `.etf` after it. The way back is a guess. An id that the
//! guess restores is *regular*, as all ids of WhatsApp are. An *irregular* id is recorded in the
//! manifest.

use crate::error::{Error, Result};
use crate::format::Format;

/// The families that Baileys and baileys_ex write. Where one is a prefix of another, the longer one
/// comes first.
pub const FAMILIES: [&str; 10] = [
    "app-state-sync-version",
    "app-state-sync-key",
    "sender-key-memory",
    "identity-key",
    "lid-mapping",
    "device-list",
    "sender-key",
    "pre-key",
    "session",
    "tctoken",
];

/// The family name of the credentials: one file, without an id.
pub const CREDS: &str = "creds";

/// The longest file name in bytes that every common file system accepts.
const MAX_NAME: usize = 255;

/// Baileys keeps the list of its tokens under this id, although `__` stands for `/` in other ids.
const TOKEN_INDEX: &str = "__index";

/// What a file of an auth directory is, judged by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    Creds,
    Key {
        family: String,
        id: String,
    },
    /// A key under the name that Baileys gave it before it rewrote colons.
    Old {
        family: String,
        id: String,
    },
    /// A copy of a key's file by a sync program or a person, for example `creds (1).json`.
    Copy,
    /// Has the extension of a key, but not the name of one.
    Unknown,
    /// Hidden, a leftover, or with another extension.
    Foreign,
}

impl Entry {
    /// The key that the file holds, unless another file holds it.
    pub fn into_key(self) -> Option<(String, String)> {
        match self {
            Entry::Key { family, id } | Entry::Old { family, id } => Some((family, id)),
            Entry::Creds | Entry::Copy | Entry::Unknown | Entry::Foreign => None,
        }
    }
}

pub fn creds_name(format: Format) -> String {
    format!("{CREDS}{}", format.extension())
}

/// The file name of a key.
pub fn key_name(family: &str, id: &str, format: Format) -> Result<String> {
    let invalid = |problem: &str| Error::InvalidKey {
        family: family.to_owned(),
        id: id.to_owned(),
        problem: problem.to_owned(),
    };
    let mut name = String::with_capacity(family.len() + id.len() + 8);
    for character in family.chars().chain(['-']).chain(id.chars()) {
        match character {
            '\0' => return Err(invalid("a file name cannot hold a NUL")),
            '/' => name.push_str("__"),
            ':' => name.push('-'),
            other => name.push(other),
        }
    }
    name.push_str(format.extension());
    if name.len() > MAX_NAME {
        return Err(invalid("its file name would pass 255 bytes"));
    }
    if name.starts_with('.') || is_leftover(&name) {
        return Err(invalid(
            "its file name would be taken for a hidden or temporary file",
        ));
    }
    // `sender-key` with `memory-1`, or `pre` with `key-1`, would shadow a key of the longer family.
    match parse(&name, format) {
        Entry::Key { family: other, .. }
            if other != family && FAMILIES.contains(&other.as_str()) =>
        {
            Err(invalid(&format!(
                "its file name belongs to the family {other}"
            )))
        }
        _ => Ok(name),
    }
}

/// Judges a file by its name alone. For irregular ids the manifest knows better.
pub fn parse(name: &str, format: Format) -> Entry {
    if name.starts_with('.') || is_leftover(name) {
        return Entry::Foreign;
    }
    let Some(stem) = name.strip_suffix(format.extension()) else {
        return Entry::Foreign;
    };
    if stem == CREDS {
        return Entry::Creds;
    }
    if let Some(original) = original_of_copy(stem) {
        return match parse(&format!("{original}{}", format.extension()), format) {
            Entry::Unknown | Entry::Foreign => Entry::Unknown,
            _ => Entry::Copy,
        };
    }
    for family in FAMILIES {
        let Some(tail) = stem
            .strip_prefix(family)
            .and_then(|rest| rest.strip_prefix('-'))
        else {
            continue;
        };
        let family = family.to_owned();
        if !tail.contains(':') {
            let id = guess_id(&family, tail);
            return Entry::Key { family, id };
        }
        return match format {
            Format::Json => Entry::Old {
                family,
                id: tail.replace("__", "/"),
            },
            // No program has ever written such a name.
            Format::Etf => Entry::Unknown,
        };
    }
    match unknown_key(stem) {
        Some((family, tail)) => Entry::Key {
            family: family.to_owned(),
            id: tail.replace("__", "/"),
        },
        None => Entry::Unknown,
    }
}

/// The name that a key's file had before Baileys rewrote colons; `None` if that is the current one.
pub fn old_name(family: &str, id: &str, format: Format) -> Option<String> {
    let had_one = format == Format::Json && id.contains(':') && FAMILIES.contains(&family);
    had_one.then(|| format!("{family}-{}.json", id.replace('/', "__")))
}

/// The stem that the name of a copy was made from. Recognizes
/// `pre-key-1.sync-conflict-20240101-120000-ABCDEFG` (Syncthing), `creds (1)` (browsers, Google
/// Drive, Windows), `creds (Ada's conflicted copy 2024-01-01)` (Dropbox, Nextcloud), `creds copy`,
/// `creds copy 2`, `creds - Copy` (file managers), and `creds 2` (iCloud). No id of WhatsApp
/// contains a space.
fn original_of_copy(stem: &str) -> Option<&str> {
    if let Some((original, _)) = stem.split_once(".sync-conflict-") {
        return Some(original);
    }
    let (before, last) = stem.rsplit_once(' ')?;
    if let Some(inside) = stem.strip_suffix(')') {
        let (original, inside) = inside.rsplit_once(" (")?;
        let is_copy = is_number(inside) || inside.to_lowercase().contains("conflict");
        return is_copy.then_some(original);
    }
    if is_number(last) || last.eq_ignore_ascii_case("copy") {
        let original = before.strip_suffix(" copy").unwrap_or(before);
        return Some(original.strip_suffix(" -").unwrap_or(original));
    }
    None
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// A key of a family that only a fork of Baileys has, such as `contacts-tc-token-<jid>` of
/// whaileys: some words, then an id that can only come from WhatsApp, which is a JID or a number of
/// at least ten digits. Any other JSON file may belong to somebody else.
fn unknown_key(stem: &str) -> Option<(&str, &str)> {
    let start = stem
        .split_inclusive('-')
        .take_while(|word| is_word(word))
        .map(str::len)
        .sum::<usize>();
    let family = stem.get(..start)?.strip_suffix('-')?;
    let id = stem.get(start..)?;
    let digits = id.bytes().take_while(u8::is_ascii_digit).count();
    let is_id = id.find('@').is_some_and(|at| at > 0) || digits >= 10;
    is_id.then_some((family, id))
}

/// A part of a family's name, including its dash.
fn is_word(part: &str) -> bool {
    part.strip_suffix('-').is_some_and(|word| {
        word.starts_with(|c: char| c.is_ascii_lowercase())
            && word
                .bytes()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
    })
}

/// Whether the guess restores the id, so that the manifest need not record it.
pub fn is_regular(family: &str, id: &str, name: &str, format: Format) -> bool {
    matches!(parse(name, format), Entry::Key { family: f, id: i } if f == family && i == id)
}

/// Whether no other id, regular or not, can have this file name.
///
/// Such a key needs no look at the manifest. Only `/` and `:` are rewritten, so the name is
/// unambiguous if its id part contains neither `__` nor `-`, and if it cannot be the name of a
/// copy.
pub fn is_unambiguous(family: &str, id: &str) -> bool {
    FAMILIES.contains(&family)
        && !id.contains(['-', ':', '/', ' '])
        && !id.contains("__")
        && !id.contains(".sync-conflict-")
}

/// Names with `.tmp-` are leftovers of interrupted writes.
pub fn is_leftover(name: &str) -> bool {
    name.contains(".tmp-")
}

fn guess_id(family: &str, tail: &str) -> String {
    match family {
        "tctoken" if tail == TOKEN_INDEX => tail.to_owned(),
        "sender-key" => guess_sender_key_id(tail),
        _ => tail.replace("__", "/"),
    }
}

/// Turns `<group>--<user>--<device>` into `<group>::<user>::<device>`.
fn guess_sender_key_id(tail: &str) -> String {
    let tail = tail.replace("__", "/");
    let mut parts = tail.rsplitn(3, "--");
    match (parts.next(), parts.next(), parts.next()) {
        (Some(device), Some(user), Some(group)) => format!("{group}::{user}::{device}"),
        _ => tail,
    }
}

#[cfg(test)]
#[path = "layout_tests.rs"]
mod tests;
