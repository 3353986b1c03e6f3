//! What a failed operation means for the directory.

use std::io;
use std::path::Path;

use crate::error::Error;

/// The state of the directory after an operation failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum After {
    /// Nothing changed, neither on disk nor in memory.
    Unchanged,
    /// The end of the journal is unknown: it must be read again before the next commit.
    Forget,
    /// What is visible may not be durable: nothing works before a recovery.
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

    /// The same failure after the commit point.
    pub fn latched(self) -> Self {
        Self::latch(self.error)
    }

    /// For work that may fail, as long as the state of the directory stays certain.
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

/// Errors are harmless by default. A call that can leave a trace says so with `latching` or
/// [`Failure::forget`].
impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure {
            error,
            after: After::Unchanged,
        }
    }
}

/// Adds the path to an error of the operating system.
pub(crate) trait At<T> {
    fn at(self, path: &Path) -> Result<T, Error>;
    /// For syncs, and for everything after the commit point.
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
