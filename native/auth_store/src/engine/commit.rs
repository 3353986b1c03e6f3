//! Commits: what both policies have in common.

use std::collections::HashSet;

use super::directories::make_directories;
use super::directory::{Directory, Policy, Writer};
use super::disk::{Disk, Kind};
use super::failure::{At, Outcome};
use super::files::{found, not_a_file};
use super::limits::{MAX_COMMIT, MAX_FILE};
use super::names;
use super::owning::By;
use super::record::Change;
use crate::error::{Error, Result};

/// Changes that depend on what the directory holds.
pub trait Planned {
    /// The changes to make, given the current state. This may be called again once the directory is
    /// locked, so that the answer still holds when it is carried out.
    fn changes(&mut self) -> Result<Vec<Change<'_>>>;
}

impl Planned for &[Change<'_>] {
    fn changes(&mut self) -> Result<Vec<Change<'_>>> {
        Ok(self.to_vec())
    }
}

impl<D: Disk> Directory<D> {
    /// Makes all changes durably, or none. Deleting a file that does not exist is no error. If a
    /// name occurs more than once, its last change counts. Creates the directory if it is missing.
    ///
    /// After an error the directory is in the old state, unless it now requires recovery. In that
    /// case it is in the old or the new state, and the recovery settles which.
    pub fn commit(&self, mut changes: &[Change]) -> Result<()> {
        self.commit_by(By::Anybody, true, &mut changes)
    }

    /// As [`commit`](Self::commit), on behalf of somebody, and with changes that are planned under
    /// the lock. `keys` says whether they change keys, which others may remember.
    pub fn commit_by(&self, by: By, keys: bool, plan: &mut impl Planned) -> Result<()> {
        self.exclusive_open(|writer| {
            self.check_claim(writer)?;
            // Also reached if the directory was removed behind our back.
            if writer.anchored.is_none() || !self.is_locked() {
                let changes = checked(plan)?;
                // There is no directory, so there is nothing to delete.
                if changes.iter().all(|change| change.bytes.is_none()) && !self.exists()? {
                    return Ok(());
                }
                self.make(writer)?;
            }
            self.require_lock()?;
            self.check_unchanged(writer, by)?;
            match self.policy {
                Policy::Plain => self.commit_plain(writer, by, keys, plan),
                Policy::Journaled => self.commit_journaled(writer, by, keys, plan),
            }
        })
    }

    fn exists(&self) -> Result<bool> {
        Ok(self.identity()?.is_some())
    }

    /// Creates the directory, makes its name durable, and locks it.
    pub(super) fn make(&self, writer: &mut Writer) -> Outcome<()> {
        make_directories(&self.disk, &self.path)?;
        if !self.is_locked() {
            self.take_lock(writer)?;
            // Another process may have written here before we had the lock.
            self.settle(writer)?;
        }
        writer.anchored = self.identity()?;
        Ok(())
    }

    /// Distinguishes the directory from another one at the same path.
    pub(super) fn identity(&self) -> Result<Option<(u64, u64)>> {
        let metadata = found(self.disk.metadata(&self.path)).at(&self.path)?;
        Ok(metadata.map(|metadata| (metadata.device, metadata.inode)))
    }

    /// Whether the file exists. Anything but a regular file is refused here, before anything has
    /// happened: after the commit point it would be in the way for ever.
    pub(super) fn check_target(&self, name: &str) -> Result<bool> {
        let path = self.path.join(name);
        match found(self.disk.metadata(&path)).at(&path)? {
            None => Ok(false),
            Some(metadata) if metadata.kind == Kind::File => Ok(true),
            Some(metadata) => Err(not_a_file(&path, metadata.kind)),
        }
    }
}

/// The planned changes, one for each name, once they are known to be allowed.
pub(super) fn checked(plan: &mut impl Planned) -> Result<Vec<Change<'_>>> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_of_256_mib_is_made_and_a_larger_one_refused() {
        let largest = vec![0; MAX_FILE as usize];
        let put = |name, bytes| Change {
            name,
            bytes: Some(bytes),
        };
        let mut changes: Vec<_> = ["a", "b", "c", "d"]
            .map(|name| put(name, largest.as_slice()))
            .into();
        changes.push(Change {
            name: "e",
            bytes: None,
        });
        assert!(check_changes(&changes).is_ok());
        changes.push(put("f", b"1"));
        let problem = check_changes(&changes).unwrap_err().to_string();
        assert!(problem.contains("256 MiB"), "{problem}");
    }

    #[test]
    fn a_file_of_more_than_64_mib_is_refused_by_its_name() {
        let larger = vec![0; MAX_FILE as usize + 1];
        let change = Change {
            name: "creds",
            bytes: Some(&larger),
        };
        let problem = check_changes(&[change]).unwrap_err().to_string();
        assert!(
            problem.contains("creds") && problem.contains("64 MiB"),
            "{problem}"
        );
    }
}
