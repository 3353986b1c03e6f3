//! Checks which directories may be source and target.

use std::io::ErrorKind;
use std::path::Path;

use super::{MigrationError, Options, Result};
use crate::engine::{Disk, is_of_bare};
use crate::error::Error;
use crate::format::Format;

pub(super) fn check_source<D: Disk>(disk: &D, source: &Path) -> Result<()> {
    match disk.metadata(&source.join(".")) {
        Ok(_) => Ok(()),
        Err(error) => Err(MigrationError::Source(Error::io(source, error))),
    }
}

pub(super) fn check_target<D: Disk>(
    disk: &D,
    target: &Path,
    to: Format,
    options: Options,
) -> Result<()> {
    let invalid = |source| MigrationError::InvalidTarget {
        path: target.to_owned(),
        source,
    };
    // The target may be a link to a directory. Nothing can be created at a link that leads nowhere.
    match disk.metadata(&target.join(".")) {
        Ok(_) => (),
        Err(error) if error.kind() == ErrorKind::NotFound && disk.metadata(target).is_err() => {
            return Ok(());
        }
        Err(error) => return Err(invalid(error)),
    }
    let mut is_empty = true;
    let mut holds_auth_state = false;
    disk.entries(target, &mut |name, kind| {
        if is_of_bare(name, kind) {
            return;
        }
        let name = name.to_string_lossy();
        is_empty = false;
        holds_auth_state |= name == to.manifest_name() || name.ends_with(to.extension());
    })
    .map_err(invalid)?;
    if is_empty || options.overwrite {
        Ok(())
    } else if holds_auth_state {
        Err(MigrationError::TargetHoldsAuthState(target.to_owned()))
    } else {
        Err(MigrationError::TargetNotEmpty(target.to_owned()))
    }
}

/// Refuses directories that contain each other: replacing a target that contains the source would
/// delete the source, and a target inside the source would change it.
pub(super) fn check_overlap<D: Disk>(disk: &D, source: &Path, target: &Path) -> Result<()> {
    let error = |error| MigrationError::Source(Error::io(source, error));
    let above_source = physical_ancestors(disk, source).map_err(error)?;
    let Some(existing) = target
        .ancestors()
        .find(|path| disk.metadata(&path.join(".")).is_ok())
    else {
        return Ok(());
    };
    let above_target = physical_ancestors(disk, existing).map_err(error)?;
    let target_is_above = existing == target && above_source.contains(&above_target[0]);
    if target_is_above || above_target.contains(&above_source[0]) {
        return Err(MigrationError::Overlap(target.to_owned()));
    }
    Ok(())
}

/// A directory and all directories above it, by identity, since paths may lead through links.
fn physical_ancestors<D: Disk>(disk: &D, path: &Path) -> std::io::Result<Vec<(u64, u64)>> {
    let mut path = path.join(".");
    let mut found: Vec<(u64, u64)> = Vec::new();
    loop {
        let metadata = disk.metadata(&path)?;
        let identity = (metadata.device, metadata.inode);
        // The root directory is its own parent.
        if found.last() == Some(&identity) {
            return Ok(found);
        }
        found.push(identity);
        path.push("..");
    }
}
