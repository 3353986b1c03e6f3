//! Saves what can be saved of a damaged directory. Nothing here runs without being asked for.

use std::ffi::OsStr;
use std::path::Path;

use super::directory::{Directory, Policy};
use super::disk::{Disk, SyncPoint};
use super::failure::At;
use super::files::read_file;
use super::journal::{Journal, JournalDamage};
use super::memtable::{self, Memtable};
use super::owning::By;
use super::record::{Change, Version};
use super::temp::write_all;
use crate::error::{Error, Result};

impl<D: Disk> Directory<D> {
    /// As [`peek`](Self::peek), but also works with a damaged journal: shows the part of it that
    /// can be trusted.
    pub fn peek_trusting(&self) -> Result<Option<JournalDamage>> {
        match self.peek() {
            Ok(()) => return Ok(None),
            Err(Error::Corrupt { ref path, .. })
                if Journal::new(&self.disk, &self.path).path() == path => {}
            Err(error) => return Err(error),
        }
        let mut memtable = Memtable::default();
        let trusted = Journal::new(&self.disk, &self.path).trusted(&mut |c| memtable.add(c))?;
        *self.write_memtable() = memtable;
        self.serve_peeked();
        Ok(trusted)
    }

    /// Makes changes as one commit on top of the trusted part of the journal.
    pub fn salvage(&self, changes: &[Change]) -> Result<()> {
        self.exclusive(|writer| {
            self.require_lock()?;
            let mut memtable = Memtable::default();
            let journal = Journal::new(&self.disk, &self.path);
            journal.trusted(&mut |change| memtable.add(change))?;
            for change in changes {
                memtable.add(*change);
            }
            let changes = memtable.changes();
            let changes = memtable::list(&changes);
            self.begin_turn(writer, By::Anybody, true)?;
            match self.policy {
                Policy::Plain => self.apply_durably(&changes)?,
                Policy::Journaled => {
                    journal.replace(Version::Leads, None, &changes)?;
                }
            }
            self.settle(writer)
        })
    }

    /// Copies files durably into a subdirectory of this directory.
    pub fn set_aside(&self, into: &str, names: &[&str]) -> Result<()> {
        let place = self.path.join(into);
        self.disk.create_directory(&place).at(&place)?;
        for name in names {
            let Some(bytes) = self.read_leftover(OsStr::new(name))? else {
                continue;
            };
            let path = place.join(name);
            let file = self.disk.create(&path).at(&path)?;
            write_all(&self.disk, &file, &bytes, 0).at(&path)?;
            let at = SyncPoint::StagedFiles;
            self.disk.sync_file(&file, at).at(&path)?;
        }
        for path in [place.as_path(), self.path.as_path()] {
            let at = SyncPoint::StagedNames;
            self.disk.sync_directory(path, at).at(path)?;
        }
        Ok(())
    }

    /// The content of any file, as it is on the disk.
    pub fn read_leftover(&self, name: &OsStr) -> Result<Option<Vec<u8>>> {
        read_file(&self.disk, &self.path.join(Path::new(name)))
    }

    /// When a file was last written, in milliseconds since 1970.
    pub fn modified_ms(&self, name: &OsStr) -> Option<i64> {
        let metadata = self.disk.metadata(&self.path.join(Path::new(name))).ok()?;
        i64::try_from(metadata.modified / 1_000_000).ok()
    }
}
