//! Changes of names whose errors are believed only after a look: network file systems and failing
//! disks report errors for what was done all the same.

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

/// Removing what is not there is fine.
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
