//! Commits under the plain policy: the files are complete whenever no call is running.

use super::commit::{Planned, checked};
use super::directory::{Directory, Writer};
use super::disk::{Disk, SyncPoint};
use super::effects;
use super::failure::{At, Outcome};
use super::journal::Journal;
use super::owning::By;
use super::record::{Change, Version};
use super::temp::Temp;

impl<D: Disk> Directory<D> {
    pub(super) fn commit_plain(
        &self,
        writer: &mut Writer,
        by: By,
        keys: bool,
        plan: &mut impl Planned,
    ) -> Outcome<()> {
        self.complete_plain(writer)?;
        let changes = checked(plan)?;
        if changes.is_empty() {
            return Ok(());
        }
        self.begin_turn(writer, by, keys)?;
        match changes.as_slice() {
            [
                Change {
                    name,
                    bytes: Some(bytes),
                },
            ] => self.replace_one(writer, name, bytes),
            [Change { name, bytes: None }] => self.remove_one(name),
            several => self.apply_durably(several),
        }
    }

    /// Completes a commit whose writer died, and settles a directory that was replaced since.
    fn complete_plain(&self, writer: &mut Writer) -> Outcome<()> {
        if Journal::new(&self.disk, &self.path).exists()? || self.identity()? != writer.anchored {
            self.settle(writer)?;
        }
        if writer.anchored.is_none() {
            self.make(writer)?;
        }
        Ok(())
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
        // Also if the file is missing: whoever removed it may have died before syncing.
        self.disk
            .sync_directory(&self.path, SyncPoint::KeyRemoved)
            .latching(&self.path)
    }

    /// Makes all changes durable in the files themselves, with a new journal that holds nothing
    /// else. Used for a commit of several changes and for every recovery under the plain policy.
    /// Relies on nothing that was written before.
    pub(super) fn apply_durably(&self, changes: &[Change]) -> Outcome<()> {
        self.require_lock()?;
        for change in changes {
            self.check_target(change.name)?;
        }
        let journal = Journal::new(&self.disk, &self.path);
        let temps = self.write_temps(changes)?;
        journal.replace(Version::Follows, None, changes)?;
        // The commit point is passed, so a failure latches.
        self.give_names(changes, temps)
            .map_err(super::failure::Failure::latched)?;
        self.disk
            .sync_directory(&self.path, SyncPoint::AppliedNames)
            .latching(&self.path)?;

        // Files and names are durable. If this journal stayed, it would one day revert a later
        // save.
        effects::remove_file(&self.disk, journal.path()).latching(journal.path())?;
        self.disk
            .sync_directory(&self.path, SyncPoint::JournalRemoved)
            .latching(&self.path)
    }
}
