//! Reads what the journal holds: without a lock, and without missing a commit of another process.
//!
//! The mark in the lock file says how far the journal is durable. As long as it is the mark that
//! the memtable was read at, the memtable is up to date. Otherwise more of the journal is read
//! first.

use std::sync::atomic::Ordering;
use std::sync::{PoisonError, RwLockReadGuard, RwLockWriteGuard};

use super::directory::{Directory, Policy};
use super::disk::Disk;
use super::journal::{Journal, Mark};
use super::lock;
use super::memtable::{Held, Memtable};
use crate::error::{Error, Result};

/// How many times the journal may be replaced while it is being read.
const ATTEMPTS: usize = 16;

impl<D: Disk> Directory<D> {
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
