//! How a name is really spelled on a disk that does not tell capital letters from small ones.

use super::case::ignores_case;
use super::directory::Directory;
use super::disk::Disk;
use super::names::LOCK;
use crate::error::Result;

impl<D: Disk> Directory<D> {
    /// The other name, if a file that would be found under `name` is really spelled otherwise. Costs
    /// nothing on disks that tell names apart.
    pub fn other_spelling(&self, name: &str) -> Result<Option<String>> {
        if !self.ignores_case(name)? {
            return Ok(None);
        }
        let mut spelled = self.case.spelled();
        if spelled.contains(name) {
            return Ok(None);
        }
        let folded = name.to_lowercase();
        let (mut is_there, mut other) = (false, None);
        self.entries(&mut |entry, _| {
            let entry = entry.to_string_lossy();
            if entry == name {
                is_there = true;
            } else if entry.to_lowercase() == folded {
                other = Some(entry.into_owned());
            }
        })?;
        if is_there {
            spelled.insert(name.into());
            return Ok(None);
        }
        Ok(other)
    }

    /// What is about to be deleted may be made again under another spelling.
    pub fn forget_spelling(&self, name: &str) {
        self.case.spelled().remove(name);
    }

    /// Whether this disk is one of those, as a file that is there tells.
    pub fn ignores_case(&self, name: &str) -> Result<bool> {
        if let Some(known) = self.case.ignored() {
            return Ok(known);
        }
        let told = match ignores_case(&self.disk, &self.path, name)? {
            None => ignores_case(&self.disk, &self.path, LOCK)?,
            told => told,
        };
        self.case.tell(told);
        Ok(told == Some(true))
    }
}
