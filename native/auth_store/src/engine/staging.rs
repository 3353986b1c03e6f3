//! Whole directories: written beside their target, synced once, published by one rename.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

use super::directories::{make_directories, remove_tree};
use super::directory::read_file;
use super::disk::{Disk, Kind, SyncPoint};
use super::effects;
use super::failure::At;
use super::journal::found;
use super::limits::Limits;
use super::lock::Lock;
use super::names::{self, parent};
use super::temp::write_all;
use crate::error::{Error, Result};

/// `.<target>` + this + random digits: a directory that is being made, or one that was replaced.
const STAGING: &str = ".baileys_ex.tmp-";
/// The digits behind it.
const TOKEN: usize = 16;
/// Likewise, where names cannot be exchanged: the old target, moved aside for a moment.
const ASIDE: &str = ".baileys_ex.old-";

/// A directory in the making. Dropped without [`publish`](Self::publish), it leaves nothing.
///
/// It holds two locks as long as it lives: one on itself, so that nobody sweeps it, and that of the target
/// where that exists. Where the file system can be synced as a whole, one
/// descriptor is held as long as this lives: only one opened before the first write is told of
/// every write that failed.
pub struct Staging<D: Disk> {
    disk: D,
    path: PathBuf,
    target: PathBuf,
    filesystem: Option<D::File>,
    together: usize,
    lock: Lock<D>,
    target_lock: Option<Lock<D>>,
    /// Leaves what there is to a later [`sweep`].
    abandoned: bool,
}

impl<D: Disk> Staging<D> {
    /// Makes an empty directory beside `target`, and missing parents of both.
    pub fn create(disk: D, target: &Path) -> Result<Self> {
        Self::with_limits(disk, target, Limits::default())
    }

    pub fn with_limits(disk: D, target: &Path, limits: Limits) -> Result<Self> {
        let token = disk.random().at(target)?;
        let path = beside(target, STAGING, token)?;
        make_directories(&disk, parent(target)).map_err(|failure| failure.error)?;
        let target_lock = Lock::take(&disk, target)?;
        disk.create_directory(&path).at(&path)?;
        let lock = lock_new(&disk, &path)?;
        let mut staging = Staging {
            disk,
            path,
            target: target.to_owned(),
            filesystem: None,
            together: limits.together,
            lock,
            target_lock,
            abandoned: false,
        };
        staging.filesystem = staging.disk.filesystem(&staging.path).at(&staging.path)?;
        Ok(staging)
    }

    /// Where the files are until they are published.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes one file; durable with [`publish`](Self::publish). A name can be used once.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        names::check(name)?;
        let path = self.path.join(name);
        let file = self.disk.create(&path).at(&path)?;
        write_all(&self.disk, &file, bytes, 0).at(&path)
    }

    /// Takes over a file that is only ever replaced, never written in place: by a hard link where
    /// the file system allows.
    pub fn link_or_copy(&self, from: &Path, name: &str) -> Result<()> {
        names::check(name)?;
        match self.disk.link(from, &self.path.join(name)) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Error::io(from, error)),
            // Another file system, one without links, or too many of them: EXDEV, EPERM, EMLINK.
            Err(_) => self.copy(from, name),
        }
    }

    /// Takes over a file by copying it.
    pub fn copy(&self, from: &Path, name: &str) -> Result<()> {
        let bytes = read_file(&self.disk, from)?
            .ok_or_else(|| Error::io(from, io::ErrorKind::NotFound.into()))?;
        self.write(name, &bytes)
    }

    /// Syncs everything and gives it the name of the target, which must not exist, or be an empty
    /// directory; with `replace` it may be any directory, and is removed.
    ///
    /// After an error the target is what it was. Only if the sync of the very last step fails, a
    /// crash soon after may bring up the new directory, whole.
    pub fn publish(mut self, replace: bool) -> Result<()> {
        self.sync()?;
        if !self.lock.still_leads_here()? {
            return Err(busy(&self.path));
        }
        match effects::rename(&self.disk, &self.path, &self.target) {
            Ok(()) => self.settle(|this| effects::rename(&this.disk, &this.target, &this.path)),
            Err(error) if is_occupied(&error) => {
                self.lock_target()?;
                if replace || self.target_is_bare()? {
                    self.take_the_place()
                } else {
                    Err(Error::io(&self.target, error))
                }
            }
            Err(error) => Err(Error::io(&self.target, error)),
        }
    }

    /// A target that was made, or replaced, since this was begun is another one.
    fn lock_target(&mut self) -> Result<()> {
        if let Some(lock) = &self.target_lock
            && lock.still_leads_here()?
        {
            return Ok(());
        }
        self.target_lock = Lock::take(&self.disk, &self.target)?;
        match self.target_lock {
            Some(_) => Ok(()),
            None => Err(busy(&self.target)),
        }
    }

    fn target_is_bare(&self) -> Result<bool> {
        let mut is_bare = true;
        self.disk
            .entries(&self.target, &mut |name, _| {
                is_bare &= name.to_str().is_some_and(names::is_bookkeeping);
            })
            .at(&self.target)?;
        Ok(is_bare)
    }

    /// Removes what was written.
    pub fn abort(self) {}

    fn sync(&self) -> Result<()> {
        let mut files = Vec::new();
        self.disk
            .entries(&self.path, &mut |name, _| {
                if !name.to_str().is_some_and(names::is_own) {
                    files.push(name.to_owned());
                }
            })
            .at(&self.path)?;
        match &self.filesystem {
            Some(filesystem) if files.len() >= self.together => self
                .disk
                .sync_filesystem(filesystem, SyncPoint::StagedFiles)
                .at(&self.path)?,
            _ => {
                for name in files {
                    let path = self.path.join(name);
                    let file = self.disk.open_read(&path).at(&path)?;
                    self.disk
                        .sync_file(&file, SyncPoint::StagedFiles)
                        .at(&path)?;
                }
            }
        }
        self.disk
            .sync_directory(&self.path, SyncPoint::StagedNames)
            .at(&self.path)
    }

    /// Makes the new name of the target durable, or undoes it. What ends up under the name of the
    /// staging directory is removed.
    fn settle(mut self, undo: impl FnOnce(&Self) -> io::Result<()>) -> Result<()> {
        let parent = parent(&self.target);
        let Err(error) = self.disk.sync_directory(parent, SyncPoint::Published) else {
            return Ok(());
        };
        let undone =
            undo(&self).and_then(|()| self.disk.sync_directory(parent, SyncPoint::Unpublished));
        let error = Error::io(parent, error);
        if undone.is_err() {
            // A crash may bring up either directory at the target: nothing may be removed.
            self.abandoned = true;
        }
        Err(error)
    }

    /// Publishes where the target is a directory that is not empty.
    fn take_the_place(self) -> Result<()> {
        match effects::exchange(&self.disk, &self.path, &self.target) {
            Ok(()) => self.settle(|this| effects::exchange(&this.disk, &this.path, &this.target)),
            Err(error) if error.kind() == io::ErrorKind::Unsupported => self.step_aside(),
            Err(error) => Err(Error::io(&self.target, error)),
        }
    }

    /// For file systems that cannot exchange: two renames. Between them the target has no name;
    /// after a crash there, [`restore`] brings the old one back.
    fn step_aside(self) -> Result<()> {
        let token = self.disk.random().at(&self.target)?;
        let aside = beside(&self.target, ASIDE, token)?;
        effects::rename(&self.disk, &self.target, &aside).at(&self.target)?;
        if let Err(error) = effects::rename(&self.disk, &self.path, &self.target) {
            // If this fails too, the next open of the target repeats it.
            let _ = effects::rename(&self.disk, &aside, &self.target);
            return Err(Error::io(&self.target, error));
        }
        let disk = self.disk.clone();
        self.settle(|this| {
            effects::rename(&this.disk, &this.target, &this.path)?;
            effects::rename(&this.disk, &aside, &this.target)
        })?;
        remove_tree(&disk, &aside);
        Ok(())
    }
}

impl<D: Disk> Drop for Staging<D> {
    fn drop(&mut self) {
        if !self.abandoned {
            remove_tree(&self.disk, &self.path);
        }
    }
}

/// Removes what crashes left beside `target`: directories that were never published, and replaced
/// ones that were not yet removed. What is locked belongs to somebody who is alive, and stays.
pub fn sweep<D: Disk>(disk: &D, target: &Path) -> Result<()> {
    restore(disk, target)?;
    let mut leftovers = siblings(disk, target, STAGING)?;
    leftovers.extend(siblings(disk, target, ASIDE)?);
    if leftovers.is_empty() {
        return Ok(());
    }
    // A leftover may hold the only durable copy of the target, until the exchange is durable.
    let parent = parent(target);
    disk.sync_directory(parent, SyncPoint::Swept).at(parent)?;
    for path in leftovers {
        if let Ok(Some(_lock)) = Lock::take(disk, &path) {
            remove_tree(disk, &path);
        }
    }
    Ok(())
}

/// Brings back a target that was moved aside and whose successor never got its name.
/// Says whether there was one. A crash may undo it, and then it is done again.
pub(crate) fn restore<D: Disk>(disk: &D, target: &Path) -> Result<bool> {
    if found(disk.metadata(target)).at(target)?.is_some() {
        return Ok(false);
    }
    match siblings(disk, target, ASIDE)?.first() {
        None => Ok(false),
        Some(aside) => {
            // Whoever moved it may be alive, and about to give the target its successor.
            let _lock = Lock::take(disk, aside)?;
            effects::rename(disk, aside, target)
                .at(target)
                .map(|()| true)
        }
    }
}

/// Directories beside `target` that are named after it.
fn siblings<D: Disk>(disk: &D, target: &Path, mark: &str) -> Result<Vec<PathBuf>> {
    let Some(prefix) = prefix(target, mark) else {
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
        // Where nothing can be listed, nothing was moved aside by us.
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

/// Locks a directory that was just made, which somebody may have swept before. Leaves nothing behind
/// where it cannot be had.
fn lock_new<D: Disk>(disk: &D, path: &Path) -> Result<Lock<D>> {
    match Lock::take(disk, path) {
        Ok(Some(lock)) => Ok(lock),
        Ok(None) => Err(busy(path)),
        // Whoever has it sweeps it.
        Err(error @ Error::Busy { .. }) => Err(error),
        Err(error) => {
            remove_tree(disk, path);
            Err(error)
        }
    }
}

/// Somebody else has to do with it right now.
fn busy(path: &Path) -> Error {
    Error::Busy {
        path: path.to_owned(),
        holder: None,
    }
}

fn is_occupied(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists
    )
}

fn prefix(target: &Path, mark: &str) -> Option<OsString> {
    let target = target.file_name()?;
    let mut name = OsString::from(".");
    // A name may have 255 bytes: of a longer one a checksum stands for it.
    if target.len() + 1 + mark.len() + TOKEN > names::MAX_NAME {
        let checksum = crc32c::crc32c(target.as_encoded_bytes());
        name.push(format!("{checksum:08x}-{:03}", target.len()));
    } else {
        name.push(target);
    }
    name.push(mark);
    Some(name)
}

fn beside(target: &Path, mark: &str, token: u64) -> Result<PathBuf> {
    let mut name = prefix(target, mark).ok_or_else(|| Error::InvalidTerm {
        member: String::new(),
        problem: "the target has no name of its own".to_owned(),
    })?;
    name.push(OsStr::new(&format!("{token:016x}")));
    Ok(parent(target).join(name))
}
