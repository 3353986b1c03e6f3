//! A consistent copy of a live directory.

use std::path::Path;

use super::copy_error::CopyError::{self, Source, Target};
use super::directory::{Directory, Policy};
use super::disk::{Disk, Kind};
use super::failure::At;
use super::lock;
use super::names;
use super::staging::Staging;
use super::unfinished::sweep;
use crate::error::Error;

type Result<T> = std::result::Result<T, CopyError>;

impl<D: Disk> Directory<D> {
    /// Makes `target` a copy of the directory as it is between two commits, complete without a
    /// journal. The target must not exist, or be an empty directory. With `replace` it may be any
    /// directory, and its old content is removed.
    ///
    /// Under the journaled policy the copy shares its files with the original through hard links
    /// where the file system allows: files are only ever replaced, so a link keeps its content.
    /// Under the plain policy they are copied, because Node writes the files of such a directory in
    /// place, and would write into the copy.
    pub fn snapshot(&self, target: &Path, replace: bool) -> Result<()> {
        self.copy_whole(target, replace, None).map(|_kept| ())
    }

    /// As [`snapshot`](Self::snapshot) with `replace`, but first keeps a whole copy of what
    /// `target` holds in `aside`, which must not exist. Returns `false` if there was nothing to
    /// keep.
    pub fn restore(&self, target: &Path, aside: &Path) -> Result<bool> {
        self.copy_whole(target, true, Some(aside))
    }

    fn copy_whole(&self, target: &Path, replace: bool, aside: Option<&Path>) -> Result<bool> {
        if lock::identity(&self.disk, target)
            .map_err(Target)?
            .is_some_and(|of_target| {
                lock::identity(&self.disk, &self.path)
                    .is_ok_and(|of_this| of_this == Some(of_target))
            })
        {
            let itself = std::io::ErrorKind::InvalidInput.into();
            return Err(Target(Error::io(target, itself)));
        }
        self.exclusive_open(|writer| {
            // Hard links share files that were written long ago. Only after a checkpoint are they
            // known to be durable.
            self.checkpoint_locked(writer)?;
            Ok(self.copy_to(target, replace, aside))
        })
        .map_err(Source)?
    }

    /// Copies a directory that is locked and complete without a journal.
    fn copy_to(&self, target: &Path, replace: bool, aside: Option<&Path>) -> Result<bool> {
        sweep(&self.disk, target).map_err(Target)?;
        let staging = Staging::with_limits(self.disk.clone(), target, self.limits);
        let mut staging = staging.map_err(Target)?;
        staging.refuse_occupied(replace).map_err(Target)?;
        self.copy_into(&mut staging)?;
        let kept = match aside {
            Some(aside) => staging.keep_aside(aside)?,
            None => false,
        };
        staging.publish(replace).map_err(Target)?;
        Ok(kept)
    }

    fn copy_into(&self, staging: &mut Staging<D>) -> Result<()> {
        let mut problem: Option<CopyError> = None;
        self.disk
            .entries(&self.path, &mut |name, kind| {
                let Some(name) = name.to_str().filter(|name| names::is_key(name)) else {
                    return;
                };
                if problem.is_some() || !self.is_file(name, kind) {
                    return;
                }
                let from = self.path.join(name);
                let copied = match (self.policy, kind) {
                    (Policy::Journaled, Kind::File) => staging.link_or_copy(&from, name),
                    _ => staging.copy(&from, name),
                };
                problem = copied.err();
            })
            .at(&self.path)
            .map_err(Source)?;
        problem.map_or(Ok(()), Err)
    }
}
