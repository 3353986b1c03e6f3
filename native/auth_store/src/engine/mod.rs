//! Files of one directory, changed so that every commit is durable, whole and one flush.
//!
//! The engine deals in file names and bytes; families, ids and formats are above it. Its design,
//! the layout of its journal and what it assumes of the medium are in `README.md` beside.

mod claim;
mod commit;
mod directories;
mod directory;
mod disk;
mod effects;
mod failure;
mod journal;
mod lock;
mod names;
mod owning;
mod real;
mod record;
mod recovery;
mod scan;
mod snapshot;
mod staging;
mod stamp;
mod temp;

pub use claim::Owner;
pub use commit::{MAX_COMMIT, Planned};
pub use directory::{Directory, Happened, JournalState, Limits, MAX_FILE, Policy};
pub use disk::{Disk, Kind, Metadata, SyncPoint};
pub use lock::Lock;
pub use names::{JOURNAL, is_bookkeeping, is_own};
pub use owning::By;
pub use real::RealDisk;
pub use record::Change;
pub use staging::{Staging, sweep as sweep_staging};
pub use stamp::Stamp;
