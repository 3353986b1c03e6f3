//! Renames and removals whose errors are believed only after a look at the result: network file
//! systems and failing disks report errors for operations that succeeded.

use std::io;
use std::path::Path;

use super::disk::Disk;

pub(crate) fn rename<D: Disk>(disk: &D, from: &Path, to: &Path) -> io::Result<()> {
    disk.rename(from, to).or_else(|error| {
        if is_gone(disk, from) {
            Ok(())
        } else {
            Err(error)
        }
    })
}

/// Succeeds if the file does not exist.
pub(crate) fn remove_file<D: Disk>(disk: &D, path: &Path) -> io::Result<()> {
    match disk.remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound && !is_gone(disk, path) => Err(error),
        _ => Ok(()),
    }
}

fn is_gone<D: Disk>(disk: &D, path: &Path) -> bool {
    disk.metadata(path)
        .is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}
