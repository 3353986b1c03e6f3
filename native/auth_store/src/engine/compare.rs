//! Whether one directory is a copy of another.

use std::collections::BTreeSet;

use super::directory::Directory;
use super::disk::Disk;
use crate::error::Result;

impl<D: Disk> Directory<D> {
    /// Whether both serve the same files with the same content. Only reads; each directory must be
    /// open or [peeked](Self::peek) into.
    pub fn holds_same(&self, other: &Self) -> Result<bool> {
        let names = self.names()?;
        if other.names()? != names {
            return Ok(false);
        }
        for name in names {
            if self.read(&name)? != other.read(&name)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn names(&self) -> Result<BTreeSet<String>> {
        let mut names = BTreeSet::new();
        self.list(&mut |name| {
            names.insert(name.to_owned());
        })?;
        Ok(names)
    }
}
