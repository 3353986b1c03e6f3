//! Whether a directory may get another content: what would be lost.

use std::ffi::OsStr;
use std::path::Path;

use super::disk::{Disk, Kind};
use super::failure::At;
use super::names;
use crate::error::Result;

/// Whether a directory holds nothing but what it may that has never held anything.
pub(super) fn is_bare<D: Disk>(disk: &D, directory: &Path) -> Result<bool> {
    all(disk, directory, names::is_of_bare)
}

/// Whether a directory without credentials and keys holds what neither this library nor the file system put
/// there. What is left of an account that was deleted is nobody else's.
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
