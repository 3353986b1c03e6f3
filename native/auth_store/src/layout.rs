//! File names of an auth directory, and the way back to family and id.
//!
//! A key's file is `<family>-<id>` with `/` written as `__` and `:` as `-` (Baileys'
//! `fixFileName`), then `.json` or `.etf`. The way back is a guess; an id that the guess gives
//! back is *regular*, and every id that WhatsApp makes is. Any other id is *irregular* and needs
//! its id written down in the manifest.

use crate::engine::Policy;
use crate::error::{Error, Result};

/// The families that Baileys and baileys_ex write, the longest of overlapping prefixes first.
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

/// The longest file name that every common file system takes, in bytes.
const MAX_NAME: usize = 255;

/// Baileys keeps the list of its tokens under this id, though `__` stands for `/` elsewhere.
const TOKEN_INDEX: &str = "__index";

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// The JSON directory of Baileys.
    Json,
    /// Erlang's external term format.
    Etf,
}

impl Format {
    pub fn other(self) -> Format {
        match self {
            Format::Json => Format::Etf,
            Format::Etf => Format::Json,
        }
    }

    pub fn extension(self) -> &'static str {
        match self {
            Format::Json => ".json",
            Format::Etf => ".etf",
        }
    }

    pub fn manifest_name(self) -> &'static str {
        match self {
            Format::Json => ".baileys_ex_file_persistence.json",
            Format::Etf => ".baileys_ex_native_file_persistence.etf",
        }
    }

    /// The name a manifest gives to the backend of this format.
    pub fn backend(self) -> &'static str {
        match self {
            Format::Json => "file_persistence",
            Format::Etf => "native_file_persistence",
        }
    }

    /// The manifest version that is written; earlier ones are read. JSON is at 2 since it is
    /// written in Baileys' own shape, which baileys_ex (1) would misread.
    pub fn version(self) -> i128 {
        match self {
            Format::Json => 2,
            Format::Etf => 1,
        }
    }

    /// Node reads the JSON files as they stand, so their commits leave nothing in a journal.
    pub fn policy(self) -> Policy {
        match self {
            Format::Json => Policy::Plain,
            Format::Etf => Policy::Journaled,
        }
    }
}

/// What a file of an auth directory is, by its name.
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
    /// What a program that syncs directories, or a person, made of a key's file: `creds (1).json`.
    Copy,
    /// Has the extension of a key, but not its name.
    Unknown,
    /// Hidden, a leftover, or of another extension.
    Foreign,
}

impl Entry {
    /// The key that the file holds, if no other file does.
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
    // `sender-key` + `memory-1` and `pre` + `key-1` would shadow a key of the longer family.
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

/// What a file is, by its name alone; the manifest knows the irregular ids better.
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
            // Nothing ever wrote such a name.
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

/// The name that a key's file had before Baileys rewrote colons; `None` where it is this one.
pub fn old_name(family: &str, id: &str, format: Format) -> Option<String> {
    let had_one = format == Format::Json && id.contains(':') && FAMILIES.contains(&family);
    had_one.then(|| format!("{family}-{}.json", id.replace('/', "__")))
}

/// What the stem of a copy's name was made from: `pre-key-1.sync-conflict-20240101-120000-ABCDEFG`
/// (Syncthing), `creds (1)` (browsers, Google Drive, Windows), `creds (Ada's conflicted copy 2024-01-01)`
/// (Dropbox, Nextcloud), `creds copy`, `creds copy 2`, `creds - Copy` (file managers), `creds 2` (iCloud).
/// No id that WhatsApp gives has a space.
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

/// A key of a family that some fork of Baileys has, such as `contacts-tc-token-<jid>` of whaileys: words,
/// and behind them an id that only WhatsApp gives, a jid or a number of ten digits or more. Any other
/// JSON may be somebody else's.
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

/// A part of a family's name, with its dash.
fn is_word(part: &str) -> bool {
    part.strip_suffix('-').is_some_and(|word| {
        word.starts_with(|c: char| c.is_ascii_lowercase())
            && word
                .bytes()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
    })
}

/// Whether the guess gives the id back, so that nothing needs to be written down.
pub fn is_regular(family: &str, id: &str, name: &str, format: Format) -> bool {
    matches!(parse(name, format), Entry::Key { family: f, id: i } if f == family && i == id)
}

/// Whether no other id, regular or not, can want this file name.
///
/// Such a key needs no look at the manifest. Only `/` and `:` are rewritten, so a name whose id
/// part holds neither `__` nor `-`, and that no copy of another file has, has one reading.
pub fn is_unambiguous(family: &str, id: &str) -> bool {
    FAMILIES.contains(&family)
        && !id.contains(['-', ':', '/', ' '])
        && !id.contains("__")
        && !id.contains(".sync-conflict-")
}

/// `*.tmp-*` names are leftovers of interrupted writes.
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

/// `<group>--<user>--<device>` is `<group>::<user>::<device>`.
fn guess_sender_key_id(tail: &str) -> String {
    let tail = tail.replace("__", "/");
    let mut parts = tail.rsplitn(3, "--");
    match (parts.next(), parts.next(), parts.next()) {
        (Some(device), Some(user), Some(group)) => format!("{group}::{user}::{device}"),
        _ => tail,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fixture_names(directory: &str) -> Vec<String> {
        let path = format!(
            "{}/../../test/fixtures/{directory}",
            env!("CARGO_MANIFEST_DIR")
        );
        std::fs::read_dir(path)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    #[test]
    fn every_file_of_the_real_baileys_has_a_regular_id() {
        let names = fixture_names("baileys-7.0.0-rc14");
        assert!(names.len() > 90);
        for name in names {
            match parse(&name, Format::Json) {
                Entry::Creds => assert_eq!(name, "creds.json"),
                Entry::Key { family, id } => {
                    assert_eq!(key_name(&family, &id, Format::Json).unwrap(), name);
                    assert!(is_regular(&family, &id, &name, Format::Json), "{name}");
                }
                other => panic!("{name}: {other:?}"),
            }
        }
    }

    #[test]
    fn the_guess_gives_the_ids_that_whatsapp_made() {
        let cases = [
            (
                "app-state-sync-key-AAAA__+Ab",
                "app-state-sync-key",
                "AAAA/+Ab",
            ),
            ("sender-key-1@g.us--155--7", "sender-key", "1@g.us::155::7"),
            (
                "sender-key-141-139@g.us--155_1--0",
                "sender-key",
                "141-139@g.us::155_1::0",
            ),
            ("sender-key-memory-1@g.us", "sender-key-memory", "1@g.us"),
            ("tctoken-__index", "tctoken", "__index"),
            ("session-900000000001_1.7", "session", "900000000001_1.7"),
            (
                "lid-mapping-800000000_reverse",
                "lid-mapping",
                "800000000_reverse",
            ),
            ("pre-key-1", "pre-key", "1"),
        ];
        for (stem, family, id) in cases {
            let expected = Entry::Key {
                family: family.into(),
                id: id.into(),
            };
            assert_eq!(parse(&format!("{stem}.etf"), Format::Etf), expected);
        }
    }

    #[test]
    fn keys_of_other_families_are_told_from_other_files() {
        for (stem, family, id) in [
            (
                "contacts-tc-token-155@s.whatsapp.net",
                "contacts-tc-token",
                "155@s.whatsapp.net",
            ),
            (
                "news-14156521415-1397622199@g.us",
                "news",
                "14156521415-1397622199@g.us",
            ),
            ("device-index-15558880004", "device-index", "15558880004"),
        ] {
            let expected = Entry::Key {
                family: family.into(),
                id: id.into(),
            };
            let name = format!("{stem}.json");
            assert_eq!(parse(&name, Format::Json), expected);
            assert_eq!(key_name(family, id, Format::Json).unwrap(), name);
        }
        for name in [
            "oauth.json",
            "package-lock.json",
            "baileys_store_multi.json",
            "backup-20240101.json",
            "15558880004@s.whatsapp.net.json",
            "contacts-@.json",
        ] {
            assert_eq!(parse(name, Format::Json), Entry::Unknown, "{name}");
        }
    }

    /// The name alone cannot tell where a family ends that nobody knows.
    #[test]
    fn a_family_of_its_user_s_own_may_end_anywhere() {
        let name = key_name("contacts", "tc-token-155@lid", Format::Json).unwrap();
        assert!(!is_regular(
            "contacts",
            "tc-token-155@lid",
            &name,
            Format::Json
        ));
    }

    #[test]
    fn irregular_ids_are_seen_as_such() {
        for (family, id) in [
            ("session", "alice/device:0"),
            ("session", "a__b"),
            ("sender-key", "a--b--c"),
            ("tctoken", "/index"),
            ("my-family", "1"),
        ] {
            let name = key_name(family, id, Format::Json).unwrap();
            assert!(
                !is_regular(family, id, &name, Format::Json),
                "{family} {id}"
            );
            assert!(!is_unambiguous(family, id), "{family} {id}");
        }
    }

    #[test]
    fn names_that_no_file_can_have_are_refused() {
        let long = "x".repeat(256);
        for (family, id) in [
            ("session", "a\0b"),
            ("session", long.as_str()),
            (".hidden", "1"),
            ("session", "a.tmp-1"),
            ("sender-key", "memory-1"),
            ("pre", "key-1"),
        ] {
            let error = key_name(family, id, Format::Etf).unwrap_err();
            assert!(matches!(error, Error::InvalidKey { .. }), "{family} {id}");
        }
        let fits = "x".repeat(255 - "session-.json".len());
        assert_eq!(key_name("session", &fits, Format::Json).unwrap().len(), 255);
    }

    #[test]
    fn names_of_before_colons_were_rewritten_are_told_and_lead_to_the_current_one() {
        for (name, family, id, current) in [
            (
                "sender-key-1@g.us::155::7.json",
                "sender-key",
                "1@g.us::155::7",
                "sender-key-1@g.us--155--7.json",
            ),
            (
                "app-state-sync-key-A__:b.json",
                "app-state-sync-key",
                "A/:b",
                "app-state-sync-key-A__-b.json",
            ),
        ] {
            let expected = Entry::Old {
                family: family.into(),
                id: id.into(),
            };
            assert_eq!(parse(name, Format::Json), expected);
            assert_eq!(old_name(family, id, Format::Json).as_deref(), Some(name));
            assert_eq!(key_name(family, id, Format::Json).unwrap(), current);
        }
        assert_eq!(old_name("session", "1.0", Format::Json), None);
        assert_eq!(old_name("sender-key", "a::b::c", Format::Etf), None);
    }

    #[test]
    fn copies_of_key_files_are_no_keys() {
        for name in [
            "pre-key-1.sync-conflict-20240101-120000-ABCDEFG.json",
            "creds (1).json",
            "creds copy.json",
            "creds copy 2.json",
            "creds - Copy.json",
            "creds - Copy (2).json",
            "creds 2.json",
            "session-155.0 (Ada's conflicted copy 2024-01-01).json",
            "session-155.0 (conflicted copy 2024-01-01 120000).json",
        ] {
            assert_eq!(parse(name, Format::Json), Entry::Copy, "{name}");
        }
        assert_eq!(parse("oauth (1).json", Format::Json), Entry::Unknown);
        for id in ["zoe smith", "a (b)", "1.sync-conflict-x", "a copy", "a 2"] {
            assert!(!is_unambiguous("session", id), "{id}");
            let name = key_name("session", id, Format::Json).unwrap();
            assert_ne!(parse(&name, Format::Json), Entry::Unknown, "{id}");
        }
    }

    #[test]
    fn hidden_temporary_and_foreign_files_are_no_keys() {
        for name in [
            ".baileys_ex_file_persistence.json",
            ".baileys_ex.journal",
            "session-1.json.tmp-123",
            "session-1.json.bak",
            "notes.txt",
            "session-1.etf",
        ] {
            assert_eq!(parse(name, Format::Json), Entry::Foreign, "{name}");
        }
        assert_eq!(parse("package-lock.json", Format::Json), Entry::Unknown);
    }

    proptest! {
        #[test]
        fn a_name_never_leaves_the_directory(family in ".{0,20}", id in ".{0,40}") {
            if let Ok(name) = key_name(&family, &id, Format::Json) {
                prop_assert!(!name.contains('/') && !name.contains('\0'));
                prop_assert!(name != "." && name != "..");
            }
        }

        #[test]
        fn two_unambiguous_ids_never_share_a_file(
            family in 0..FAMILIES.len(),
            a in "[a-z0-9_.@:/-]{1,6}",
            b in "[a-z0-9_.@:/-]{1,6}",
        ) {
            let family = FAMILIES[family];
            prop_assume!(a != b);
            if is_unambiguous(family, &a) {
                let names = (
                    key_name(family, &a, Format::Json).unwrap(),
                    key_name(family, &b, Format::Json).unwrap(),
                );
                prop_assert_ne!(names.0, names.1);
            }
        }

        #[test]
        fn parsing_any_name_gives_a_key_that_has_this_name(name in "[a-z0-9_.@-]{0,40}\\.json") {
            if let Entry::Key { family, id } = parse(&name, Format::Json) {
                prop_assert_eq!(key_name(&family, &id, Format::Json).unwrap(), name);
            }
        }
    }
}
