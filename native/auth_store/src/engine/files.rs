//! Reads whole files, and explains why something that is no regular file cannot be read.

use std::io;
use std::path::{Path, PathBuf};

use super::disk::{Disk, Kind, Metadata};
use super::failure::At;
use super::limits::MAX_FILE;
use super::names;
use crate::error::{Error, Flaw, Result};

/// Turns the error for a missing file into `None`.
pub(crate) fn found<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The target of a link that stays within its directory, which is how mounted secrets and
/// configuration are laid out. Nothing is ever written through such a link.
pub(super) fn link_within<D: Disk>(disk: &D, path: &Path) -> Option<PathBuf> {
    let place = disk.resolve(names::parent(path)).ok()?;
    let real = disk.resolve(path).ok()?;
    let is_file = || {
        disk.metadata(&real)
            .is_ok_and(|real| real.kind == Kind::File)
    };
    (real.starts_with(place) && is_file()).then_some(real)
}

/// Reads a whole regular file. Follows no link out of its directory and does not wait for a FIFO.
pub(super) fn read_file<D: Disk>(disk: &D, path: &Path) -> Result<Option<Vec<u8>>> {
    Ok(read_version(disk, path)?.map(|(bytes, _)| bytes))
}

/// As [`read_file`], with the metadata of the file that was read.
pub(super) fn read_version<D: Disk>(disk: &D, path: &Path) -> Result<Option<(Vec<u8>, Metadata)>> {
    let file = match disk.open_read(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        // Opening a symbolic link fails with ELOOP and a socket with ENXIO: report what is there,
        // not how opening it failed. Mutants: opening the file itself again fails in the same way.
        Err(error) => match link_within(disk, path) {
            Some(real) if real != path => disk.open_read(&real).at(&real)?,
            _ => return Err(irregular(disk, path).unwrap_or_else(|| Error::io(path, error))),
        },
    };
    let metadata = disk.file_metadata(&file).at(path)?;
    if metadata.kind != Kind::File {
        return Err(not_a_file(path, metadata.kind));
    }
    if metadata.size > MAX_FILE {
        return Err(Error::corrupt(path, "", "the file is larger than 64 MiB"));
    }
    let mut bytes = vec![0; metadata.size as usize];
    let read_at = |buffer: &mut [u8], offset: u64| disk.read_at(&file, buffer, offset);
    let read = fill(&read_at, &mut bytes, 0).at(path)?;
    bytes.truncate(read);
    Ok(Some((bytes, metadata)))
}

pub(super) fn irregular<D: Disk>(disk: &D, path: &Path) -> Option<Error> {
    let kind = disk.metadata(path).ok()?.kind;
    (kind != Kind::File).then(|| not_a_file(path, kind))
}

pub(super) fn not_a_file(path: &Path, kind: Kind) -> Error {
    let (what, flaw) = match kind {
        Kind::Directory => ("a directory", Flaw::NotAFile),
        Kind::Symlink => ("a symbolic link, which is not followed", Flaw::Link),
        Kind::File | Kind::Other => ("not a regular file", Flaw::NotAFile),
    };
    Error::Corrupt {
        path: path.to_owned(),
        member: String::new(),
        problem: format!("this is {what}"),
        flaw,
    }
}

/// Reads bytes at an offset, as `pread` does.
pub(crate) type ReadAt<'a> = dyn Fn(&mut [u8], u64) -> io::Result<usize> + 'a;

/// Reads until the buffer is full or the source ends.
pub(crate) fn fill(read_at: &ReadAt, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match read_at(&mut buffer[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn only_what_is_not_there_is_none() {
        let of = |kind: io::ErrorKind| found::<()>(Err(kind.into()));
        assert_eq!(of(io::ErrorKind::NotFound).unwrap(), None);
        for kind in [
            io::ErrorKind::PermissionDenied,
            io::ErrorKind::NotADirectory,
        ] {
            assert_eq!(of(kind).unwrap_err().kind(), kind);
        }
        assert_eq!(found(Ok(1)).unwrap(), Some(1));
    }

    #[test]
    fn a_read_that_is_interrupted_is_made_again_and_one_that_fails_is_told() {
        let calls = Cell::new(0);
        let mut buffer = [0; 4];
        let interrupted = |buffer: &mut [u8], _| {
            calls.set(calls.get() + 1);
            match calls.get() {
                1 | 3 => Err(io::ErrorKind::Interrupted.into()),
                _ => {
                    buffer[0] = 9;
                    Ok(1)
                }
            }
        };
        assert_eq!(fill(&interrupted, &mut buffer, 0).unwrap(), 4);
        assert_eq!((buffer, calls.get()), ([9; 4], 6));
        let fails = |_: &mut [u8], _| {
            calls.set(calls.get() + 1);
            match calls.get() {
                0..100 => Err(io::ErrorKind::TimedOut.into()),
                _ => Ok(0),
            }
        };
        let error = fill(&fails, &mut buffer, 0).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
