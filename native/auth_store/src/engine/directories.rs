//! Making directories whose names are durable, and removing whole ones.

use std::io;
use std::path::{Path, PathBuf};

use super::disk::{Disk, Kind, SyncPoint};
use super::failure::{At, Outcome};
use super::files::found;
use super::names::parent;

/// Makes `path` and its missing ancestors, each name synced before the next is made.
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

/// Syncs the name of a directory that exists: whoever made it may not have lived to do so.
pub(crate) fn sync_name<D: Disk>(disk: &D, path: &Path, at: SyncPoint) -> Outcome<()> {
    let parent = parent(path);
    match disk.sync_directory(parent, at) {
        // Not ours to list, so not ours to have made anything in.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        result => result.latching(parent),
    }
}

/// Removes a directory with all that is in it, as far as that goes. Follows no link, and its
/// depth costs no stack.
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
