//! The names in a directory, and whom each belongs to.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use super::disk::{Disk, Kind};
use crate::error::{Error, Result};

/// The journal of a directory.
pub const JOURNAL: &str = ".baileys_ex.journal";

/// The file that a process locks while it writes in a directory: see [`lock`](super::lock).
pub const LOCK: &str = ".baileys_ex.lock";

/// The claim record of a directory: see [`claim`](super::claim).
pub const OWNER: &str = ".baileys_ex.owner";

/// The record of a publication in progress: see [`publication`](super::publication).
pub const PUBLICATION: &str = ".baileys_ex.publication";

/// The prefix of our unfinished files. It is short, since the name of a key's file may itself have
/// 255 bytes.
pub(crate) const TEMP_PREFIX: &str = ".baileys_ex.tmp-";

/// Marks an unfinished file, ours or another program's. Such files are never read as keys.
const TEMP_MARK: &str = ".tmp-";

/// The longest file name, in bytes, on the file systems in use.
pub(crate) const MAX_NAME: usize = 255;

/// The engine's own files. They belong to one directory and are never copied with it.
pub fn is_own(name: &str) -> bool {
    [JOURNAL, LOCK, OWNER, PUBLICATION].contains(&name)
}

/// Those of our files that hold nothing of an account.
pub fn is_bookkeeping(name: &str) -> bool {
    [LOCK, OWNER].contains(&name)
}

/// Whether a directory that has never held an account may contain this entry.
pub fn is_of_bare(name: &OsStr, kind: Kind) -> bool {
    name.to_str().is_some_and(is_bookkeeping) || is_own_temp(name) || is_of_file_system(name, kind)
}

/// Whether an entry stays when the content of its directory is replaced.
pub(crate) fn stays(name: &OsStr, kind: Kind) -> bool {
    name == LOCK || is_own_temp(name) || is_of_file_system(name, kind)
}

/// Whether this library created the entry, for anything but a key: the engine's files, a manifest,
/// or what a repair set aside.
pub(crate) fn is_of_library(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".baileys_ex")
}

/// An entry that file systems create at their root, which may be one of our directories.
fn is_of_file_system(name: &OsStr, kind: Kind) -> bool {
    kind == Kind::Directory && name == "lost+found"
}

/// Whether the name may belong to a key: not to an unfinished file, and not to the engine itself.
pub(crate) fn is_key(name: &str) -> bool {
    !is_own(name) && !name.contains(TEMP_MARK)
}

pub(crate) fn is_own_temp(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(TEMP_PREFIX.as_bytes())
}

/// The reason why a name cannot belong to the file of a key; `None` if it can.
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

/// The directory that holds `path`. A relative path of one component is in the current directory.
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
