//! Commits under the journaled policy: one record and one flush. A checkpoint writes the files
//! later.

use super::commit::{Planned, checked};
use super::directory::{Directory, Writer};
use super::disk::Disk;
use super::failure::{Failure, Outcome};
use super::journal::{Journal, Position};
use super::lock::Turn;
use super::memtable;
use super::owning::By;
use super::record::{Change, Version};
use crate::error::{Error, Result};

impl<D: Disk> Directory<D> {
    pub(super) fn commit_journaled(
        &self,
        writer: &mut Writer,
        by: By,
        keys: bool,
        plan: &mut impl Planned,
    ) -> Outcome<()> {
        let mut current = self.current_journal(writer)?;
        let mut changes = checked(plan)?;
        self.keep_effective(&mut changes)?;
        if changes.is_empty() {
            return Ok(());
        }
        self.begin_turn(writer, by, keys)?;
        if current.as_ref().is_some_and(|(end, _)| self.is_full(end)) {
            self.write_out(writer, Version::Leads)?;
            current = self.current_journal(writer)?;
        }
        let journal = Journal::new(&self.disk, &self.path);
        let end = match current {
            Some((end, file)) if end.version == Version::Leads => {
                let record = journal.encode(end.epoch, end.link, &changes)?;
                journal.append(&file, &end, record, &self.limits)?
            }
            // The journal holds no records, or is not known to be durable.
            _ => {
                let old = self.read_memtable().position;
                journal.replace(Version::Leads, old.as_ref(), &changes)?
            }
        };
        self.serve_from_journal(writer, end, &changes)?;
        if end.epoch.counter == 1 {
            self.show(writer)?;
        }
        Ok(())
    }

    /// Writes the first commit of a directory to the files, so that other programs recognize the
    /// directory. The commit itself is durable already, so an error matters only if it leaves the
    /// journal unknown.
    fn show(&self, writer: &mut Writer) -> Outcome<()> {
        let happened = writer.happened;
        let shown = self.write_out(writer, Version::Leads);
        // This checkpoint is part of the commit and is not reported.
        writer.happened = happened;
        shown.or_else(Failure::unless_latched)
    }

    /// Opens the journal for an append, as this process or another one left it, or else after a
    /// recovery.
    pub(super) fn current_journal(
        &self,
        writer: &mut Writer,
    ) -> Outcome<Option<(Position, D::File)>> {
        if let Some(found) = self.look_at_journal(writer)? {
            return Ok(Some(found));
        }
        self.settle(writer)?;
        let found = self.look_at_journal(writer)?;
        if found.is_none() && self.read_memtable().position.is_some_and(|end| end.settled) {
            // A program that ignores the lock, such as a copy tool, has put another journal here.
            return Err(Failure::forget(Error::Busy {
                path: self.path.clone(),
                holder: None,
            }));
        }
        Ok(found)
    }

    fn look_at_journal(&self, writer: &Writer) -> Result<Option<(Position, D::File)>> {
        let told = writer.turn.unwrap_or_default().journal;
        let known = self.read_memtable().position;
        // Mutants: a journal that ends at the mark without being settled has a torn tail, which the
        // next record overwrites.
        let Some(end) = known.filter(|end| end.settled && end.mark() == told) else {
            return Ok(None);
        };
        let file = Journal::new(&self.disk, &self.path).look(&end)?;
        Ok(file.map(|file| (end, file)))
    }

    // Mutants: it makes no difference whether memory is full at the limit or just above it.
    fn is_full(&self, end: &Position) -> bool {
        end.end >= self.limits.checkpoint || memtable::held() > self.limits.held
    }

    /// Drops deletions of files that do not exist. The journal is durable for everything that is
    /// served, so those deletions are durable already.
    fn keep_effective(&self, changes: &mut Vec<Change>) -> Result<()> {
        let held = self.read_memtable().changes();
        let mut problem = None;
        changes.retain(|change| {
            let exists = match held.get(change.name) {
                Some(held) => Ok(held.bytes.is_some()),
                None => self.check_target(change.name),
            };
            match exists {
                Ok(exists) => exists || change.bytes.is_some(),
                Err(error) => {
                    problem.get_or_insert(error);
                    true
                }
            }
        });
        problem.map_or(Ok(()), Err)
    }

    /// Makes the commit visible to this process and, by ending the turn, to all others. Both happen
    /// under one lock, so that no reader finds one ahead of the other.
    fn serve_from_journal(
        &self,
        writer: &mut Writer,
        end: Position,
        changes: &[Change],
    ) -> Outcome<()> {
        let mut memtable = self.write_memtable();
        let turn = writer.turn.unwrap_or_default();
        let journal = end.mark();
        self.tell(writer, Turn { journal, ..turn }.ended())?;
        for change in changes {
            memtable.add(*change);
        }
        memtable.position = Some(end);
        memtable.seen = Some(journal);
        memtable.written = true;
        Ok(())
    }
}
