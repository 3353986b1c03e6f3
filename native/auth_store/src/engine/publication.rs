//! Publications: new content for a directory that stays the same directory. It may be the mount
//! point of a volume or the working directory of a process, and it keeps its owner and its mode.
//!
//! The new files lie in it under unfinished names, durable. Then a record is made durable that says
//! which names they get and which names are removed: this is the commit point. A process that opens
//! the directory after a crash carries out the record before anything else.

use std::collections::{BTreeMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

use super::directories::remove_tree;
use super::disk::{Disk, Kind, SyncPoint};
use super::effects;
use super::failure::{At, Outcome};
use super::files::{found, read_file};
use super::names::{self, PUBLICATION, TEMP_PREFIX};
use super::temp::Temp;
use crate::error::{Error, Result};

const MAGIC: [u8; 8] = *b"BXPUBL1\n";

/// The decision about the new content of a directory.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Publication {
    /// The token in the unfinished names.
    pub token: u64,
    /// The names for the unfinished files, in the order of their numbers.
    pub files: Vec<String>,
    /// The names to remove.
    pub removed: Vec<OsString>,
}

/// The unfinished name of a file that is to be published.
pub(crate) fn staged(directory: &Path, token: u64, index: usize) -> PathBuf {
    directory.join(format!("{TEMP_PREFIX}{token:016x}-{index}"))
}

pub(crate) fn is_pending<D: Disk>(disk: &D, directory: &Path) -> Result<bool> {
    let path = directory.join(PUBLICATION);
    match disk.metadata(&path) {
        Ok(_) => Ok(true),
        Err(error)
            if matches!(
                error.kind(),
                std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(false)
        }
        Err(error) => Err(Error::io(&path, error)),
    }
}

/// The record that a crash left, if there is one.
pub(crate) fn load<D: Disk>(disk: &D, directory: &Path) -> Result<Option<Publication>> {
    let path = directory.join(PUBLICATION);
    let Some(bytes) = read_file(disk, &path)? else {
        return Ok(None);
    };
    let damaged = || Error::corrupt(&path, "", "the record of a publication is damaged");
    decode(&bytes).map(Some).ok_or_else(damaged)
}

/// Everything that a new content of `files` removes. The lock file, our unfinished files, and
/// entries of the file system stay.
pub(crate) fn all_but<D: Disk>(
    disk: &D,
    directory: &Path,
    files: &[String],
) -> Result<Vec<OsString>> {
    let kept: HashSet<&OsStr> = files.iter().map(OsStr::new).collect();
    let there = listed(disk, directory).at(directory)?;
    let goes =
        |(name, kind): &(OsString, Kind)| !kept.contains(&**name) && !names::stays(name, *kind);
    Ok(there
        .into_iter()
        .filter(goes)
        .map(|(name, _)| name)
        .collect())
}

/// Decides on a new content whose files are durable under their unfinished names. After an error
/// nothing is decided, unless the error says that the outcome is unknown.
pub(crate) fn decide<D: Disk>(
    disk: &D,
    directory: &Path,
    publication: &Publication,
) -> Result<(), Undecided> {
    let path = directory.join(PUBLICATION);
    let bytes = encode(publication).ok_or_else(|| {
        Undecided::Old(Error::InvalidTerm {
            member: String::new(),
            problem: "too many files for one publication".to_owned(),
        })
    })?;
    let temp = Temp::write_synced(disk, directory, &bytes, SyncPoint::PublicationFile)
        .map_err(|failure| Undecided::Old(failure.error))?;
    temp.rename(&path)
        .map_err(|error| Undecided::Old(Error::io(&path, error)))?;
    let Err(error) = disk.sync_directory(directory, SyncPoint::PublicationName) else {
        return Ok(());
    };
    let error = Error::io(directory, error);
    let undone = effects::remove_file(disk, &path)
        .and_then(|()| disk.sync_directory(directory, SyncPoint::Unpublished));
    Err(match undone {
        Ok(()) => Undecided::Old(error),
        Err(_) => Undecided::Unknown(error),
    })
}

pub(crate) enum Undecided {
    /// The directory is as it was.
    Old(Error),
    /// A crash may bring up the record, or not.
    Unknown(Error),
}

/// Carries out a publication that this process has just decided on, so that the unfinished files
/// are known to be durable. They keep those names until the new names are durable too, since a
/// failed sync may lose a renamed file.
pub(crate) fn carry_out<D: Disk>(
    disk: &D,
    directory: &Path,
    publication: &Publication,
) -> Outcome<()> {
    let there = listed(disk, directory).latching(directory)?;
    for (index, name) in publication.files.iter().enumerate() {
        let path = directory.join(name);
        let from = staged(directory, publication.token, index);
        make_room(disk, &path, &there)?;
        if !link_over(disk, directory, &from, &path) {
            // The file system has no hard links.
            let bytes = content(disk, &from, &path)?;
            write_again(disk, directory, &path, &bytes)?;
        }
    }
    finish(disk, directory, publication)
}

/// Completes a publication whose process died. Relies on no file and no name that it may have left
/// visible without being durable.
pub(crate) fn complete<D: Disk>(disk: &D, directory: &Path) -> Outcome<()> {
    let Some(publication) = load(disk, directory)? else {
        return Ok(());
    };
    // The other process may have died before the name of the record was durable.
    let record = directory.join(PUBLICATION);
    let bytes = read_file(disk, &record)?.unwrap_or_default();
    write_again(disk, directory, &record, &bytes)?;
    disk.sync_directory(directory, SyncPoint::RepeatedRecord)
        .latching(directory)?;
    let there = listed(disk, directory).latching(directory)?;
    for (index, name) in publication.files.iter().enumerate() {
        let path = directory.join(name);
        let unfinished = staged(directory, publication.token, index);
        let bytes = content(disk, &unfinished, &path)?;
        // If the unfinished name is gone, the file is durable under its own name, and room was made
        // for it then.
        if there.contains_key(unfinished.file_name().unwrap_or_default()) {
            make_room(disk, &path, &there)?;
        }
        write_again(disk, directory, &path, &bytes)?;
    }
    finish(disk, directory, &publication)
}

/// Gives a file a second name, replacing the file that had it.
fn link_over<D: Disk>(disk: &D, directory: &Path, from: &Path, to: &Path) -> bool {
    if disk.link(from, to).is_ok() {
        return true;
    }
    let Ok(second) = names::temp(disk, directory) else {
        return false;
    };
    let linked = disk
        .link(from, &second)
        .and_then(|()| effects::rename(disk, &second, to));
    if linked.is_err() {
        // A file that stays behind is removed when the directory is next opened.
        let _ = disk.remove_file(&second);
    }
    linked.is_ok()
}

/// The new content of a file, under its unfinished name or, if that is gone, under its own.
fn content<D: Disk>(disk: &D, unfinished: &Path, path: &Path) -> Result<Vec<u8>> {
    if let Some(bytes) = read_file(disk, unfinished)? {
        return Ok(bytes);
    }
    read_file(disk, path)?
        .ok_or_else(|| Error::corrupt(path, "", "was to be published, and is not there"))
}

fn write_again<D: Disk>(disk: &D, directory: &Path, path: &Path, bytes: &[u8]) -> Outcome<()> {
    let temp = Temp::write_synced(disk, directory, bytes, SyncPoint::RepeatedFiles)?;
    temp.rename(path).latching(path)
}

/// Removes what is in the way of a file. That may be a directory, which a rename does not replace.
/// On a disk that ignores case it may also be the same file under another spelling, which a rename
/// would keep.
fn make_room<D: Disk>(disk: &D, path: &Path, there: &Listing) -> Outcome<()> {
    match found(disk.metadata(path)).latching(path)? {
        Some(entry) if entry.kind == Kind::Directory => remove_tree(disk, path),
        // Mutants: removing every file costs one call each; after a crash the record is carried out
        // again.
        Some(_) if !there.contains_key(path.file_name().unwrap_or_default()) => {
            effects::remove_file(disk, path).latching(path)?;
        }
        _ => {}
    }
    Ok(())
}

/// The entries of a directory with their kinds, as they are spelled on the disk.
type Listing = BTreeMap<OsString, Kind>;

fn listed<D: Disk>(disk: &D, directory: &Path) -> io::Result<Listing> {
    let mut there = Listing::new();
    disk.entries(directory, &mut |name, kind| {
        there.insert(name.to_owned(), kind);
    })?;
    Ok(there)
}

/// Makes the new names durable, then removes the unfinished and the old names, and finally the
/// record. If the record stayed, it would one day remove what was saved since.
fn finish<D: Disk>(disk: &D, directory: &Path, publication: &Publication) -> Outcome<()> {
    disk.sync_directory(directory, SyncPoint::PublishedNames)
        .latching(directory)?;
    for index in 0..publication.files.len() {
        let path = staged(directory, publication.token, index);
        effects::remove_file(disk, &path).latching(&path)?;
    }
    let there = listed(disk, directory).latching(directory)?;
    for name in &publication.removed {
        let path = directory.join(name);
        match there.get(name) {
            // Only another spelling of a new file had this name. The name may lead to that file
            // now.
            None => {}
            // A directory that cannot be removed, such as a mount point, does not belong to the
            // account.
            Some(Kind::Directory) => remove_tree(disk, &path),
            Some(_) => effects::remove_file(disk, &path).latching(&path)?,
        }
    }
    disk.sync_directory(directory, SyncPoint::PublishedRemovals)
        .latching(directory)?;
    let record = directory.join(PUBLICATION);
    effects::remove_file(disk, &record).latching(&record)?;
    disk.sync_directory(directory, SyncPoint::PublicationOver)
        .latching(directory)
}

/// All numbers are little-endian: magic, token, the counts of files and of removed names, each name
/// after its length, and a CRC-32C of all that.
fn encode(publication: &Publication) -> Option<Vec<u8>> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&publication.token.to_le_bytes());
    for count in [publication.files.len(), publication.removed.len()] {
        bytes.extend_from_slice(&u32::try_from(count).ok()?.to_le_bytes());
    }
    let files = publication.files.iter().map(|name| name.as_bytes());
    let removed = publication.removed.iter();
    for name in files.chain(removed.map(|name| name.as_encoded_bytes())) {
        bytes.extend_from_slice(&u16::try_from(name.len()).ok()?.to_le_bytes());
        bytes.extend_from_slice(name);
    }
    let checksum = crc32c::crc32c(&bytes);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    Some(bytes)
}

fn decode(bytes: &[u8]) -> Option<Publication> {
    let (content, checksum) = bytes.split_last_chunk::<4>()?;
    if crc32c::crc32c(content) != u32::from_le_bytes(*checksum) {
        return None;
    }
    let rest = content.strip_prefix(&MAGIC)?;
    let (token, rest) = rest.split_first_chunk::<8>()?;
    let (files, rest) = rest.split_first_chunk::<4>()?;
    let (removed, mut rest) = rest.split_first_chunk::<4>()?;
    let mut publication = Publication {
        token: u64::from_le_bytes(*token),
        ..Publication::default()
    };
    for _ in 0..u32::from_le_bytes(*files) {
        let name = std::str::from_utf8(take_name(&mut rest)?).ok()?;
        // Only names that a publication can write.
        names::problem(name).is_none().then_some(())?;
        publication.files.push(name.to_owned());
    }
    for _ in 0..u32::from_le_bytes(*removed) {
        let name = take_name(&mut rest)?;
        let is_name = !name.is_empty() && !name.contains(&b'/') && name != b"." && name != b"..";
        is_name.then_some(())?;
        publication.removed.push(os_name(name));
    }
    rest.is_empty().then_some(publication)
}

fn take_name<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, after) = rest.split_first_chunk::<2>()?;
    let (name, after) = after.split_at_checked(usize::from(u16::from_le_bytes(*length)))?;
    *rest = after;
    Some(name)
}

fn os_name(name: &[u8]) -> OsString {
    use std::os::unix::ffi::OsStrExt;
    OsStr::from_bytes(name).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> Publication {
        Publication {
            token: 7,
            files: vec!["creds.etf".to_owned(), "pre-key-1.etf".to_owned()],
            removed: vec![os_name(b"old.json"), os_name(b"\xff")],
        }
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        for publication in [some(), Publication::default()] {
            let bytes = encode(&publication).unwrap();
            assert_eq!(decode(&bytes), Some(publication));
        }
    }

    #[test]
    fn a_record_that_is_damaged_or_leads_elsewhere_is_none() {
        let whole = encode(&some()).unwrap();
        for length in 0..whole.len() {
            assert_eq!(decode(&whole[..length]), None, "{length}");
        }
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x10;
            assert_eq!(decode(&damaged), None, "{at}");
        }
        for name in ["../creds.etf", "a/b", "..", "", ".baileys_ex.journal"] {
            let elsewhere = Publication {
                files: vec![name.to_owned()],
                ..some()
            };
            assert_eq!(decode(&encode(&elsewhere).unwrap()), None, "{name}");
        }
        for name in ["../x", "..", ".", ""] {
            let elsewhere = Publication {
                removed: vec![os_name(name.as_bytes())],
                ..some()
            };
            assert_eq!(decode(&encode(&elsewhere).unwrap()), None, "{name}");
        }
    }
}
