//! Directories that are being created: hidden, beside their target, and locked while somebody works
//! on them.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

use super::directories::{make_directories, remove_tree};
use super::disk::{Disk, Kind};
use super::failure::At;
use super::lock::Lock;
use super::names::{self, parent};
use crate::error::{Error, Result};

/// The name is `.<target>`, this mark and a random token.
const MARK: &str = ".baileys_ex.tmp-";
/// The hexadecimal digits of the token.
const TOKEN: usize = 16;

/// Creates a new directory beside `target`, and the missing parents of `target`.
pub(super) fn create<D: Disk>(disk: &D, target: &Path) -> Result<(PathBuf, Lock<D>)> {
    let path = name(disk, target)?;
    make_directories(disk, parent(target)).map_err(|failure| failure.error)?;
    disk.create_directory(&path).at(&path)?;
    let lock = lock_new(disk, &path)?;
    Ok((path, lock))
}

/// Removes directories beside `target` that a crash left unpublished. A locked one belongs to a
/// live process and stays.
pub fn sweep<D: Disk>(disk: &D, target: &Path) -> Result<()> {
    for path in siblings(disk, target)? {
        if let Ok(Some(_lock)) = Lock::take(disk, &path) {
            remove_tree(disk, &path);
        }
    }
    Ok(())
}

/// Directories beside `target` that carry its name and our mark.
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
        // Where we cannot list, we cannot have left anything.
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

/// Locks a directory that was just created, though another process may already be sweeping it. If
/// the lock cannot be taken, nothing stays behind.
fn lock_new<D: Disk>(disk: &D, path: &Path) -> Result<Lock<D>> {
    match Lock::take(disk, path) {
        Ok(Some(lock)) => Ok(lock),
        Ok(None) => Err(busy(path)),
        // Whoever holds the lock is sweeping the directory.
        Err(error @ Error::Busy { .. }) => Err(error),
        Err(error) => {
            remove_tree(disk, path);
            Err(error)
        }
    }
}

/// The error that another process is using the path right now.
pub(super) fn busy(path: &Path) -> Error {
    Error::Busy {
        path: path.to_owned(),
        holder: None,
    }
}

fn prefix(target: &Path) -> Option<OsString> {
    let target = target.file_name()?;
    let mut name = OsString::from(".");
    // A file name may have 255 bytes. A checksum stands for a target whose name is too long.
    if target.len() + 1 + MARK.len() + TOKEN > names::MAX_NAME {
        let checksum = crc32c::crc32c(target.as_encoded_bytes());
        name.push(format!("{checksum:08x}-{:03}", target.len()));
    } else {
        name.push(target);
    }
    name.push(MARK);
    Some(name)
}

/// A new name beside `target`. If a crash leaves something under it, the next sweep removes that.
pub(super) fn name<D: Disk>(disk: &D, target: &Path) -> Result<PathBuf> {
    let token = disk.random().at(target)?;
    let mut name = prefix(target).ok_or_else(|| Error::InvalidTerm {
        member: String::new(),
        problem: "the target has no name of its own".to_owned(),
    })?;
    name.push(OsStr::new(&format!("{token:016x}")));
    Ok(parent(target).join(name))
}
