//! All errors, distinguished by what the caller can do about them.
//!
//! No variant carries a value from a file: errors name members and kinds, never contents.

use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::engine::{self, JOURNAL, Owner, PUBLICATION};

/// What is wrong with a file, distinguished by what can be done about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// Its content is damaged.
    Content,
    /// It is a symbolic link, which is not followed.
    Link,
    /// It is a directory, a socket or the like.
    NotAFile,
    /// It belongs to another user. Nothing is known to be wrong with it.
    Access,
    /// It is the journal, or the record of a publication, and its trusted part completes the
    /// directory.
    Journal,
    /// It is a record of this library that holds nothing of the account: the lock or the owner.
    Bookkeeping,
}

pub type Result<T, E = Error> = std::result::Result<T, E>;

#[derive(Debug, Error)]
pub enum Error {
    /// An error of the operating system; becomes `{:error, posix_atom}`.
    #[error("{path}: {source}")]
    Io {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },

    /// There is no file for this key.
    #[error("no such key")]
    NotFound,

    /// The content of a file is not what its name promises.
    #[error("{}: {}{problem}", path.display(), prefix(member))]
    Corrupt {
        path: PathBuf,
        /// The place in the file, for example `session.sessions[].chains[].chain_key`; empty for
        /// the whole.
        member: String,
        problem: String,
        flaw: Flaw,
    },

    /// The format cannot hold this term. Nothing was written.
    #[error("{}{problem}", prefix(member))]
    InvalidTerm { member: String, problem: String },

    /// This family or id cannot name a file in the directory.
    #[error("{family} {id:?}: {problem}")]
    InvalidKey {
        family: String,
        id: String,
        problem: String,
    },

    /// The manifest or the credentials show that the directory belongs to another backend.
    #[error("the directory belongs to the backend {0:?}")]
    UnexpectedBackend(String),

    /// The manifest has a later version.
    #[error("the manifest is of version {0}")]
    UnsupportedVersion(i128),

    /// The manifest cannot be read.
    #[error("the manifest is invalid: {0}")]
    InvalidManifest(String),

    /// The journal has a later version.
    #[error("the journal is of version {0}")]
    UnsupportedJournal(u32),

    /// Another process, or another part of this one, is writing in the directory right now. Nothing
    /// was done: try again.
    #[error("{}: another process is writing in this directory", path.display())]
    Busy {
        path: PathBuf,
        /// For example `process 17 on web-2`, if it is known.
        holder: Option<String>,
    },

    /// The claim of this process on the directory no longer stands. Nothing was written.
    #[error("{}: this directory has another owner", path.display())]
    NotOwner {
        path: PathBuf,
        owner: Option<Box<Owner>>,
    },

    /// Somebody else has changed keys since the caller looked. Nothing was written.
    #[error("{}: another process changed the directory", path.display())]
    Changed { path: PathBuf },

    /// An earlier failure left the outcome on disk unknown. Nothing works until a recovery.
    #[error("{}: recovery is required after a failed write", path.display())]
    RecoveryRequired { path: PathBuf },
}

impl Error {
    pub fn io(path: &Path, source: std::io::Error) -> Self {
        Error::Io {
            path: path.to_owned(),
            source,
        }
    }

    /// Adds the path to a problem that the codec found.
    pub fn content(path: &Path, problem: crate::codec::Problem) -> Self {
        Error::corrupt(path, problem.member, problem.problem)
    }

    pub fn corrupt(path: &Path, member: impl Into<String>, problem: impl Into<String>) -> Self {
        Error::Corrupt {
            path: path.to_owned(),
            member: member.into(),
            problem: problem.into(),
            flaw: flaw_of(path),
        }
    }
}

fn flaw_of(path: &Path) -> Flaw {
    match path.file_name().and_then(|name| name.to_str()) {
        Some(JOURNAL | PUBLICATION) => Flaw::Journal,
        Some(name) if engine::is_own(name) => Flaw::Bookkeeping,
        _ => Flaw::Content,
    }
}

fn prefix(member: &str) -> String {
    if member.is_empty() {
        String::new()
    } else {
        format!("{member}: ")
    }
}
