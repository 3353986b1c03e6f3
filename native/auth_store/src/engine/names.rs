//! Which names of a directory are whose.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use super::disk::{Disk, Kind};
use crate::error::{Error, Result};

/// The journal of a directory.
pub const JOURNAL: &str = ".baileys_ex.journal";

/// What a process locks while it writes in a directory: see [`lock`](super::lock).
pub const LOCK: &str = ".baileys_ex.lock";

/// Who has claimed a directory: see [`claim`](super::claim).
pub const OWNER: &str = ".baileys_ex.owner";

/// What is to become of a directory: see [`publication`](super::publication).
pub const PUBLICATION: &str = ".baileys_ex.publication";

/// Our unfinished files. Short, since a key's file name may itself be 255 bytes.
pub(crate) const TEMP_PREFIX: &str = ".baileys_ex.tmp-";

/// What marks an unfinished file, ours or another program's: never read.
const TEMP_MARK: &str = ".tmp-";

/// The longest file name of the file systems in use.
pub(crate) const MAX_NAME: usize = 255;

/// The engine's own files, which belong to one directory and are never copied.
pub fn is_own(name: &str) -> bool {
    [JOURNAL, LOCK, OWNER, PUBLICATION].contains(&name)
}

/// Our files that say nothing of an account.
pub fn is_bookkeeping(name: &str) -> bool {
    [LOCK, OWNER].contains(&name)
}

/// What a directory may hold that has never held anything.
pub fn is_of_bare(name: &OsStr, kind: Kind) -> bool {
    name.to_str().is_some_and(is_bookkeeping) || is_own_temp(name) || is_of_file_system(name, kind)
}

/// What is no part of a directory's content, whatever that is.
pub(crate) fn stays(name: &OsStr, kind: Kind) -> bool {
    name == LOCK || is_own_temp(name) || is_of_file_system(name, kind)
}

/// Whether this library made it, and not for a key: the engine, a manifest, what a repair set aside.
pub(crate) fn is_of_library(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".baileys_ex")
}

/// What a file system has at its root, which may be a directory of ours.
fn is_of_file_system(name: &OsStr, kind: Kind) -> bool {
    kind == Kind::Directory && name == "lost+found"
}

/// Whether an entry can be a key's file: not unfinished, and not the engine's own.
pub(crate) fn is_key(name: &str) -> bool {
    !is_own(name) && !name.contains(TEMP_MARK)
}

pub(crate) fn is_own_temp(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(TEMP_PREFIX.as_bytes())
}

/// Why a name cannot be the name of a key's file in a directory, if it cannot.
pub(crate) fn problem(name: &str) -> Option<&'static str> {
    if name.is_empty() || name == "." || name == ".." {
        Some("is not the name of a file")
    } else if name.len() > MAX_NAME {
        Some("is longer than 255 bytes")
    } else if name.contains(['/', '\0']) {
        Some("holds a slash or a NUL")
    } else if !is_key(name) {
        Some("is reserved for unfinished files and the engine's own")
    } else {
        None
    }
}

pub(crate) fn check(name: &str) -> Result<()> {
    match problem(name) {
        None => Ok(()),
        Some(problem) => Err(Error::InvalidTerm {
            member: name.to_owned(),
            problem: format!("the file name {problem}"),
        }),
    }
}

/// A fresh name for an unfinished file in `directory`.
pub(crate) fn temp<D: Disk>(disk: &D, directory: &Path) -> io::Result<PathBuf> {
    Ok(directory.join(format!("{TEMP_PREFIX}{:016x}", disk.random()?)))
}

/// The directory that holds `path`; relative paths of one component are in the current one.
pub(crate) fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) => Path::new("."),
        None => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_has_a_parent() {
        for (path, of) in [("a/b", "a"), ("a", "."), ("/a", "/"), ("/", "/")] {
            assert_eq!(parent(Path::new(path)), Path::new(of), "{path}");
        }
    }

    #[test]
    fn the_library_s_own_files_are_told_from_keys_and_from_others() {
        for name in [JOURNAL, LOCK, OWNER, PUBLICATION, ".baileys_ex.tmp-1"] {
            assert!(is_of_library(OsStr::new(name)), "{name}");
        }
        for name in ["creds.etf", "lost+found", "creds.json.tmp-1"] {
            assert!(!is_of_library(OsStr::new(name)), "{name}");
        }
    }
}
