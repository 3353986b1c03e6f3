//! Decides which of the two backends a directory belongs to, since no backend may use a directory
//! of the other one.

use std::sync::atomic::Ordering;

use super::Store;
use crate::engine::Disk;
use crate::error::{Error, Result};
use crate::format::Format;
use crate::layout::{self, Entry};

impl<D: Disk> Store<D> {
    /// Refuses a directory of the other backend before anything in it is settled: only its own
    /// backend may complete its journal.
    pub(super) fn check_owner(&self) -> Result<()> {
        if !self.is_ours.load(Ordering::Acquire) {
            self.finish_publication()?;
            if self.belongs_to_other()? {
                return Err(self.other_backend());
            }
        }
        Ok(())
    }

    /// Whether the directory has credentials or a manifest of the other backend, and none of this
    /// one. Only looks at names, and works before the directory is open.
    pub fn belongs_to_other(&self) -> Result<bool> {
        Ok(!self.is_marked_as(self.format)? && self.is_marked_as(self.format.other())?)
    }

    /// Whether there are credentials or a manifest of this format.
    fn is_marked_as(&self, format: Format) -> Result<bool> {
        Ok(self.directory.has(&layout::creds_name(format))?
            || self.directory.has(format.manifest_name())?)
    }

    fn other_backend(&self) -> Error {
        Error::UnexpectedBackend(self.format.other().backend().to_owned())
    }

    /// Refuses a missing directory, and a directory of the other backend. An empty list of keys
    /// would look like an account that has none.
    pub fn check_there(&self) -> Result<()> {
        self.directory.check_exists()?;
        let (mut of_this, mut of_other) = (false, false);
        let holds = |name: &str, format: Format| {
            name == format.manifest_name()
                || matches!(layout::parse(name, format), Entry::Creds)
                || layout::parse(name, format).into_key().is_some()
        };
        self.directory.entries(&mut |name, _| {
            let name = name.to_string_lossy();
            of_this |= holds(&name, self.format);
            of_other |= holds(&name, self.format.other());
        })?;
        if of_other && !of_this {
            return Err(self.other_backend());
        }
        Ok(())
    }

    /// Refuses missing credentials if the other format has credentials or a manifest here: taking
    /// the account for a new one would log it out.
    pub(super) fn refuse_other_backend(&self) -> Result<()> {
        if self.is_marked_as(self.format.other())? {
            return Err(self.other_backend());
        }
        Ok(())
    }
}
