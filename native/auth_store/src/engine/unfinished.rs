//! Directories in the making: hidden, beside what they will be, and locked as long as somebody works on them.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

use super::directories::{make_directories, remove_tree};
use super::disk::{Disk, Kind};
use super::failure::At;
use super::lock::Lock;
use super::names::{self, parent};
use crate::error::{Error, Result};

/// `.<target>` + this + random digits.
const MARK: &str = ".baileys_ex.tmp-";
/// The digits behind it.
const TOKEN: usize = 16;

/// A new directory for what will be `target`, and missing parents of it.
pub(super) fn create<D: Disk>(disk: &D, target: &Path) -> Result<(PathBuf, Lock<D>)> {
    let path = beside(target, disk.random().at(target)?)?;
    make_directories(disk, parent(target)).map_err(|failure| failure.error)?;
    disk.create_directory(&path).at(&path)?;
    let lock = lock_new(disk, &path)?;
    Ok((path, lock))
}

/// Removes what crashes left beside `target`: directories that were never published. What is locked belongs
/// to somebody who is alive, and stays.
pub fn sweep<D: Disk>(disk: &D, target: &Path) -> Result<()> {
    for path in siblings(disk, target)? {
        if let Ok(Some(_lock)) = Lock::take(disk, &path) {
            remove_tree(disk, &path);
        }
    }
    Ok(())
}

/// Directories beside `target` that are named after it.
fn siblings<D: Disk>(disk: &D, target: &Path) -> Result<Vec<PathBuf>> {
    let Some(prefix) = prefix(target) else {
        return Ok(Vec::new());
    };
    let parent = parent(target);
    let mut found_ones = Vec::new();
    let listed = disk.entries(parent, &mut |name, kind| {
        let ours = name
            .as_encoded_bytes()
            .starts_with(prefix.as_encoded_bytes());
        if ours && kind == Kind::Directory {
            found_ones.push(parent.join(name));
        }
    });
    match listed {
        Ok(()) => Ok(found_ones),
        // Where nothing can be listed, nothing was left by us.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound
                    | io::ErrorKind::PermissionDenied
                    | io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(found_ones)
        }
        Err(error) => Err(Error::io(parent, error)),
    }
}

/// Locks a directory that was just made, which somebody may have swept before. Leaves nothing behind
/// where it cannot be had.
fn lock_new<D: Disk>(disk: &D, path: &Path) -> Result<Lock<D>> {
    match Lock::take(disk, path) {
        Ok(Some(lock)) => Ok(lock),
        Ok(None) => Err(busy(path)),
        // Whoever has it sweeps it.
        Err(error @ Error::Busy { .. }) => Err(error),
        Err(error) => {
            remove_tree(disk, path);
            Err(error)
        }
    }
}

/// Somebody else has to do with it right now.
pub(super) fn busy(path: &Path) -> Error {
    Error::Busy {
        path: path.to_owned(),
        holder: None,
    }
}

fn prefix(target: &Path) -> Option<OsString> {
    let target = target.file_name()?;
    let mut name = OsString::from(".");
    // A name may have 255 bytes: of a longer one a checksum stands for it.
    if target.len() + 1 + MARK.len() + TOKEN > names::MAX_NAME {
        let checksum = crc32c::crc32c(target.as_encoded_bytes());
        name.push(format!("{checksum:08x}-{:03}", target.len()));
    } else {
        name.push(target);
    }
    name.push(MARK);
    Some(name)
}

fn beside(target: &Path, token: u64) -> Result<PathBuf> {
    let mut name = prefix(target).ok_or_else(|| Error::InvalidTerm {
        member: String::new(),
        problem: "the target has no name of its own".to_owned(),
    })?;
    name.push(OsStr::new(&format!("{token:016x}")));
    Ok(parent(target).join(name))
}
