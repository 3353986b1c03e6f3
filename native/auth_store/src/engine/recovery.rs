//! Opening, recovery and checkpoints.

use std::collections::BTreeMap;
use std::time::Instant;

use super::directories::sync_name;
use super::directory::{Directory, Policy, Writer, read_file};
use super::disk::{Disk, Kind, SyncPoint};
use super::failure::{At, Outcome};
use super::journal::{Journal, Position, found};
use super::names;
use super::record::Change;
use super::staging::restore;
use crate::error::Result;

impl<D: Disk> Directory<D> {
    /// Brings the files to a shorter journal: everything in it becomes durable in the files
    /// themselves. Commits do this on their own when the journal has grown long.
    pub fn checkpoint(&self) -> Result<()> {
        self.exclusive_open(|writer| self.checkpoint_locked(writer))
    }

    pub(super) fn checkpoint_locked(&self, writer: &mut Writer) -> Outcome<()> {
        match self.policy {
            Policy::Plain if Journal::new(&self.disk, &self.path).exists()? => self.settle(writer),
            Policy::Plain => Ok(()),
            Policy::Journaled => match self.current_journal(writer)? {
                Some((position, _)) if position.link.sequence > 0 => {
                    self.advance(writer, &position)
                }
                _ => Ok(()),
            },
        }
    }

    /// A checkpoint of the journal that ends at `old`. The files are written anew: syncing those
    /// that are there could succeed although an earlier write-back failed and somebody else's sync
    /// was told of it.
    pub(super) fn advance(&self, writer: &mut Writer, old: &Position) -> Outcome<()> {
        let started = Instant::now();
        let mut changes = Changes::default();
        Journal::new(&self.disk, &self.path).load(&mut |change| changes.add(change))?;
        writer.position = self.apply_durably(Some(old), &changes.list())?;
        writer.happened.checkpoints += 1;
        writer.happened.checkpoint_time += started.elapsed();
        Ok(())
    }

    /// Brings the directory to a state where what is visible is the outcome of whole commits, and
    /// durable, whatever happened before.
    pub(super) fn settle(&self, writer: &mut Writer) -> Outcome<()> {
        let started = Instant::now();
        let journal = Journal::new(&self.disk, &self.path);
        let mut changes = Changes::default();
        let loaded = journal.load(&mut |change| changes.add(change))?;
        // Only now: a journal of a later version forbids to touch anything.
        let exists = match self.sweep(self.is_locked())? {
            Found::Nothing => false,
            Found::Directory => true,
            Found::Leftovers => {
                self.take_lock(writer)?;
                if self.is_locked() {
                    return self.settle(writer);
                }
                true
            }
        };
        if !exists && restore(&self.disk, &self.path)? {
            self.take_lock(writer)?;
            return self.settle(writer);
        }
        writer.anchored = None;
        if exists {
            sync_name(&self.disk, &self.path, SyncPoint::FoundName)?;
            writer.anchored = self.identity()?;
        }

        for name in &writer.touched {
            if !changes.0.contains_key(name)
                && let Some(bytes) = read_file(&self.disk, &self.path.join(name))?
            {
                changes.0.insert(name.clone(), Some(bytes));
            }
        }

        let old = loaded.as_ref().map(|loaded| loaded.position);
        let settled = loaded.as_ref().is_none_or(|loaded| {
            self.policy == Policy::Journaled && loaded.position.link.sequence == 0 && !loaded.torn
        });
        writer.position = if !exists {
            None
        } else if settled && !self.is_latched() {
            self.accept()?;
            old
        } else if !self.is_locked() {
            self.take_lock(writer)?;
            self.require_lock()?;
            return self.settle(writer);
        } else {
            let position = self.apply_durably(old.as_ref(), &changes.list())?;
            writer.happened.recoveries += 1;
            writer.happened.recovery_time += started.elapsed();
            writer.happened.recovered_commits += old.map_or(0, |old| old.link.sequence);
            position
        };
        writer.touched.clear();
        if self.is_locked() {
            writer.interrupted = false;
        }
        self.serve();
        Ok(())
    }

    /// Takes the directory as it is found. Under the journaled policy files only change when a
    /// durable record says so. Under the plain one, whoever replaced a file may not have lived to
    /// sync its name.
    fn accept(&self) -> Outcome<()> {
        match self.policy {
            Policy::Journaled => Ok(()),
            Policy::Plain => self
                .disk
                .sync_directory(&self.path, SyncPoint::Found)
                .latching(&self.path),
        }
    }

    /// Removes unfinished files of ours, if this is locked: else their makers may be alive.
    fn sweep(&self, locked: bool) -> Result<Found> {
        let mut leftovers = Vec::new();
        let listed = found(self.disk.entries(&self.path, &mut |name, kind| {
            if kind == Kind::File && names::is_own_temp(name) {
                leftovers.push(self.path.join(name));
            }
        }))
        .at(&self.path)?;
        if listed.is_none() {
            return Ok(Found::Nothing);
        }
        if !locked && !leftovers.is_empty() {
            return Ok(Found::Leftovers);
        }
        for path in leftovers {
            // They are never read, so one that stays does no harm.
            let _ = self.disk.remove_file(&path);
        }
        Ok(Found::Directory)
    }
}

/// What a look at a directory shows before it is settled.
enum Found {
    Nothing,
    Directory,
    /// Unfinished files, and nobody who may remove them.
    Leftovers,
}

/// What a journal comes to: the last change of each file.
#[derive(Default)]
pub(super) struct Changes(pub(super) BTreeMap<String, Option<Vec<u8>>>);

impl Changes {
    pub(super) fn add(&mut self, change: Change) {
        self.0
            .insert(change.name.to_owned(), change.bytes.map(<[u8]>::to_vec));
    }

    fn list(&self) -> Vec<Change<'_>> {
        self.0
            .iter()
            .map(|(name, bytes)| Change {
                name,
                bytes: bytes.as_deref(),
            })
            .collect()
    }
}
