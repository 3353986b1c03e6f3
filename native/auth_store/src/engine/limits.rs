//! Limits on sizes, memory and concurrency.

/// The largest file that is written or read. No key comes near, and a reader must not be made to
/// hold more in memory.
pub const MAX_FILE: u64 = 64 << 20;

/// The most bytes that one commit may carry.
pub const MAX_COMMIT: u64 = 256 << 20;

/// Limits that tests make smaller.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// A commit that finds the journal at this length writes it to the files first.
    pub checkpoint: u64,
    /// The step by which the journal grows.
    pub chunk: u64,
    /// The bytes that all directories of the process may hold in memory before their files are
    /// written. Beyond that, each commit checkpoints its own directory.
    pub held: u64,
    /// From this many files on, a publication syncs the whole file system once instead of each
    /// file.
    pub together: usize,
    /// How many files are written and synced concurrently: a disk handles many flushes in the time
    /// of one.
    pub threads: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            checkpoint: 4 << 20,
            chunk: 16 << 10,
            held: 128 << 20,
            together: 64,
            threads: 8,
        }
    }
}
