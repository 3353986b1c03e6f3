//! How a name is spelled on a disk that ignores case.

use super::case::ignores_case;
use super::directory::Directory;
use super::disk::Disk;
use super::names::LOCK;
use crate::error::Result;

impl<D: Disk> Directory<D> {
    /// The actual spelling of the file that `name` leads to, if it differs from `name`. Costs
    /// nothing on disks that respect case.
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

    /// Forgets how a name is spelled, before its file is deleted: it may be created again with
    /// another spelling.
    pub fn forget_spelling(&self, name: &str) {
        self.case.spelled().remove(name);
    }

    /// Whether this disk ignores case, found out with a file that exists.
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
