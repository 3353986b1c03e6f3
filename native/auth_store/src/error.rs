//! Everything that can go wrong, by what the caller can do about it.
//!
//! No variant ever carries a value read from a file: members and kinds are named, contents are not.

use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::engine::{self, JOURNAL, Owner, PUBLICATION};

/// What is wrong with a file, by what can be done about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// What it holds.
    Content,
    /// It is a symbolic link, which is not followed.
    Link,
    /// It is a directory, a socket or the like.
    NotAFile,
    /// It is somebody else's: nothing is known to be wrong with it.
    Access,
    /// It is the journal: what can be trusted of it completes the directory.
    Journal,
    /// It is a record of this library that says nothing of the account: the lock, the owner.
    Bookkeeping,
}

pub type Result<T, E = Error> = std::result::Result<T, E>;

#[derive(Debug, Error)]
pub enum Error {
    /// The operating system refused: becomes `{:error, posix_atom}`.
    #[error("{path}: {source}")]
    Io {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },

    /// No file for this key.
    #[error("no such key")]
    NotFound,

    /// A file's content is not what its name promises.
    #[error("{}: {}{problem}", path.display(), prefix(member))]
    Corrupt {
        path: PathBuf,
        /// Where in the file, such as `session.sessions[].chains[].chain_key`; empty for the whole.
        member: String,
        problem: String,
        flaw: Flaw,
    },

    /// A term that the format cannot hold, refused before anything is written.
    #[error("{}{problem}", prefix(member))]
    InvalidTerm { member: String, problem: String },

    /// A family or id that cannot name a file here.
    #[error("{family} {id:?}: {problem}")]
    InvalidKey {
        family: String,
        id: String,
        problem: String,
    },

    /// The manifest says another backend owns the directory.
    #[error("the directory belongs to the backend {0:?}")]
    UnexpectedBackend(String),

    /// The manifest is of a later version.
    #[error("the manifest is of version {0}")]
    UnsupportedVersion(i128),

    /// The manifest cannot be read.
    #[error("the manifest is invalid: {0}")]
    InvalidManifest(String),

    /// The journal is of a later version.
    #[error("the journal is of version {0}")]
    UnsupportedJournal(u32),

    /// Another process, or another part of this one, writes in the directory right now. Nothing was
    /// done: try again.
    #[error("{}: another process is writing in this directory", path.display())]
    Busy {
        path: PathBuf,
        /// Such as `process 17 on web-2`, where it is known.
        holder: Option<String>,
    },

    /// The claim of this process on the directory does not stand any more. Nothing was written.
    #[error("{}: this directory has another owner", path.display())]
    NotOwner {
        path: PathBuf,
        owner: Option<Box<Owner>>,
    },

    /// Somebody else changed keys since the caller looked. Nothing was written.
    #[error("{}: another process changed the directory", path.display())]
    Changed { path: PathBuf },

    /// An earlier failure left the outcome on disk unknown; nothing works until recovery.
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

    /// What the codec found wrong in the file at `path`.
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
