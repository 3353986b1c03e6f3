//! The memtable: changes that only the journal holds, because the files do not have them yet.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::journal::{Mark, Position};
use super::record::Change;

/// The new content of a file; without bytes, the file is deleted.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub bytes: Option<Arc<[u8]>>,
    /// Unique to this change.
    pub version: u64,
}

pub(super) type Changes = BTreeMap<Box<str>, Held>;

/// Copying the changes is cheap as long as nobody adds to them.
#[derive(Default)]
pub(super) struct Memtable {
    /// The end of the journal that the memtable reflects.
    pub position: Option<Position>,
    /// The mark in the lock file at that time. `None`: the memtable must be read before use.
    pub seen: Option<Mark>,
    changes: Arc<Changes>,
    size: u64,
    /// When the memtable last changed.
    changed: Option<Instant>,
    /// Whether this process has committed to the journal, rather than only read it.
    pub written: bool,
}

/// The memory that an entry takes besides its name and its content.
const ENTRY: u64 = 160;

static HELD: AtomicU64 = AtomicU64::new(0);
static VERSION: AtomicU64 = AtomicU64::new(1);

/// The memory that all memtables of the process take, in bytes.
pub fn held() -> u64 {
    HELD.load(Ordering::Relaxed)
}

impl Memtable {
    pub fn get(&self, name: &str) -> Option<&Held> {
        self.changes.get(name)
    }

    pub fn changes(&self) -> Arc<Changes> {
        Arc::clone(&self.changes)
    }

    pub fn add(&mut self, change: Change) {
        let held = Held {
            bytes: change.bytes.map(Arc::from),
            version: VERSION.fetch_add(1, Ordering::Relaxed),
        };
        let added = size(change.name, &held);
        let replaced = Arc::make_mut(&mut self.changes).insert(change.name.into(), held);
        let removed = replaced.map_or(0, |replaced| size(change.name, &replaced));
        self.size = self.size + added - removed;
        self.changed = Some(Instant::now());
        HELD.fetch_add(added, Ordering::Relaxed);
        HELD.fetch_sub(removed, Ordering::Relaxed);
    }

    /// Drops all changes: the files hold them now, or they are to be read again.
    pub fn clear(&mut self) {
        self.changes = Arc::default();
        self.written = false;
        HELD.fetch_sub(std::mem::take(&mut self.size), Ordering::Relaxed);
    }

    /// As [`clear`](Self::clear). The journal must be read again before the next use.
    pub fn forget(&mut self) {
        self.clear();
        self.position = None;
        self.seen = None;
    }

    /// The bytes that are held, and for how long nothing has changed; `None` if nothing is held.
    pub fn idle(&self) -> Option<(u64, Duration)> {
        let changed = self.changed.filter(|_| self.size > 0)?;
        Some((self.size, changed.elapsed()))
    }
}

impl Drop for Memtable {
    fn drop(&mut self) {
        self.clear();
    }
}

fn size(name: &str, held: &Held) -> u64 {
    ENTRY + name.len() as u64 + held.bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)
}

/// The changes in the form in which they are written to the disk.
pub(super) fn list(changes: &Changes) -> Vec<Change<'_>> {
    changes
        .iter()
        .map(|(name, held)| Change {
            name,
            bytes: held.bytes.as_deref(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_counted_to_the_byte_and_given_back() {
        const LARGE: usize = 8 << 20;
        let mut memtable = Memtable::default();
        assert_eq!(memtable.idle(), None);
        let content = vec![7; LARGE];
        let size = |memtable: &Memtable| memtable.idle().map_or(0, |(size, _)| size);
        for (name, bytes, expected) in [
            ("ab", Some(&content[..10]), ENTRY + 12),
            ("ab", Some(&content[..3]), ENTRY + 5),
            ("c", None, 2 * ENTRY + 6),
            ("ab", None, 2 * ENTRY + 3),
            ("ab", Some(&content[..]), 2 * ENTRY + 3 + LARGE as u64),
        ] {
            memtable.add(Change { name, bytes });
            assert_eq!(size(&memtable), expected);
        }
        // The count is of the whole process. Other tests hold little.
        assert!(held() >= LARGE as u64);
        drop(memtable);
        assert!(held() < LARGE as u64);
    }
}
