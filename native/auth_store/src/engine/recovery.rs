//! Recovery: settles a directory at its first use, and after a crash or a failure.

use std::sync::atomic::Ordering;
use std::time::Instant;

use super::directories::sync_name;
use super::directory::{Directory, Policy, Writer};
use super::disk::{Disk, Kind, SyncPoint};
use super::failure::{At, Outcome};
use super::files::{found, read_file};
use super::journal::{Journal, Loaded, Mark};
use super::lock::{self, Turn};
use super::memtable::{self, Memtable};
use super::names;
use super::publication;
use super::record::{Change, Version};
use crate::error::Result;

impl<D: Disk> Directory<D> {
    /// Brings the directory into a state in which everything that is served results from whole
    /// commits and is durable, whatever happened before.
    pub(super) fn settle(&self, writer: &mut Writer) -> Outcome<()> {
        let started = Instant::now();
        self.complete_publication(writer)?;
        let mut memtable = Memtable::default();
        let journal = Journal::new(&self.disk, &self.path);
        let loaded = journal.load(&mut |change| memtable.add(change))?;
        // Only after the journal was read: if a later version wrote it, nothing may be touched.
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
        writer.anchored = None;
        if exists {
            sync_name(&self.disk, &self.path, SyncPoint::FoundName)?;
            writer.anchored = self.identity()?;
        }
        let found = Settling {
            loaded,
            memtable,
            exists,
            started,
        };
        match self.policy {
            Policy::Plain => self.settle_plain(writer, found),
            Policy::Journaled => self.settle_journaled(writer, found),
        }
    }

    /// Completes a publication that somebody decided on and did not live to finish. If a journal is
    /// still there, it belongs to the old content.
    fn complete_publication(&self, writer: &mut Writer) -> Outcome<()> {
        if !publication::is_pending(&self.disk, &self.path)? {
            return Ok(());
        }
        self.take_lock(writer)?;
        self.require_lock()?;
        self.forget_journal();
        writer.touched.clear();
        publication::complete(&self.disk, &self.path)?;
        let turn = writer.turn.unwrap_or_default();
        let journal = Mark::default();
        self.tell(writer, Turn { journal, ..turn })
    }

    /// Completes an interrupted publication before anything else is known of the directory: it may
    /// be about to change which backend the directory belongs to.
    pub fn finish_publication(&self) -> Result<()> {
        if publication::is_pending(&self.disk, &self.path)? {
            self.exclusive(|writer| self.complete_publication(writer))?;
        }
        Ok(())
    }

    /// Completes the files and removes the journal.
    fn settle_plain(&self, writer: &mut Writer, mut found: Settling) -> Outcome<()> {
        for name in &writer.touched {
            if found.memtable.get(name).is_none()
                && let Some(bytes) = read_file(&self.disk, &self.path.join(name))?
            {
                found.memtable.add(Change {
                    name,
                    bytes: Some(&bytes),
                });
            }
        }
        let settled = found.loaded.is_none() && !self.is_latched();
        if settled && found.exists {
            // Whoever replaced a file may have died before syncing its name.
            self.disk
                .sync_directory(&self.path, SyncPoint::Found)
                .latching(&self.path)?;
        } else if found.exists {
            if !self.is_locked() {
                self.take_lock(writer)?;
                self.require_lock()?;
                return self.settle(writer);
            }
            self.apply_durably(&memtable::list(&found.memtable.changes()))?;
            self.count_recovery(writer, &found);
        }
        writer.touched.clear();
        found.memtable.forget();
        self.go_on_with(writer, found.memtable);
        Ok(())
    }

    /// Serves what the journal holds, and leaves a journal that can be appended to. The files are
    /// written later, as after any commit.
    fn settle_journaled(&self, writer: &mut Writer, mut found: Settling) -> Outcome<()> {
        // Mutants: under the lock both branches give the same turn. Without it, a reader whose mark
        // is too old reads on later.
        let told = match writer.turn {
            Some(turn) if self.is_locked() => turn,
            _ => lock::look(&self.disk, &self.path)?.unwrap_or_default(),
        };
        found.memtable.seen = Some(told.journal);
        let Some(loaded) = &found.loaded else {
            if self.is_locked() && told.journal != Mark::default() {
                // The journal went when the content was replaced, but other processes may remember
                // it.
                let journal = Mark::default();
                found.memtable.seen = Some(journal);
                self.tell(writer, Turn { journal, ..told })?;
            }
            self.go_on_with(writer, found.memtable);
            return Ok(());
        };
        let mut end = loaded.position;
        let is_whole = !loaded.torn && !self.is_latched();
        // The journal is durable up to the mark, and it ends there.
        end.settled = is_whole && self.is_locked() && end.mark() == told.journal;
        found.memtable.position = Some(end);
        // A journal without records has nothing that must be durable.
        if end.settled || is_whole && !end.holds_records() {
            self.go_on_with(writer, found.memtable);
            return Ok(());
        }
        if !self.is_locked() {
            self.take_lock(writer)?;
            if self.is_locked() {
                return self.settle(writer);
            }
            if self.is_latched() {
                self.require_lock()?;
            }
            // Nobody can write here, so the journal is served as it is.
            self.go_on_with(writer, found.memtable);
            return Ok(());
        }
        // The end of the journal may be visible without being durable. The new journal is complete
        // before it gets its name.
        let changes = found.memtable.changes();
        let journal = Journal::new(&self.disk, &self.path);
        end = journal.replace(Version::Leads, Some(&end), &memtable::list(&changes))?;
        self.count_recovery(writer, &found);
        let journal = end.mark();
        found.memtable.position = Some(end);
        found.memtable.seen = Some(journal);
        found.memtable.written = true;
        let turn = writer.turn.unwrap_or_default();
        self.tell(writer, Turn { journal, ..turn })?;
        self.go_on_with(writer, found.memtable);
        Ok(())
    }

    fn go_on_with(&self, writer: &mut Writer, found: Memtable) {
        let mut memtable = self.write_memtable();
        *memtable = found;
        if self.is_locked() {
            writer.interrupted = false;
            self.is_current.store(true, Ordering::Release);
        }
        self.serve();
    }

    fn count_recovery(&self, writer: &mut Writer, found: &Settling) {
        let commits = (found.loaded.as_ref()).map_or(0, |loaded| loaded.position.link.sequence);
        writer.happened.recoveries += 1;
        writer.happened.recovery_time += found.started.elapsed();
        writer.happened.recovered_commits += commits;
    }

    /// Removes our unfinished files if the directory is locked. Otherwise the processes that write
    /// them may be alive.
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
            // These files are never read, so one that stays does no harm.
            let _ = self.disk.remove_file(&path);
        }
        Ok(Found::Directory)
    }
}

/// What a first look at a directory finds, before it is settled.
enum Found {
    Nothing,
    Directory,
    /// Unfinished files that may not be removed, since the lock is not held.
    Leftovers,
}

/// What was read of a directory before it is settled.
struct Settling {
    loaded: Option<Loaded>,
    memtable: Memtable,
    exists: bool,
    started: Instant,
}
