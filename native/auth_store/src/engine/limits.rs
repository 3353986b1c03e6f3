//! How much of what.

/// Files above this are neither written nor read: no key comes near, and a reader must not be made
/// to hold more.
pub const MAX_FILE: u64 = 64 << 20;

/// The most bytes of one commit.
pub const MAX_COMMIT: u64 = 256 << 20;

/// Sizes that tests make small.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// A commit that finds the journal this long brings it to the files first.
    pub checkpoint: u64,
    /// The journal grows by this much at a time.
    pub chunk: u64,
    /// What all directories of the process may keep in memory before their files are written; from
    /// there on, each commit writes those of its own directory.
    pub held: u64,
    /// From this many files on, one sync of the file system takes the place of one for each file of a
    /// directory that is published.
    pub together: usize,
    /// How many files are written and synced side by side: disks take many flushes for one.
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
