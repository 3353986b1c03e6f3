//! Keeps a copy of a directory's content before the directory gets new content.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use super::copy_error::CopyError::{self, Aside, Target};
use super::directories::remove_tree;
use super::disk::{Disk, Kind, SyncPoint};
use super::effects;
use super::failure::At;
use super::files::{found, irregular};
use super::names::{self, parent};
use super::temp::write_all;
use super::unfinished;
use crate::error::Error;

type Result<T> = std::result::Result<T, CopyError>;

// Mutants: the size of the chunks does not change the copy.
const CHUNK: usize = 64 * 1024;

/// Copies everything in `directory`, damaged or not, to `aside`, which must not exist. The copy is
/// made in an unfinished directory and renamed, so that `aside` is whole if it exists, and it is
/// durable when this returns. Files are copied, not linked: a process that has one open may go on
/// writing to it.
///
/// From `together` files on, the file system is synced once instead of each file, if it can be.
pub(super) fn keep<D: Disk>(
    disk: &D,
    directory: &Path,
    aside: &Path,
    together: usize,
) -> Result<()> {
    let there = found(disk.metadata(aside)).at(aside).map_err(Aside)?;
    if there.is_some() {
        return Err(Aside(Error::io(aside, io::ErrorKind::AlreadyExists.into())));
    }
    let named = named_after(directory, aside);
    unfinished::sweep(disk, &named).map_err(Aside)?;
    let (unfinished, _lock) = unfinished::create(disk, &named).map_err(Aside)?;
    let kept = copy_whole(disk, directory, &unfinished, together).and_then(|()| {
        effects::rename(disk, &unfinished, aside)
            .at(aside)
            .map_err(Aside)
    });
    if kept.is_err() {
        remove_tree(disk, &unfinished);
        return kept;
    }
    let parent = parent(aside);
    let durable = disk
        .sync_directory(parent, SyncPoint::AsidePublished)
        .at(parent)
        .map_err(Aside);
    if durable.is_err() {
        withdraw(disk, directory, aside);
    }
    durable
}

/// Removes the copy of a directory that keeps its content. The copy first gets an unfinished name,
/// so that `aside` never holds part of it. If that fails, the whole copy stays.
pub(super) fn withdraw<D: Disk>(disk: &D, directory: &Path, aside: &Path) {
    let Ok(unfinished) = unfinished::name(disk, &named_after(directory, aside)) else {
        return;
    };
    let renamed = effects::rename(disk, aside, &unfinished)
        .and_then(|()| disk.sync_directory(parent(aside), SyncPoint::Unpublished));
    if renamed.is_ok() {
        remove_tree(disk, &unfinished);
    }
}

/// The unfinished directory carries the name of `directory`: `aside` is another path each time, so nobody would sweep
/// what a crash left under that name.
fn named_after(directory: &Path, aside: &Path) -> PathBuf {
    parent(aside).join(directory.file_name().unwrap_or_default())
}

/// Copies the content of a directory into an empty one, durably.
fn copy_whole<D: Disk>(disk: &D, directory: &Path, target: &Path, together: usize) -> Result<()> {
    // Only a descriptor that was open before the first write learns of every failed write.
    let filesystem = disk.filesystem(target).at(target).map_err(Aside)?;
    let copied = copy_tree(disk, directory, target, filesystem.is_none())?;
    match filesystem {
        Some(filesystem) if copied.unsynced.len() >= together => disk
            .sync_filesystem(&filesystem, SyncPoint::AsideFiles)
            .at(target)
            .map_err(Aside)?,
        _ => {
            for path in &copied.unsynced {
                let file = disk.open_read(path).at(path).map_err(Aside)?;
                sync(disk, &file, path)?;
            }
        }
    }
    for path in &copied.directories {
        disk.sync_directory(path, SyncPoint::AsideNames)
            .at(path)
            .map_err(Aside)?;
    }
    Ok(())
}

#[derive(Default)]
struct Copied {
    directories: Vec<PathBuf>,
    unsynced: Vec<PathBuf>,
}

/// Copies the entries of a directory and of its subdirectories into an empty directory.
fn copy_tree<D: Disk>(
    disk: &D,
    directory: &Path,
    target: &Path,
    sync_each: bool,
) -> Result<Copied> {
    let mut pending = vec![(directory.to_owned(), target.to_owned())];
    let mut copied = Copied::default();
    while let Some((from, to)) = pending.pop() {
        for (name, kind) in listed(disk, &from)? {
            let (from, to) = (from.join(&name), to.join(&name));
            if kind == Kind::Directory {
                disk.create_directory(&to).at(&to).map_err(Aside)?;
                pending.push((from, to));
                continue;
            }
            let file = copy(disk, &from, &to)?;
            if sync_each {
                sync(disk, &file, &to)?;
            } else {
                copied.unsynced.push(to);
            }
        }
        copied.directories.push(to);
    }
    Ok(copied)
}

fn sync<D: Disk>(disk: &D, file: &D::File, path: &Path) -> Result<()> {
    disk.sync_file(file, SyncPoint::AsideFiles)
        .at(path)
        .map_err(Aside)
}

/// The entries that belong to the directory's content.
fn listed<D: Disk>(disk: &D, directory: &Path) -> Result<Vec<(OsString, Kind)>> {
    let mut entries = Vec::new();
    disk.entries(directory, &mut |name, kind| {
        if !names::stays(name, kind) {
            entries.push((name.to_owned(), kind));
        }
    })
    .at(directory)
    .map_err(Target)?;
    Ok(entries)
}

fn copy<D: Disk>(disk: &D, from: &Path, to: &Path) -> Result<D::File> {
    let source = disk
        .open_read(from)
        .map_err(|error| irregular(disk, from).unwrap_or_else(|| Error::io(from, error)))
        .map_err(Target)?;
    let copy = disk.create(to).at(to).map_err(Aside)?;
    let mut chunk = vec![0; CHUNK];
    let mut offset = 0;
    loop {
        let read = disk.read_at(&source, &mut chunk, offset);
        let read = read.at(from).map_err(Target)?;
        if read == 0 {
            break;
        }
        let bytes = chunk.get(..read).unwrap_or_default();
        write_all(disk, &copy, bytes, offset)
            .at(to)
            .map_err(Aside)?;
        offset += read as u64;
    }
    Ok(copy)
}
