//! Which of the directories that a copy has to do with an error is about.

use thiserror::Error as ThisError;

use crate::error::Error;

/// Why a copy was not made.
#[derive(Debug, ThisError)]
pub enum CopyError {
    /// What was to be copied.
    #[error("source: {0}")]
    Source(Error),

    /// What was to get it.
    #[error("target: {0}")]
    Target(Error),

    /// Where what the target holds was to be kept.
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
