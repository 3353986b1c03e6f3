//! Stamps tell one version of a file from another.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use super::disk::Metadata;

/// Equal stamps mean the same version of a file. Every replacement of a file changes its stamp.
///
/// A new file may get the inode and the size of the one that it replaces, and the clock of file
/// times ticks slowly. So the stamp of a file that changed a moment ago equals no other stamp, not
/// even a second one of the same version: ask again later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: i128,
    /// Unique while the file is young, 0 afterwards.
    young: u64,
}

/// Well above one tick of file times, which is 10 ms at most.
const YOUNG_NS: i128 = 50_000_000;

static YOUNG: AtomicU64 = AtomicU64::new(1);

impl Stamp {
    /// Whether both may be of the same version, going by the metadata alone. Unlike `==`, this
    /// ignores whether the file is young.
    pub fn may_be(&self, other: &Stamp) -> bool {
        Stamp { young: 0, ..*self } == Stamp { young: 0, ..*other }
    }

    /// When the file was written, in seconds since 1970; `None` for content that has no file yet.
    pub fn written(&self) -> Option<i64> {
        let seconds = self.modified.div_euclid(1_000_000_000);
        i64::try_from(seconds).ok().filter(|_| self.inode != 0)
    }

    /// The stamp of content that is not in a file yet.
    pub(super) fn of_held(version: u64) -> Self {
        Stamp {
            device: 0,
            inode: 0,
            size: version,
            modified: 0,
            young: 0,
        }
    }

    pub(super) fn new(metadata: Metadata) -> Self {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| {
                i128::try_from(since.as_nanos()).unwrap_or(i128::MAX)
            });
        let young = if (now - metadata.modified) < YOUNG_NS {
            YOUNG.fetch_add(1, Ordering::Relaxed)
        } else {
            0
        };
        Stamp {
            device: metadata.device,
            inode: metadata.inode,
            size: metadata.size,
            modified: metadata.modified,
            young,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::disk::Kind;
    use super::*;

    fn metadata(modified: i128) -> Metadata {
        Metadata {
            kind: Kind::File,
            device: 1,
            inode: 2,
            size: 3,
            modified,
            user: 0,
        }
    }

    #[test]
    fn a_stamp_of_a_young_file_equals_no_other_and_may_be_the_same_version() {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let now = i128::try_from(now.as_nanos()).unwrap();
        let [young, again] = [(); 2].map(|()| Stamp::new(metadata(now)));
        assert!(young != again && young.may_be(&again));
        let [old, same] = [(); 2].map(|()| Stamp::new(metadata(now - 60_000_000_000)));
        assert!(old == same && old.may_be(&same) && !old.may_be(&young));
        assert_eq!(i128::from(old.written().unwrap()), now / 1_000_000_000 - 60);
        assert_eq!(Stamp::new(metadata(-1)).written(), Some(-1));
        assert_eq!(Stamp::of_held(1).written(), None);
    }
}
