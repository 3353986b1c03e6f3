//! Disks that ignore case, as macOS formats them by default: two names that differ only in case are
//! one file there, and ids may differ only in case.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::disk::Disk;
use super::failure::At;
use super::files::found;
use super::names::LOCK;
use crate::error::{Error, Result};

const UNKNOWN: u8 = 0;
const TELLS: u8 = 1;
const IGNORES: u8 = 2;

/// What is known of the disk of a directory.
#[derive(Default)]
pub(super) struct Case {
    state: AtomicU8,
    /// Names that were found to be spelled exactly so, on a disk that ignores case.
    spelled: Mutex<HashSet<Box<str>>>,
}

impl Case {
    pub fn spelled(&self) -> MutexGuard<'_, HashSet<Box<str>>> {
        self.spelled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the disk ignores case; `None` as long as no file has shown it.
    pub fn ignored(&self) -> Option<bool> {
        // Mutants: without an answer the disk is asked again, and answers the same.
        match self.state.load(Ordering::Relaxed) {
            TELLS => Some(false),
            IGNORES => Some(true),
            _ => None,
        }
    }

    pub fn tell(&self, ignored: Option<bool>) {
        let state = match ignored {
            None => UNKNOWN,
            Some(false) => TELLS,
            Some(true) => IGNORES,
        };
        self.state.store(state, Ordering::Relaxed);
    }

    /// Forgets spellings, because another process may have changed them.
    pub fn forget(&self) {
        self.spelled().clear();
    }
}

/// Whether the disk of a directory ignores case, judged by a file in it; `None` if the file is
/// missing or its name has no letters.
pub(super) fn ignores_case<D: Disk>(
    disk: &D,
    directory: &Path,
    name: &str,
) -> Result<Option<bool>> {
    let flipped: String = name.chars().map(flip).collect();
    let path = directory.join(name);
    let Some(file) = found(disk.metadata(&path))
        .at(&path)?
        .filter(|_| flipped != name)
    else {
        return Ok(None);
    };
    let other = disk.metadata(&directory.join(flipped));
    Ok(Some(other.is_ok_and(|other| {
        (other.device, other.inode) == (file.device, file.inode)
    })))
}

fn flip(letter: char) -> char {
    if letter.is_ascii_lowercase() {
        letter.to_ascii_uppercase()
    } else {
        letter.to_ascii_lowercase()
    }
}

/// The names in a directory that is being created, if its disk ignores case.
#[derive(Default)]
pub(super) struct Spellings(Option<HashMap<String, String>>);

impl Spellings {
    /// `directory` must have a lock file.
    pub fn of<D: Disk>(disk: &D, directory: &Path) -> Result<Self> {
        let ignores = ignores_case(disk, directory, LOCK)? == Some(true);
        Ok(Spellings(ignores.then(HashMap::new)))
    }

    /// Refuses a name that would be the same file as an earlier one.
    pub fn add(&mut self, name: &str) -> Result<()> {
        let Some(names) = &mut self.0 else {
            return Ok(());
        };
        // Mutants: no name is added twice, so the guard never fails.
        match names.insert(name.to_lowercase(), name.to_owned()) {
            Some(other) if other != name => Err(one_file("file", name, &other)),
            _ => Ok(()),
        }
    }
}

/// The error for two names that are one file.
pub(crate) fn one_file(family: &str, id: &str, other: &str) -> Error {
    Error::InvalidKey {
        family: family.to_owned(),
        id: id.to_owned(),
        problem: format!(
            "another id of this directory has the same file name: this disk does not tell capital letters \
             from small ones, and {other} is one file with it"
        ),
    }
}
