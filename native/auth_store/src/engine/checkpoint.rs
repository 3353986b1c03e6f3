//! Checkpoints: writing to the files what the journal holds.

use std::time::Instant;

use super::directory::{Directory, Policy, Writer};
use super::disk::{Disk, SyncPoint};
use super::effects;
use super::failure::{At, Outcome};
use super::journal::Journal;
use super::lock::Turn;
use super::memtable;
use super::record::{Change, Version};
use super::side_by_side;
use super::temp::Temp;
use crate::error::Result;

impl<D: Disk> Directory<D> {
    /// Writes everything that the journal holds to the files, durably. The result can be read by
    /// every version of this library. Commits do the same on their own when the journal has grown
    /// long.
    pub fn checkpoint(&self) -> Result<()> {
        self.exclusive_open(|writer| self.checkpoint_locked(writer))
    }

    pub(super) fn checkpoint_locked(&self, writer: &mut Writer) -> Outcome<()> {
        if self.policy == Policy::Plain {
            return match Journal::new(&self.disk, &self.path).exists()? {
                true => self.settle(writer),
                false => Ok(()),
            };
        }
        self.current_journal(writer)?;
        match self.read_memtable().position {
            Some(end) if end.version == Version::Leads || end.holds_records() => {}
            _ => return Ok(()),
        }
        self.write_out(writer, Version::Follows)
    }

    /// As [`checkpoint`](Self::checkpoint), for a directory that will be written to again: only if
    /// the journal holds something. If this process has only read the journal, it forgets what it
    /// read instead, since the owner will write the files.
    pub fn tidy(&self) -> Result<()> {
        if !self.is_open() || self.policy == Policy::Plain {
            return Ok(());
        }
        if !self.read_memtable().written {
            self.forget_journal();
            return Ok(());
        }
        self.exclusive_open(|writer| match self.current_journal(writer)? {
            Some((end, _)) if end.holds_records() => self.write_out(writer, Version::Leads),
            _ => Ok(()),
        })
    }

    /// The bytes that are held in memory until they are written to the files, and for how long
    /// nothing was added.
    pub fn idle(&self) -> Option<(u64, std::time::Duration)> {
        self.read_memtable().idle()
    }

    /// Writes all changed files and gives them their names. Only then is the journal replaced by an
    /// empty one. The old journal is durable as long as it stands, so a failure before that does no
    /// harm.
    pub(super) fn write_out(&self, writer: &mut Writer, version: Version) -> Outcome<()> {
        self.require_lock()?;
        let started = Instant::now();
        let (old, held) = {
            let memtable = self.read_memtable();
            (memtable.position, memtable.changes())
        };
        let changes = memtable::list(&held);
        if !changes.is_empty() {
            let temps = self
                .write_temps(&changes)
                .map_err(|failure| failure.error)?;
            self.give_names(&changes, temps)
                .map_err(|failure| failure.error)?;
            self.disk
                .sync_directory(&self.path, SyncPoint::AppliedNames)
                .at(&self.path)?;
        }
        let journal = Journal::new(&self.disk, &self.path);
        let end = journal.replace(version, old.as_ref(), &[])?;

        let mut memtable = self.write_memtable();
        let journal = end.mark();
        let turn = writer.turn.unwrap_or_default();
        self.tell(writer, Turn { journal, ..turn })?;
        memtable.clear();
        memtable.position = Some(end);
        memtable.seen = Some(journal);
        writer.happened.checkpoints += 1;
        writer.happened.checkpoint_time += started.elapsed();
        Ok(())
    }

    /// Writes the new content of every file under an unfinished name, and syncs it. A full disk
    /// shows here.
    pub(super) fn write_temps(&self, changes: &[Change]) -> Outcome<Vec<Option<Temp<'_, D>>>> {
        let (disk, path) = (&self.disk, &self.path);
        let write = |bytes| Temp::write_synced(disk, path, bytes, SyncPoint::AppliedFiles);
        side_by_side::map(changes, self.limits.threads, |change| {
            change.bytes.map(write).transpose()
        })
        .into_iter()
        .collect()
    }

    /// Makes the changes visible. Removals come first: on a disk that ignores case, a name that
    /// goes and one that comes may be the same file.
    pub(super) fn give_names(
        &self,
        changes: &[Change],
        temps: Vec<Option<Temp<'_, D>>>,
    ) -> Outcome<()> {
        for change in changes.iter().filter(|change| change.bytes.is_none()) {
            let path = self.path.join(change.name);
            effects::remove_file(&self.disk, &path).at(&path)?;
        }
        for (change, temp) in changes.iter().zip(temps) {
            if let Some(temp) = temp {
                let path = self.path.join(change.name);
                temp.rename(&path).at(&path)?;
            }
        }
        Ok(())
    }
}
