//! What the journal of a directory holds and its files do not yet: the memtable.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::journal::{Mark, Position};
use super::record::Change;

/// The new content of a file, or that there is none any more.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub bytes: Option<Arc<[u8]>>,
    /// Never the same for two changes.
    pub version: u64,
}

pub(super) type Changes = BTreeMap<Box<str>, Held>;

/// Cheap to copy while nobody changes it.
#[derive(Default)]
pub(super) struct Memtable {
    /// Where the journal ends that this was read from or written to.
    pub position: Option<Position>,
    /// What the lock's file said of the journal then. `None`: this must be read before it is used.
    pub seen: Option<Mark>,
    changes: Arc<Changes>,
    size: u64,
    /// When it last changed.
    changed: Option<Instant>,
    /// Whether this process has committed to the journal, and not only read it.
    pub written: bool,
}

/// What an entry takes besides its name and its content.
const ENTRY: u64 = 160;

static HELD: AtomicU64 = AtomicU64::new(0);
static VERSION: AtomicU64 = AtomicU64::new(1);

/// What the memtables of the process take, in bytes.
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

    /// Nothing is held any more: the files have it, or another journal.
    pub fn clear(&mut self) {
        self.changes = Arc::default();
        self.written = false;
        HELD.fetch_sub(std::mem::take(&mut self.size), Ordering::Relaxed);
    }

    /// As after [`clear`](Self::clear), and to be read again.
    pub fn forget(&mut self) {
        self.clear();
        self.position = None;
        self.seen = None;
    }

    /// What it takes, and since when it has not changed; `None` if it is empty.
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

/// For what goes to the disk.
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
        // Of the whole process: other tests hold little.
        assert!(held() >= LARGE as u64);
        drop(memtable);
        assert!(held() < LARGE as u64);
    }
}
