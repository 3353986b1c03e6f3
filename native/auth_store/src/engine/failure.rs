//! What an error inside an operation means for the directory.

use std::io;
use std::path::Path;

use crate::error::Error;

/// What is true of the directory after an operation failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum After {
    /// Nothing changed, on disk or in what is remembered of it.
    Unchanged,
    /// The end of the journal is unknown: look again before the next commit.
    Forget,
    /// What is visible may not be what is durable: nothing works before a recovery.
    Latch,
}

#[derive(Debug)]
pub(crate) struct Failure {
    pub error: Error,
    pub after: After,
}

pub(crate) type Outcome<T> = Result<T, Failure>;

impl Failure {
    pub fn latch(error: Error) -> Self {
        Failure {
            error,
            after: After::Latch,
        }
    }

    /// The same failure, behind the commit point.
    pub fn latched(self) -> Self {
        Self::latch(self.error)
    }

    /// For what may as well fail, as long as that leaves no doubt about the directory.
    pub fn unless_latched(self) -> Outcome<()> {
        match self.after {
            After::Latch => Err(self),
            After::Unchanged | After::Forget => Ok(()),
        }
    }

    pub fn forget(error: Error) -> Self {
        Failure {
            error,
            after: After::Forget,
        }
    }
}

/// An error is harmless unless said otherwise: what can leave a trace says so.
impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure {
            error,
            after: After::Unchanged,
        }
    }
}

/// Names the path in an error of the operating system.
pub(crate) trait At<T> {
    fn at(self, path: &Path) -> Result<T, Error>;
    /// For syncs, and for all that follows the commit point.
    fn latching(self, path: &Path) -> Outcome<T>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, path: &Path) -> Result<T, Error> {
        self.map_err(|error| Error::io(path, error))
    }

    fn latching(self, path: &Path) -> Outcome<T> {
        self.map_err(|error| Failure::latch(Error::io(path, error)))
    }
}
