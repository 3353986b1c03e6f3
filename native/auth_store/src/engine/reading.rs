//! Reads the files of a directory, and what only the journal holds: without a lock, and without
//! missing a commit of another process.
//!
//! The mark in the lock file says how far the journal is durable. As long as it is the mark that
//! the memtable was read at, the memtable is up to date. Otherwise more of the journal is read
//! first.

use std::ffi::OsStr;
use std::io;
use std::sync::atomic::Ordering;
use std::sync::{PoisonError, RwLockReadGuard, RwLockWriteGuard};

use super::directory::{Directory, Policy};
use super::disk::{Disk, Kind};
use super::failure::At;
use super::files::{found, link_within, read_version};
use super::journal::{Journal, Mark};
use super::lock;
use super::memtable::{Held, Memtable};
use super::names;
use super::stamp::Stamp;
use crate::error::{Error, Result};

/// How many times the journal may be replaced while it is being read.
const ATTEMPTS: usize = 16;

impl<D: Disk> Directory<D> {
    /// The content of a file; `None` if there is no such file.
    pub fn read(&self, name: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.read_version(name)?.map(|(bytes, _)| bytes))
    }

    /// As [`read`](Self::read), with the stamp of the version that was read.
    pub fn read_version(&self, name: &str) -> Result<Option<(Vec<u8>, Stamp)>> {
        names::check(name)?;
        self.check_served()?;
        if let Some(held) = self.held(name)? {
            let stamp = Stamp::of_held(held.version);
            return Ok(held.bytes.map(|bytes| (bytes.to_vec(), stamp)));
        }
        let read = read_version(&self.disk, &self.path.join(name))?;
        if read.is_some() && self.other_spelling(name)?.is_some() {
            return Ok(None);
        }
        Ok(read.map(|(bytes, metadata)| (bytes, Stamp::new(metadata))))
    }

    /// Whether an entry has this name. Works before the directory is open, too.
    pub fn has(&self, name: &str) -> Result<bool> {
        if let Some(exists) = self.journal_says(name)? {
            return Ok(exists);
        }
        let path = self.path.join(name);
        match self.disk.metadata(&path) {
            Ok(_) => Ok(true),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                Ok(false)
            }
            Err(error) => Err(Error::io(&path, error)),
        }
    }

    /// Explains why this process may not read a file: who owns it, and who we are.
    pub fn who_may_read(&self, name: &str) -> String {
        let owner = self.disk.metadata(&self.path.join(name));
        let owner = owner.map_or(String::new(), |file| {
            format!("owned by {}, ", user(file.user))
        });
        format!(
            "cannot be read: {owner}this is {}",
            user(rustix::process::geteuid().as_raw())
        )
    }

    /// The stamp of a file's current version; `None` if there is no file.
    pub fn stamp(&self, name: &str) -> Result<Option<Stamp>> {
        names::check(name)?;
        self.check_served()?;
        if let Some(held) = self.held(name)? {
            return Ok(held.bytes.map(|_| Stamp::of_held(held.version)));
        }
        let path = self.path.join(name);
        let mut metadata = found(self.disk.metadata(&path)).at(&path)?;
        if metadata.is_some_and(|found| found.kind == Kind::Symlink)
            && let Some(real) = link_within(&self.disk, &path)
        {
            metadata = found(self.disk.metadata(&real)).at(&real)?;
        }
        if metadata.is_some() && self.other_spelling(name)?.is_some() {
            return Ok(None);
        }
        Ok(metadata.map(Stamp::new))
    }

    /// Streams the names of regular files, and of links to files within the directory, in no
    /// particular order. Leaves out the journal, unfinished files (`*.tmp-*`), and names that are
    /// not UTF-8, which no key has; [`entries`](Self::entries) shows all. A missing directory
    /// counts as empty.
    pub fn list(&self, each: &mut dyn FnMut(&str)) -> Result<()> {
        self.entries(&mut |name, kind| match name.to_str() {
            Some(name) if names::is_key(name) && self.is_file(name, kind) => each(name),
            _ => {}
        })
    }

    /// Whether an entry can be read as a file.
    pub(super) fn is_file(&self, name: &str, kind: Kind) -> bool {
        match kind {
            Kind::File => true,
            Kind::Symlink => link_within(&self.disk, &self.path.join(name)).is_some(),
            Kind::Directory | Kind::Other => false,
        }
    }

    /// Everything in the directory, of any kind.
    pub fn entries(&self, each: &mut dyn FnMut(&OsStr, Kind)) -> Result<()> {
        self.check_served()?;
        // Taken before the files are listed: what a checkpoint writes to the files meanwhile is
        // held here.
        let changes = self.current()?.changes();
        found(self.disk.entries(&self.path, &mut |name, kind| {
            if !name.to_str().is_some_and(|name| changes.contains_key(name)) {
                each(name, kind);
            }
        }))
        .at(&self.path)?;
        for (name, _) in changes.iter().filter(|(_, held)| held.bytes.is_some()) {
            each(name.as_ref().as_ref(), Kind::File);
        }
        Ok(())
    }

    /// The journal's content for a file, if it is newer than the file.
    pub(super) fn held(&self, name: &str) -> Result<Option<Held>> {
        Ok(self.current()?.get(name).cloned())
    }

    /// The memtable, brought up to date.
    pub(super) fn current(&self) -> Result<RwLockReadGuard<'_, Memtable>> {
        let memtable = self.read_memtable();
        if self.policy == Policy::Plain
            || self.is_peeked()
            || self.is_current.load(Ordering::Acquire)
            || memtable.seen == Some(self.mark()?)
        {
            return Ok(memtable);
        }
        drop(memtable);
        self.catch_up()?;
        Ok(self.read_memtable())
    }

    /// Reads what other processes have appended to the journal, or the journal that they have put
    /// in its place.
    pub(super) fn catch_up(&self) -> Result<()> {
        let mut memtable = self.write_memtable();
        for _ in 0..ATTEMPTS {
            let mark = self.mark()?;
            if memtable.seen == Some(mark) {
                return Ok(());
            }
            if self.read_on(&mut memtable, mark)? || self.read_anew(&mut memtable, mark)? {
                memtable.seen = Some(mark);
                return Ok(());
            }
        }
        Err(Error::Busy {
            path: self.path.clone(),
            holder: None,
        })
    }

    /// Reads the journal up to the mark, from the end of the memtable if it leads there, otherwise
    /// from the beginning. `false` if the mark is not in this journal.
    fn read_on(&self, memtable: &mut Memtable, mark: Mark) -> Result<bool> {
        if mark == Mark::default() {
            return Ok(false);
        }
        // Mutants: from a start that does not lead to the mark, the journal is read from its
        // beginning.
        let known = (memtable.position)
            .filter(|known| known.epoch.salt == mark.salt && known.end <= mark.end);
        if known.is_none() {
            memtable.forget();
        }
        let journal = Journal::new(&self.disk, &self.path);
        let read = journal.load_until(mark, known.as_ref(), &mut |change| memtable.add(change));
        // An error may leave half of the changes in the memtable.
        let position = read.inspect_err(|_| memtable.forget())?;
        if position.is_none() {
            memtable.forget();
        }
        memtable.position = position;
        Ok(position.is_some())
    }

    /// Reads the whole journal as it is. `false` if it may have been replaced meanwhile.
    fn read_anew(&self, memtable: &mut Memtable, mark: Mark) -> Result<bool> {
        memtable.forget();
        let journal = Journal::new(&self.disk, &self.path);
        let loaded = journal.load(&mut |change| memtable.add(change));
        if self.mark()? != mark {
            memtable.forget();
            return Ok(false);
        }
        let loaded = loaded.inspect_err(|_| memtable.forget())?;
        memtable.position = loaded.map(|loaded| loaded.position);
        Ok(true)
    }

    /// How far the journal is durable, according to the lock file.
    fn mark(&self) -> Result<Mark> {
        Ok(lock::look(&self.disk, &self.path)?
            .unwrap_or_default()
            .journal)
    }

    /// Reads the journal as it is, for a process that only looks.
    pub(super) fn peek_into_journal(&self) -> Result<()> {
        let mut memtable = self.write_memtable();
        for attempt in 1..=ATTEMPTS {
            memtable.forget();
            let journal = Journal::new(&self.disk, &self.path);
            match journal.load(&mut |change| memtable.add(change)) {
                // Two commits that are made during the read look like damage.
                Err(Error::Corrupt { .. }) if attempt < ATTEMPTS => {}
                other => {
                    other.inspect_err(|_| memtable.forget())?;
                    break;
                }
            }
        }
        Ok(())
    }

    /// Whether a file exists according to the journal; `None` if the journal does not mention it.
    pub(super) fn journal_says(&self, name: &str) -> Result<Option<bool>> {
        // Mutants: reading the whole journal takes longer and gives the same answer.
        if self.is_open() && self.policy == Policy::Journaled || self.is_peeked() {
            return Ok(self.held(name)?.map(|held| held.bytes.is_some()));
        }
        let mut said = None;
        Journal::new(&self.disk, &self.path).load(&mut |change| {
            if change.name == name {
                said = Some(change.bytes.is_some());
            }
        })?;
        Ok(said)
    }

    /// Forgets the journal because its end is unknown. It is read again, and settled before the
    /// next commit.
    pub(super) fn forget_journal(&self) {
        let mut memtable = self.write_memtable();
        self.is_current.store(false, Ordering::Release);
        memtable.forget();
    }

    pub(super) fn read_memtable(&self) -> RwLockReadGuard<'_, Memtable> {
        self.memtable.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn write_memtable(&self) -> RwLockWriteGuard<'_, Memtable> {
        self.memtable
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// A user, for messages.
fn user(id: u32) -> String {
    match id {
        0 => "root".to_owned(),
        id => format!("uid {id}"),
    }
}
