//! Creates directories whose names are durable, and removes whole directories.

use std::io;
use std::path::{Path, PathBuf};

use super::disk::{Disk, Kind, SyncPoint};
use super::failure::{At, Outcome};
use super::files::found;
use super::names::parent;

/// Creates `path` and its missing ancestors, and syncs each name before it creates the next.
pub(crate) fn make_directories<D: Disk>(disk: &D, path: &Path) -> Outcome<()> {
    let mut missing = Vec::new();
    let mut existing = path;
    while found(disk.metadata(existing)).at(existing)?.is_none() && parent(existing) != existing {
        missing.push(existing);
        existing = parent(existing);
    }
    sync_name(disk, existing, SyncPoint::MadeAncestor)?;
    for path in missing.into_iter().rev() {
        match disk.create_directory(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Ok(Err(error).at(path)?);
            }
            _ => {}
        }
        let parent = parent(path);
        disk.sync_directory(parent, SyncPoint::MadeDirectory)
            .latching(parent)?;
    }
    Ok(())
}

/// Syncs the name of an existing directory: whoever created it may have died before doing so.
pub(crate) fn sync_name<D: Disk>(disk: &D, path: &Path, at: SyncPoint) -> Outcome<()> {
    let parent = parent(path);
    match disk.sync_directory(parent, at) {
        // A directory that we may not read is one that we cannot have created anything in.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        result => result.latching(parent),
    }
}

/// Removes a directory and everything in it, as far as possible. Follows no link, and needs no
/// stack for its depth.
pub(crate) fn remove_tree<D: Disk>(disk: &D, root: &Path) {
    let mut pending: Vec<(PathBuf, bool)> = vec![(root.to_owned(), false)];
    while let Some((path, emptied)) = pending.pop() {
        if emptied {
            let _ = disk.remove_directory(&path);
            continue;
        }
        let mut entries = Vec::new();
        let listed = disk.entries(&path, &mut |name, kind| {
            entries.push((path.join(name), kind))
        });
        if listed.is_err() {
            continue;
        }
        pending.push((path, true));
        for (path, kind) in entries {
            match kind {
                Kind::Directory => pending.push((path, false)),
                Kind::File | Kind::Symlink | Kind::Other => {
                    let _ = disk.remove_file(&path);
                }
            }
        }
    }
}
