//! Errors of copying a directory, which say which of the directories involved they concern.

use thiserror::Error as ThisError;

use crate::error::Error;

/// Why a copy was not made.
#[derive(Debug, ThisError)]
pub enum CopyError {
    /// The directory to be copied.
    #[error("source: {0}")]
    Source(Error),

    /// The directory to receive the copy.
    #[error("target: {0}")]
    Target(Error),

    /// The directory to keep the old content of the target.
    #[error("set aside: {0}")]
    Aside(Error),
}

impl CopyError {
    pub fn into_error(self) -> Error {
        match self {
            CopyError::Source(error) | CopyError::Target(error) | CopyError::Aside(error) => error,
        }
    }
}
