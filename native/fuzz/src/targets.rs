//! One function for each decoder of bytes that come from a disk.
//!
//! Each must return for any input, and checks the properties of whatever was accepted. The first
//! byte of an input decides how the rest is read.

use std::path::{Path, PathBuf};

use auth_store::codec::etf;
use auth_store::codec::json::{self, DecodeContext, EncodeContext};
use auth_store::engine::{Directory, JOURNAL, Policy, is_bookkeeping};
use auth_store::format::Format;
use auth_store::layout::{self, Entry, FAMILIES};
use auth_store::manifest::Manifest;

use super::memory_disk::MemoryDisk;

/// A function that is run on an input.
pub type Target = fn(&[u8]);

pub const TARGETS: [(&str, Target); 5] = [
    ("json", json),
    ("etf", etf),
    ("names", names),
    ("manifest", manifest),
    ("journal", journal),
];

/// The families with a schema, the credentials, and a free-form family.
pub const JSON_FAMILIES: usize = FAMILIES.len() + 2;

pub fn json_family(choice: u8) -> &'static str {
    let known = FAMILIES.into_iter().chain([layout::CREDS, "to-come"]);
    known
        .cycle()
        .nth(usize::from(choice) % JSON_FAMILIES)
        .unwrap_or(layout::CREDS)
}

/// Reads every family and dialect. What was read and can be written must read back, and be written
/// the same way again.
pub fn json(data: &[u8]) {
    let Some((choice, text)) = data.split_first() else {
        return;
    };
    let family = json_family(*choice);
    let identity = [5; 33];
    let reading = DecodeContext {
        local_identity: (choice & 0x80 == 0).then_some(&identity),
    };
    let writing = EncodeContext {
        local_identity: reading.local_identity,
        now_ms: 1,
        ..Default::default()
    };
    let _ = json::local_identity(text);
    let Ok(value) = json::decode(family, text, &reading) else {
        return;
    };
    // What Baileys could not read back is refused, such as an object that looks like bytes.
    let Ok(written) = json::encode(family, &value, &writing) else {
        return;
    };
    let again = json::decode(family, &written, &reading)
        .unwrap_or_else(|problem| panic!("{family}: what was written is refused: {problem}"));
    let rewritten = json::encode(family, &again, &writing)
        .unwrap_or_else(|problem| panic!("{family}: what was read is refused: {problem}"));
    assert!(written == rewritten, "{family}: written differently");
}

/// Whatever the decoder accepts must pass the scan, and must read back after it is written.
pub fn etf(data: &[u8]) {
    let scanned = etf::scan(data, &mut |name| name.chars().count() <= 255);
    let Ok(value) = etf::decode(data) else {
        return;
    };
    assert!(scanned.is_ok(), "the scan refuses what the decoder takes");
    let written = etf::encode(&value).unwrap_or_else(|problem| panic!("not written: {problem}"));
    let again = etf::decode(&written).unwrap_or_else(|problem| panic!("not read: {problem}"));
    let rewritten = etf::encode(&again).unwrap_or_else(|problem| panic!("not written: {problem}"));
    // The order of maps is not kept.
    assert!(
        written.len() == rewritten.len(),
        "what was written reads back differently"
    );
}

/// Turns family and id into a file name and back, and parses any name. No key may get a file
/// outside its directory, a hidden file, or one that looks like a leftover.
pub fn names(data: &[u8]) {
    let Some((choice, text)) = data.split_first() else {
        return;
    };
    let format = format(*choice);
    let Ok(text) = std::str::from_utf8(text) else {
        return;
    };
    let _ = layout::parse(text, format);
    let (family, id) = text
        .split_once('\n')
        .unwrap_or((json_family(*choice), text));
    let Ok(name) = layout::key_name(family, id, format) else {
        return;
    };
    assert!(name.len() <= 255 && !name.contains(['/', '\0']));
    assert!(!name.starts_with('.') && !layout::is_leftover(&name));
    let regular = layout::is_regular(family, id, &name, format);
    if regular {
        let key = Entry::Key {
            family: family.to_owned(),
            id: id.to_owned(),
        };
        assert!(layout::parse(&name, format) == key);
    }
    if layout::is_unambiguous(family, id) {
        assert!(regular, "one reading, and not the one that was written");
    }
}

/// A manifest that was read must say the same after it is written.
pub fn manifest(data: &[u8]) {
    let Some((choice, bytes)) = data.split_first() else {
        return;
    };
    let format = format(*choice);
    let Ok(mut manifest) = Manifest::parse(bytes, format) else {
        return;
    };
    manifest.upgrade(format);
    let written = manifest
        .render(format)
        .unwrap_or_else(|error| panic!("not written: {error}"));
    let again =
        Manifest::parse(&written, format).unwrap_or_else(|error| panic!("not read: {error}"));
    assert!(manifest == again, "what was written reads differently");
}

/// Opens a directory with the input as its journal, or with a journal of correct checksums made
/// from it. Recovery must refuse it and touch nothing, or complete the directory without leaving
/// it.
pub fn journal(data: &[u8]) {
    let Some((choice, bytes)) = data.split_first() else {
        return;
    };
    let path = Path::new("/auth");
    let journal = if choice & 1 == 0 {
        bytes.to_vec()
    } else {
        sealed_journal(bytes)
    };
    let policy = if choice & 2 == 0 {
        Policy::Journaled
    } else {
        Policy::Plain
    };
    let disk = MemoryDisk::default();
    disk.make(path.join(JOURNAL), journal.clone());
    disk.make(path.join("pre-key-1.etf"), b"1".to_vec());
    let before = all_files(&disk);

    let directory = Directory::new(disk.clone(), path.to_owned(), policy);
    let state = directory.journal_state();
    assert!(all_files(&disk) == before, "looking changed something");
    match directory.open() {
        Ok(()) => {
            assert!(state.is_ok(), "a damaged journal was replayed");
            assert!(disk.files().keys().all(|file| is_in(file, path)));
            let reopened = Directory::new(disk.clone(), path.to_owned(), policy);
            let once = key_files(&disk);
            assert!(reopened.open().is_ok(), "a recovery cannot be repeated");
            assert!(key_files(&disk) == once, "a second recovery finds more");
        }
        Err(_) => assert!(all_files(&disk) == before, "a refused journal was touched"),
    }
}

fn is_in(file: &Path, directory: &Path) -> bool {
    file.parent() == Some(directory) && file.file_name().is_some()
}

/// All files except the lock and the owner, since even a look creates the lock.
fn all_files(disk: &MemoryDisk) -> Vec<(PathBuf, Vec<u8>)> {
    let files = disk.files().into_iter();
    files
        .filter(|(path, _)| {
            let name = path.file_name().and_then(|name| name.to_str());
            !name.is_some_and(is_bookkeeping)
        })
        .collect()
}

fn key_files(disk: &MemoryDisk) -> Vec<(PathBuf, Vec<u8>)> {
    let files = all_files(disk).into_iter();
    files
        .filter(|(path, _)| path.file_name().is_some_and(|name| name != JOURNAL))
        .collect()
}

/// A journal with correct checksums, whose records have parts of `bytes` as bodies: a length, a
/// count, and that many bytes. The engine's `DESIGN.md` shows the layout.
pub fn sealed_journal(bytes: &[u8]) -> Vec<u8> {
    let (salt, counter) = (7u64, 1u64);
    let mut journal = Vec::new();
    journal.extend_from_slice(b"\x89BXJRNL\n");
    journal.extend_from_slice(&1u32.to_le_bytes());
    journal.extend_from_slice(&[0; 4]);
    journal.extend_from_slice(&salt.to_le_bytes());
    journal.extend_from_slice(&counter.to_le_bytes());
    let mut link = crc32c::crc32c(&journal);
    journal.extend_from_slice(&link.to_le_bytes());

    let mut rest = bytes;
    let mut sequence = 0u64;
    while let Some((&[length, count], more)) = rest.split_first_chunk::<2>() {
        let (body, more) = more.split_at(more.len().min(usize::from(length)));
        rest = more;
        sequence += 1;
        let start = journal.len();
        journal.extend_from_slice(b"BXRC");
        journal.extend_from_slice(&(body.len() as u32).to_le_bytes());
        journal.extend_from_slice(&u32::from(count).to_le_bytes());
        journal.extend_from_slice(&crc32c::crc32c(body).to_le_bytes());
        journal.extend_from_slice(&salt.to_le_bytes());
        journal.extend_from_slice(&counter.to_le_bytes());
        journal.extend_from_slice(&sequence.to_le_bytes());
        journal.extend_from_slice(&link.to_le_bytes());
        link = crc32c::crc32c(&journal[start..]);
        journal.extend_from_slice(&link.to_le_bytes());
        journal.extend_from_slice(body);
    }
    journal
}

fn format(choice: u8) -> Format {
    if choice & 1 == 0 {
        Format::Json
    } else {
        Format::Etf
    }
}
