//! Commits, under both policies.

use std::collections::HashSet;
use std::path::Path;

use super::directories::make_directories;
use super::directory::{Directory, MAX_FILE, Policy, Writer, not_a_file};
use super::disk::{Disk, Kind, SyncPoint};
use super::effects;
use super::failure::{At, Failure, Outcome};
use super::journal::{Journal, Position, found};
use super::names;
use super::owning::By;
use super::record::Change;
use super::temp::Temp;
use crate::error::{Error, Result};

/// The most bytes of one commit.
pub const MAX_COMMIT: u64 = 256 << 20;

/// Changes that depend on what the directory holds.
pub trait Planned {
    /// What is to be changed, as things stand. Asked again once the directory is locked, so that the
    /// answer holds when it is carried out.
    fn changes(&mut self) -> Result<Vec<Change<'_>>>;
}

impl Planned for &[Change<'_>] {
    fn changes(&mut self) -> Result<Vec<Change<'_>>> {
        Ok(self.to_vec())
    }
}

impl<D: Disk> Directory<D> {
    /// Makes all changes, durably, or none. Deleting a file that does not exist is fine; of
    /// several changes of one name the last counts. Makes the directory when it is missing.
    ///
    /// After an error the outcome is the old state, unless the directory now asks for recovery:
    /// then it is the old or the new one, and the recovery tells.
    pub fn commit(&self, mut changes: &[Change]) -> Result<()> {
        self.commit_by(By::Anybody, true, &mut changes)
    }

    /// As [`commit`](Self::commit), on behalf of somebody, and of changes that are planned under the
    /// lock; `keys` says whether they change keys, which others may remember.
    pub fn commit_by(&self, by: By, keys: bool, plan: &mut impl Planned) -> Result<()> {
        self.exclusive_open(|writer| {
            self.check_claim(writer)?;
            if !self.is_locked() && !self.exists()? {
                // It was removed behind our back.
                self.settle(writer)?;
            }
            if writer.anchored.is_none() || !self.is_locked() {
                let changes = checked(plan)?;
                // Nothing there that could be deleted.
                if changes.iter().all(|change| change.bytes.is_none()) && !self.exists()? {
                    return Ok(());
                }
                self.make(writer)?;
            }
            self.require_lock()?;
            self.check_unchanged(writer, by)?;
            match self.policy {
                Policy::Plain => {
                    self.complete_plain(writer)?;
                    let changes = checked(plan)?;
                    if changes.is_empty() {
                        return Ok(());
                    }
                    self.begin_turn(writer, by, keys)?;
                    self.commit_plain(writer, &changes)
                }
                Policy::Journaled => {
                    let journal = self.current_journal(writer)?;
                    let changes = checked(plan)?;
                    if changes.is_empty() {
                        return Ok(());
                    }
                    self.begin_turn(writer, by, keys)?;
                    self.commit_journaled(writer, journal, changes)
                }
            }
        })
    }

    fn exists(&self) -> Result<bool> {
        Ok(self.identity()?.is_some())
    }

    fn commit_journaled(
        &self,
        writer: &mut Writer,
        current: Option<(Position, D::File)>,
        mut changes: Vec<Change>,
    ) -> Outcome<()> {
        let existing = self.keep_effective(&mut changes)?;
        if changes.is_empty() {
            return Ok(());
        }
        let journal = Journal::new(&self.disk, &self.path);
        let (position, file) = match current {
            Some((position, file)) if position.ours && position.end < self.limits.checkpoint => {
                (position, file)
            }
            Some((position, _)) => self.start_journal(writer, Some(position))?,
            None => self.start_journal(writer, None)?,
        };

        let record = journal.encode(position.epoch, position.link, &changes)?;
        let temps = self.write_temps(&changes)?;
        writer.position = Some(journal.append(&file, &position, record, &self.limits)?);
        self.apply_unsynced(&changes, &existing, temps)
    }

    /// The journal, open for an append: as this process left it, or else after a recovery of what
    /// another one did. `None` if the directory has none.
    pub(super) fn current_journal(
        &self,
        writer: &mut Writer,
    ) -> Outcome<Option<(Position, D::File)>> {
        let journal = Journal::new(&self.disk, &self.path);
        if let Some(position) = writer.position
            && let Some(file) = journal.look(&position)?
        {
            return Ok(Some((position, file)));
        }
        writer.position = None;
        self.settle(writer)?;
        let Some(position) = writer.position else {
            return Ok(None);
        };
        match journal.look(&position)? {
            Some(file) => Ok(Some((position, file))),
            None => Err(self.disturbed()),
        }
    }

    /// Somebody who does not heed the lock, such as a copy program, has put another journal here.
    fn disturbed(&self) -> Failure {
        Failure::forget(Error::Busy {
            path: self.path.clone(),
            holder: None,
        })
    }

    /// A first journal, or the next one: after a checkpoint, or in the place of one that another
    /// process made. Only its maker appends to a journal: what an append that was cut short left
    /// behind its end could otherwise come back in the place of a later one.
    fn start_journal(
        &self,
        writer: &mut Writer,
        old: Option<Position>,
    ) -> Outcome<(Position, D::File)> {
        let journal = Journal::new(&self.disk, &self.path);
        match old {
            Some(old) if old.link.sequence > 0 => self.advance(writer, &old)?,
            _ => {
                if writer.anchored.is_none() {
                    self.make(writer)?;
                }
                let old = writer.position.or(old);
                writer.position = Some(journal.replace(old.as_ref(), &[])?);
            }
        }
        self.current_journal(writer)?
            .ok_or_else(|| self.disturbed())
    }

    /// Completes what another process did not live to finish, or a directory it put here.
    fn complete_plain(&self, writer: &mut Writer) -> Outcome<()> {
        if Journal::new(&self.disk, &self.path).exists()? || self.identity()? != writer.anchored {
            self.settle(writer)?;
        }
        if writer.anchored.is_none() {
            self.make(writer)?;
        }
        Ok(())
    }

    fn commit_plain(&self, writer: &mut Writer, changes: &[Change]) -> Outcome<()> {
        match changes {
            [
                Change {
                    name,
                    bytes: Some(bytes),
                },
            ] => self.replace_one(writer, name, bytes),
            [Change { name, bytes: None }] => self.remove_one(name),
            several => self.apply_durably(None, several).map(drop),
        }
    }

    fn replace_one(&self, writer: &mut Writer, name: &str, bytes: &[u8]) -> Outcome<()> {
        let path = self.path.join(name);
        self.check_target(name)?;
        let temp = Temp::write_synced(&self.disk, &self.path, bytes, SyncPoint::KeyFile)?;
        temp.rename(&path).at(&path)?;
        let synced = self
            .disk
            .sync_directory(&self.path, SyncPoint::KeyName)
            .latching(&self.path);
        if synced.is_err() {
            writer.touched.push(name.to_owned());
        }
        synced
    }

    fn remove_one(&self, name: &str) -> Outcome<()> {
        let path = self.path.join(name);
        self.check_target(name)?;
        effects::remove_file(&self.disk, &path).at(&path)?;
        // Also when there was no file: whoever removed it may not have lived to sync.
        self.disk
            .sync_directory(&self.path, SyncPoint::KeyRemoved)
            .latching(&self.path)
    }

    /// Makes the directory, its name durable, and locks it.
    pub(super) fn make(&self, writer: &mut Writer) -> Outcome<()> {
        make_directories(&self.disk, &self.path)?;
        if !self.is_locked() {
            self.take_lock(writer)?;
            // Somebody else may have been here before it was locked.
            self.settle(writer)?;
        }
        writer.anchored = self.identity()?;
        Ok(())
    }

    /// What tells the directory from another one of its name.
    pub(super) fn identity(&self) -> Result<Option<(u64, u64)>> {
        let metadata = found(self.disk.metadata(&self.path)).at(&self.path)?;
        Ok(metadata.map(|metadata| (metadata.device, metadata.inode)))
    }

    /// Drops deletions of what does not exist: nothing visible is missing from the journal, so
    /// they are durable already. Says of each change that stays whether its file exists.
    fn keep_effective(&self, changes: &mut Vec<Change>) -> Result<Vec<bool>> {
        let mut existing = Vec::with_capacity(changes.len());
        let mut effective = Vec::with_capacity(changes.len());
        for change in changes.drain(..) {
            let exists = self.check_target(change.name)?;
            if exists || change.bytes.is_some() {
                existing.push(exists);
                effective.push(change);
            }
        }
        *changes = effective;
        Ok(existing)
    }

    /// Whether the file exists. What is no regular file is refused here, where nothing has
    /// happened yet: after the commit point it would be in the way for ever.
    pub(super) fn check_target(&self, name: &str) -> Result<bool> {
        let path = self.path.join(name);
        match found(self.disk.metadata(&path)).at(&path)? {
            None => Ok(false),
            Some(metadata) if metadata.kind == Kind::File => Ok(true),
            Some(metadata) => Err(not_a_file(&path, metadata.kind)),
        }
    }

    /// The new content of every file under unfinished names, not synced. A full disk is met here.
    fn write_temps(&self, changes: &[Change]) -> Result<Vec<Option<Temp<'_, D>>>> {
        changes
            .iter()
            .map(|change| {
                change
                    .bytes
                    .map(|bytes| Temp::write(&self.disk, &self.path, bytes))
                    .transpose()
            })
            .collect()
    }

    /// The same, synced: all at once where they are many and the file system can.
    fn write_temps_synced(&self, changes: &[Change]) -> Outcome<Vec<Option<Temp<'_, D>>>> {
        let at = SyncPoint::AppliedFiles;
        let many = changes.len() >= self.limits.together;
        let filesystem = if many {
            self.disk.filesystem(&self.path).at(&self.path)?
        } else {
            None
        };
        if let Some(filesystem) = filesystem {
            let temps = self.write_temps(changes)?;
            self.disk
                .sync_filesystem(&filesystem, at)
                .latching(&self.path)?;
            return Ok(temps);
        }
        let write = |bytes| Temp::write_synced(&self.disk, &self.path, bytes, at);
        changes
            .iter()
            .map(|change| change.bytes.map(write).transpose())
            .collect()
    }

    /// As [`apply`](Self::apply), for temps that were not synced.
    fn apply_unsynced(
        &self,
        changes: &[Change],
        existing: &[bool],
        temps: Vec<Option<Temp<'_, D>>>,
    ) -> Outcome<()> {
        for ((change, exists), temp) in changes.iter().zip(existing).zip(temps) {
            let path = self.path.join(change.name);
            match temp {
                Some(temp) if *exists => temp.take_the_place(&path).latching(&path)?,
                Some(temp) => temp.rename(&path).latching(&path)?,
                None => self.remove(&path)?,
            }
        }
        Ok(())
    }

    /// Makes the changes of a commit visible. It is decided by now, so a failure latches.
    fn apply(&self, changes: &[Change], temps: Vec<Option<Temp<'_, D>>>) -> Outcome<()> {
        for (change, temp) in changes.iter().zip(temps) {
            let path = self.path.join(change.name);
            match temp {
                Some(temp) => temp.rename(&path).latching(&path)?,
                None => self.remove(&path)?,
            }
        }
        Ok(())
    }

    fn remove(&self, path: &Path) -> Outcome<()> {
        effects::remove_file(&self.disk, path).latching(path)
    }

    /// Makes all changes durable in the files themselves, by way of a new journal that holds
    /// nothing else: a commit of several under the plain policy, every checkpoint and every
    /// recovery. Relies on nothing that was written before.
    pub(super) fn apply_durably(
        &self,
        old: Option<&Position>,
        changes: &[Change],
    ) -> Outcome<Option<Position>> {
        self.require_lock()?;
        for change in changes {
            self.check_target(change.name)?;
        }
        let journal = Journal::new(&self.disk, &self.path);
        let temps = self.write_temps_synced(changes)?;
        let position = journal.replace(old, changes)?;
        self.apply(changes, temps)?;
        self.disk
            .sync_directory(&self.path, SyncPoint::AppliedNames)
            .latching(&self.path)?;

        // Files and names are durable. Left in place, this journal would one day revert a later
        // plain save.
        match self.policy {
            Policy::Journaled => journal
                .replace(Some(&position), &[])
                .map(Some)
                .map_err(Failure::latched),
            Policy::Plain => {
                effects::remove_file(&self.disk, journal.path()).latching(journal.path())?;
                self.disk
                    .sync_directory(&self.path, SyncPoint::JournalRemoved)
                    .latching(&self.path)?;
                Ok(None)
            }
        }
    }
}

/// The planned changes, one for each name, if they may be made.
fn checked(plan: &mut impl Planned) -> Result<Vec<Change<'_>>> {
    let changes = plan.changes()?;
    check_changes(&changes)?;
    Ok(last_of_each(changes))
}

fn check_changes(changes: &[Change]) -> Result<()> {
    let mut total = 0;
    for change in changes {
        names::check(change.name)?;
        let size = change.bytes.map_or(0, <[u8]>::len) as u64;
        total += size;
        if size > MAX_FILE {
            return Err(too_large(change.name, "larger than 64 MiB"));
        }
    }
    if total > MAX_COMMIT {
        return Err(too_large("", "a commit of more than 256 MiB"));
    }
    Ok(())
}

fn too_large(name: &str, problem: &str) -> Error {
    Error::InvalidTerm {
        member: name.to_owned(),
        problem: problem.to_owned(),
    }
}

/// The last change of each name, in order.
fn last_of_each(mut changes: Vec<Change<'_>>) -> Vec<Change<'_>> {
    if changes.len() < 2 {
        return changes;
    }
    let mut seen = HashSet::with_capacity(changes.len());
    changes.reverse();
    changes.retain(|change| seen.insert(change.name));
    changes.reverse();
    changes
}
