//! Whether anything would be lost if a directory got other content.

use std::ffi::OsStr;
use std::path::Path;

use super::disk::{Disk, Kind};
use super::failure::At;
use super::names;
use crate::error::Result;

/// Whether a directory holds nothing but what a directory without an account may hold.
pub(super) fn is_bare<D: Disk>(disk: &D, directory: &Path) -> Result<bool> {
    all(disk, directory, names::is_of_bare)
}

/// Whether a directory without credentials and keys holds anything that neither this library nor
/// the file system put there. What is left of a deleted account belongs to nobody else.
pub fn holds_others<D: Disk>(disk: &D, directory: &Path) -> Result<bool> {
    let is_ours = |name: &OsStr, kind| names::is_of_library(name) || names::stays(name, kind);
    all(disk, directory, is_ours).map(|all_ours| !all_ours)
}

fn all<D: Disk>(disk: &D, directory: &Path, holds: impl Fn(&OsStr, Kind) -> bool) -> Result<bool> {
    let mut all = true;
    disk.entries(directory, &mut |name, kind| all &= holds(name, kind))
        .at(directory)?;
    Ok(all)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::real::RealDisk;
    use super::*;

    #[test]
    fn what_neither_the_library_nor_the_file_system_put_there_is_somebody_else_s() {
        let root = tempfile::tempdir().unwrap();
        let others = || holds_others(&RealDisk, root.path()).unwrap();
        assert!(!others());
        for own in [".baileys_ex.lock", ".baileys_ex.journal"] {
            fs::write(root.path().join(own), "").unwrap();
        }
        fs::create_dir(root.path().join("lost+found")).unwrap();
        assert!(!others());
        fs::write(root.path().join("notes.txt"), "").unwrap();
        assert!(others());
    }
}
