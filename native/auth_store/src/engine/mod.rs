//! Changes the files of one directory so that every commit is durable, whole and costs one flush.
//!
//! The engine works with file names and bytes; families, ids and formats belong to the layers
//! above. `DESIGN.md` beside this file describes the design, the layout of the journal and the
//! assumptions about the medium.

mod aside;
mod case;
mod checkpoint;
mod claim;
mod commit;
mod commit_journaled;
mod commit_plain;
mod compare;
mod copy_error;
mod directories;
mod directory;
mod disk;
mod effects;
mod failure;
mod files;
mod journal;
mod limits;
mod lock;
mod memtable;
mod names;
mod owning;
mod publication;
mod reading;
mod real;
mod record;
mod recovery;
mod salvage;
mod scan;
mod side_by_side;
mod snapshot;
mod spelling;
mod staging;
mod stamp;
mod temp;
mod unfinished;
mod vacancy;

pub(crate) use case::one_file;
pub use claim::Owner;
pub use commit::Planned;
pub use copy_error::CopyError;
pub use directory::{Directory, Happened, JournalState, Policy};
pub use disk::{Disk, Kind, Metadata, SyncPoint};
pub use journal::JournalDamage;
pub use limits::{Limits, MAX_COMMIT, MAX_FILE};
pub use lock::Lock;
pub use memtable::held;
pub use names::{JOURNAL, PUBLICATION, is_bookkeeping, is_of_bare, is_own};
pub use owning::By;
pub use real::RealDisk;
pub use record::Change;
pub use staging::Staging;
pub use stamp::Stamp;
pub use unfinished::sweep as sweep_staging;
pub use vacancy::holds_others;
