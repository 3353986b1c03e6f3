//! Whole directories: written under unfinished names, then synced and published in one step.
//!
//! A target that does not exist is created beside its place and renamed. A target that exists stays
//! the same directory and gets new content: see [`publication`].

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::aside;
use super::case::Spellings;
use super::copy_error::CopyError;
use super::directories::{remove_tree, sync_name};
use super::disk::{Disk, Kind, SyncPoint};
use super::effects;
use super::failure::At;
use super::files::{found, read_file};
use super::journal::Mark;
use super::limits::Limits;
use super::lock::{Lock, Turn};
use super::names::{self, parent};
use super::publication::{self, Publication, Undecided};
use super::temp::write_all;
use super::unfinished::{self, busy};
use super::vacancy::is_bare;
use crate::error::{Error, Result};

/// A directory that is being created. If it is dropped without [`publish`](Self::publish), it
/// leaves nothing behind.
///
/// It holds a lock as long as it lives: the lock of an existing target, or else one on the new
/// directory, so that nobody sweeps it. If the file system can be synced as a whole, it also keeps
/// a descriptor open: only a descriptor from before the first write learns of every write that
/// failed.
pub struct Staging<D: Disk> {
    disk: D,
    target: PathBuf,
    place: Place,
    filesystem: Option<D::File>,
    together: usize,
    lock: Lock<D>,
    /// The file names, each with the number in its unfinished name.
    files: BTreeMap<String, usize>,
    spellings: Spellings,
    /// The copy of the target's content, which is removed again if nothing is published.
    aside: Option<PathBuf>,
    /// Set when whoever opens or sweeps the directory next must find what is there now.
    abandoned: bool,
}

/// Where the files are until they are published.
enum Place {
    /// In a directory beside the target, which does not exist.
    Beside(PathBuf),
    /// In the target, under unfinished names with this token.
    Inside(u64),
}

impl<D: Disk> Staging<D> {
    /// Prepares a directory for `target`, and creates the missing parents of `target`.
    pub fn create(disk: D, target: &Path) -> Result<Self> {
        Self::with_limits(disk, target, Limits::default())
    }

    pub fn with_limits(disk: D, target: &Path, limits: Limits) -> Result<Self> {
        let (place, lock) = if is_directory(&disk, target)? {
            let token = disk.random().at(target)?;
            (Place::Inside(token), enter(&disk, target)?)
        } else {
            let (path, lock) = unfinished::create(&disk, target)?;
            (Place::Beside(path), lock)
        };
        let mut staging = Staging {
            disk,
            target: target.to_owned(),
            place,
            filesystem: None,
            together: limits.together,
            lock,
            files: BTreeMap::new(),
            spellings: Spellings::default(),
            aside: None,
            abandoned: false,
        };
        let path = staging.path().to_owned();
        staging.spellings = Spellings::of(&staging.disk, &path)?;
        staging.filesystem = staging.disk.filesystem(&path).at(&path)?;
        Ok(staging)
    }

    /// The directory that holds the files until they are published.
    pub fn path(&self) -> &Path {
        match &self.place {
            Place::Beside(path) => path,
            Place::Inside(_) => &self.target,
        }
    }

    fn path_of(&self, name: &str, index: usize) -> PathBuf {
        match &self.place {
            Place::Beside(path) => path.join(name),
            Place::Inside(token) => publication::staged(&self.target, *token, index),
        }
    }

    /// The path for a new file of this name.
    fn add(&mut self, name: &str) -> Result<PathBuf> {
        names::check(name)?;
        let index = self.files.len();
        if self.files.contains_key(name) {
            let path = self.target.join(name);
            return Err(Error::io(&path, io::ErrorKind::AlreadyExists.into()));
        }
        self.spellings.add(name)?;
        self.files.insert(name.to_owned(), index);
        Ok(self.path_of(name, index))
    }

    /// Writes one file, which becomes durable with [`publish`](Self::publish). Each name can be
    /// used once.
    pub fn write(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.add(name)?;
        self.create_file(&path, bytes)
    }

    fn create_file(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        let file = self.disk.create(path).at(path)?;
        write_all(&self.disk, &file, bytes, 0).at(path)
    }

    /// Takes over a file that is only ever replaced, never written in place. Uses a hard link if
    /// the file system allows one, else a copy.
    pub fn link_or_copy(&mut self, from: &Path, name: &str) -> Result<(), CopyError> {
        let path = self.add(name).map_err(CopyError::Target)?;
        match self.disk.link(from, &path) {
            Ok(()) => Ok(()),
            // The source is on another file system, links are not supported, or there are too many
            // of them: EXDEV, EPERM, EMLINK. If the source is missing, the copy reports that.
            Err(_) => self.copy_to(from, &path),
        }
    }

    /// Takes over a file by copying it.
    pub fn copy(&mut self, from: &Path, name: &str) -> Result<(), CopyError> {
        let path = self.add(name).map_err(CopyError::Target)?;
        self.copy_to(from, &path)
    }

    fn copy_to(&self, from: &Path, path: &Path) -> Result<(), CopyError> {
        let bytes = read_file(&self.disk, from)
            .and_then(|bytes| bytes.ok_or_else(|| Error::io(from, io::ErrorKind::NotFound.into())))
            .map_err(CopyError::Source)?;
        self.create_file(path, &bytes).map_err(CopyError::Target)
    }

    /// Syncs everything and makes it the content of the target. The target must not exist, or be an
    /// empty directory. With `replace` it may be any directory, and its old content is removed.
    ///
    /// After an error the target is unchanged, with one exception: if the sync of the very last
    /// step fails, a crash soon afterwards may bring up the new directory, whole.
    /// [`Error::RecoveryRequired`] says that the new content was decided on, and that the next open
    /// completes it.
    pub fn publish(self, replace: bool) -> Result<()> {
        self.sync()?;
        if !self.lock.still_leads_here()? {
            return Err(busy(self.path()));
        }
        match self.place {
            Place::Beside(_) => self.take_the_name(),
            Place::Inside(token) => self.take_over(token, replace),
        }
    }

    fn take_the_name(self) -> Result<()> {
        let path = self.path().to_owned();
        effects::rename(&self.disk, &path, &self.target).at(&self.target)?;
        self.settle(|this| effects::rename(&this.disk, &this.target, &path))
    }

    /// Refuses a target that holds something, unless it is to be replaced.
    pub fn refuse_occupied(&self, replace: bool) -> Result<()> {
        if replace || matches!(self.place, Place::Beside(_)) || is_bare(&self.disk, &self.target)? {
            return Ok(());
        }
        let occupied = io::ErrorKind::DirectoryNotEmpty.into();
        Err(Error::io(&self.target, occupied))
    }

    /// Keeps a whole, durable copy of the target's content at `aside`, which must not exist.
    /// `false` if the target holds nothing. Our lock keeps the target from changing until it is
    /// replaced. The copy is removed again if nothing is published.
    pub fn keep_aside(&mut self, aside: &Path) -> Result<bool, CopyError> {
        let is_bare = || is_bare(&self.disk, &self.target).map_err(CopyError::Target);
        if matches!(self.place, Place::Beside(_)) || is_bare()? {
            return Ok(false);
        }
        aside::keep(&self.disk, &self.target, aside, self.together)?;
        self.aside = Some(aside.to_owned());
        Ok(true)
    }

    /// Gives the target its new content. The new turn tells processes that remember the old one.
    fn take_over(mut self, token: u64, replace: bool) -> Result<()> {
        self.refuse_occupied(replace)?;
        let mut files: Vec<_> = self.files.iter().collect();
        files.sort_unstable_by_key(|(_, index)| **index);
        let files: Vec<String> = files.into_iter().map(|(name, _)| name.clone()).collect();
        let publication = Publication {
            token,
            removed: publication::all_but(&self.disk, &self.target, &files)?,
            files,
        };
        let who = self.disk.random().at(&self.target)?;
        let turn = self.lock.turn()?.begun(who);
        self.lock.begin_turn(turn)?;
        match publication::decide(&self.disk, &self.target, &publication) {
            Ok(()) => self.abandoned = true,
            Err(Undecided::Old(error)) => {
                self.lock.tell(turn.ended())?;
                return Err(error);
            }
            Err(Undecided::Unknown(error)) => {
                self.abandoned = true;
                return Err(error);
            }
        }
        // The turn stays under way until the work is done, so that the next process completes it.
        let done = publication::carry_out(&self.disk, &self.target, &publication);
        done.map_err(|failure| failure.error)
            // The target has no journal any more. This is recorded only after its removal, so that
            // a process that looked for the journal before that looks again.
            .and_then(|()| {
                self.lock.tell(Turn {
                    journal: Mark::default(),
                    ..turn.ended()
                })
            })
            .map_err(|_| Error::RecoveryRequired {
                path: self.target.clone(),
            })
    }

    fn sync(&self) -> Result<()> {
        match &self.filesystem {
            Some(filesystem) if self.files.len() >= self.together => self
                .disk
                .sync_filesystem(filesystem, SyncPoint::StagedFiles)
                .at(self.path())?,
            _ => {
                for (name, index) in &self.files {
                    let path = self.path_of(name, *index);
                    let file = self.disk.open_read(&path).at(&path)?;
                    self.disk
                        .sync_file(&file, SyncPoint::StagedFiles)
                        .at(&path)?;
                }
            }
        }
        self.disk
            .sync_directory(self.path(), SyncPoint::StagedNames)
            .at(self.path())
    }

    /// Makes the new name of the target durable, or undoes the rename.
    fn settle(mut self, undo: impl FnOnce(&Self) -> io::Result<()>) -> Result<()> {
        let parent = parent(&self.target);
        let Err(error) = self.disk.sync_directory(parent, SyncPoint::Published) else {
            return Ok(());
        };
        let undone =
            undo(&self).and_then(|()| self.disk.sync_directory(parent, SyncPoint::Unpublished));
        let error = Error::io(parent, error);
        if undone.is_err() {
            // A crash may bring up the directory at the target, so nothing may be removed.
            self.abandoned = true;
        }
        Err(error)
    }
}

impl<D: Disk> Drop for Staging<D> {
    fn drop(&mut self) {
        if self.abandoned {
            return;
        }
        match &self.place {
            Place::Beside(path) => remove_tree(&self.disk, path),
            Place::Inside(_) => {
                for (name, index) in &self.files {
                    // A file that stays is removed when the directory is next opened.
                    let _ = self.disk.remove_file(&self.path_of(name, *index));
                }
            }
        }
        if let Some(aside) = &self.aside {
            // If the path leads to another directory by now, this copy may be all that is left of the
            // old one.
            if matches!(self.lock.still_leads_here(), Ok(true)) {
                aside::withdraw(&self.disk, &self.target, aside);
            }
        }
    }
}

/// Locks an existing target, and completes a publication that was interrupted there.
fn enter<D: Disk>(disk: &D, target: &Path) -> Result<Lock<D>> {
    let lock = Lock::take(disk, target)?.ok_or_else(|| busy(target))?;
    sync_name(disk, target, SyncPoint::MadeAncestor).map_err(|failure| failure.error)?;
    publication::complete(disk, target).map_err(|failure| failure.error)?;
    let mut leftovers = Vec::new();
    disk.entries(target, &mut |name, kind| {
        if kind == Kind::File && names::is_own_temp(name) {
            leftovers.push(target.join(name));
        }
    })
    .at(target)?;
    for path in leftovers {
        // These files are never read, so one that stays does no harm.
        let _ = disk.remove_file(&path);
    }
    Ok(lock)
}

/// Whether the target is a directory, possibly through a link. Anything else is an error.
fn is_directory<D: Disk>(disk: &D, target: &Path) -> Result<bool> {
    match found(disk.metadata(target))
        .at(target)?
        .map(|found| found.kind)
    {
        None => Ok(false),
        Some(Kind::Directory) => Ok(true),
        Some(Kind::Symlink) => disk.metadata(&target.join(".")).at(target).map(|_| true),
        Some(Kind::File | Kind::Other) => {
            Err(Error::io(target, io::ErrorKind::NotADirectory.into()))
        }
    }
}
