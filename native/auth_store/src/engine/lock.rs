//! The lock of a directory: an advisory lock of the operating system. It excludes every other
//! process on the host, and processes on other hosts where the file system supports that.
//!
//! The lock is held on the file [`LOCK`] in the directory itself, which is never deleted or
//! replaced while the directory lives. Both backends use the same file. Each open file locks for
//! itself, so two [`Directory`](super::Directory) values in one process exclude each other too,
//! even if their paths differ. Nothing waits here: the caller tries again.
//!
//! The file records the last turn to write: who had it, and how many turns have begun or ended. A
//! process that finds another turn than it remembers knows that somebody else has written. A
//! process that holds the lock and finds a turn under way knows that its writer was killed. The
//! file also holds the mark, which says how far the journal is durable, so that readers need no
//! lock. It is never synced: after a crash no process remembers a turn, and the mark is trusted
//! only if the journal ends there.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use super::disk::Disk;
use super::failure::At;
use super::files::{fill, found};
use super::journal::Mark;
use super::names::LOCK;
use super::temp::write_all;
use crate::error::{Error, Result};

const MAGIC: [u8; 8] = *b"BXLOCK2\n";
const CHECKED: usize = 40;
const HEAD: usize = CHECKED + 4;
/// The holder's description, padded with zeros.
const TEXT: usize = 100;
const LEN: usize = HEAD + TEXT;

/// A lock file may lose its name while it is being locked. That happens once or twice in a row, not
/// more.
const ATTEMPTS: usize = 16;

/// Who wrote last, and how often a turn has begun or ended. The count is odd while a turn is under
/// way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Turn {
    pub count: u64,
    pub by: u64,
    /// The durable part of the journal; the default if there is none.
    pub journal: Mark,
}

impl Turn {
    pub fn is_under_way(self) -> bool {
        self.count % 2 == 1
    }

    /// Whether nobody has had a turn since `other`. A checkpoint is no turn, since it changes no
    /// key.
    pub fn is_of(self, other: Turn) -> bool {
        (self.count, self.by) == (other.count, other.by)
    }

    /// The next turn, whether this one has ended or was cut short.
    pub fn begun(self, by: u64) -> Self {
        let count = self.count.wrapping_add(1 + self.count % 2);
        Turn { count, by, ..self }
    }

    pub fn ended(self) -> Self {
        let count = self.count.wrapping_add(1);
        Turn { count, ..self }
    }
}

/// The lock, held until this value is dropped. It keeps one descriptor open.
pub struct Lock<D: Disk> {
    disk: D,
    file: D::File,
    path: PathBuf,
    inode: (u64, u64),
}

impl<D: Disk> Lock<D> {
    /// Locks a directory; `None` if the directory does not exist. Returns [`Error::Busy`] while
    /// somebody else holds the lock, in this process or in another one.
    pub fn take(disk: &D, directory: &Path) -> Result<Option<Self>> {
        Self::take_by(disk, directory, D::open_or_create)
    }

    /// As [`take`](Self::take), but also `None` if nobody has ever locked the directory.
    pub(crate) fn take_existing(disk: &D, directory: &Path) -> Result<Option<Self>> {
        Self::take_by(disk, directory, D::open_write)
    }

    fn take_by(
        disk: &D,
        directory: &Path,
        open: impl Fn(&D, &Path) -> io::Result<D::File>,
    ) -> Result<Option<Self>> {
        let path = directory.join(LOCK);
        for _ in 0..ATTEMPTS {
            let Some(file) = found(open(disk, &path)).at(&path)? else {
                return Ok(None);
            };
            if !disk.try_lock(&file).at(&path)? {
                let holder = holder(disk, &file);
                return Err(Error::Busy {
                    path: directory.to_owned(),
                    holder,
                });
            }
            let metadata = disk.file_metadata(&file).at(&path)?;
            let lock = Lock {
                disk: disk.clone(),
                file,
                path: path.clone(),
                inode: (metadata.device, metadata.inode),
            };
            // The directory may have been replaced or removed before the lock was taken.
            if lock.still_leads_here()? {
                return Ok(Some(lock));
            }
        }
        Err(Error::Busy {
            path: directory.to_owned(),
            holder: None,
        })
    }

    /// Whether the path still leads to the locked file. If not, the directory at this path is
    /// another one.
    pub fn still_leads_here(&self) -> Result<bool> {
        let now = found(self.disk.metadata(&self.path)).at(&self.path)?;
        Ok(now.is_some_and(|now| (now.device, now.inode) == self.inode))
    }

    pub(crate) fn turn(&self) -> Result<Turn> {
        read_turn(&self.disk, &self.file).at(&self.path)
    }

    /// Records the beginning of a turn, before its first change. A process that later finds the
    /// turn unchanged has missed nothing.
    pub(crate) fn begin_turn(&self, turn: Turn) -> Result<()> {
        self.write(&encode(turn, &HOLDER))
    }

    /// Records a new state of a turn. The end of a turn is recorded too, so that a process that
    /// looked during it, and read what was about to change, finds another turn afterwards.
    pub(crate) fn tell(&self, turn: Turn) -> Result<()> {
        self.write(&encode_head(turn))
    }

    fn write(&self, bytes: &[u8]) -> Result<()> {
        write_all(&self.disk, &self.file, bytes, 0).at(&self.path)
    }
}

/// Reads the turn without the lock; `None` if nobody has ever locked the directory.
pub(crate) fn look<D: Disk>(disk: &D, directory: &Path) -> Result<Option<Turn>> {
    let path = directory.join(LOCK);
    let Some(file) = found(disk.open_read(&path)).at(&path)? else {
        return Ok(None);
    };
    read_turn(disk, &file).map(Some).at(&path)
}

/// Identifies the directory by its lock file, so that all paths to it give the same answer.
pub(crate) fn identity<D: Disk>(disk: &D, directory: &Path) -> Result<Option<(u64, u64)>> {
    let path = directory.join(LOCK);
    let metadata = found(disk.metadata(&path)).at(&path)?;
    Ok(metadata.map(|metadata| (metadata.device, metadata.inode)))
}

/// Whether the error only says that the directory cannot be written to.
pub(crate) fn is_read_only(error: &Error) -> bool {
    matches!(error, Error::Io { source, .. } if matches!(
        source.kind(),
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
    ))
}

fn read_turn<D: Disk>(disk: &D, file: &D::File) -> io::Result<Turn> {
    let mut bytes = [0; LEN];
    let read_at = |buffer: &mut [u8], offset: u64| disk.read_at(file, buffer, offset);
    let read = fill(&read_at, &mut bytes, 0)?;
    Ok(decode(&bytes[..read]).map_or_else(Turn::default, |(turn, _)| turn))
}

fn holder<D: Disk>(disk: &D, file: &D::File) -> Option<String> {
    let mut bytes = [0; LEN];
    let read_at = |buffer: &mut [u8], offset: u64| disk.read_at(file, buffer, offset);
    let read = fill(&read_at, &mut bytes, 0).ok()?;
    decode(&bytes[..read]).map(|(_, text)| text)
}

fn encode(turn: Turn, text: &str) -> [u8; LEN] {
    let mut bytes = [0; LEN];
    bytes[..HEAD].copy_from_slice(&encode_head(turn));
    let text = text.as_bytes();
    let shown = text.len().min(TEXT);
    bytes[HEAD..HEAD + shown].copy_from_slice(&text[..shown]);
    bytes
}

fn encode_head(turn: Turn) -> [u8; HEAD] {
    let mut bytes = [0; HEAD];
    bytes[0..8].copy_from_slice(&MAGIC);
    bytes[8..16].copy_from_slice(&turn.count.to_le_bytes());
    bytes[16..24].copy_from_slice(&turn.by.to_le_bytes());
    bytes[24..32].copy_from_slice(&turn.journal.salt.to_le_bytes());
    bytes[32..40].copy_from_slice(&turn.journal.end.to_le_bytes());
    let checksum = crc32c::crc32c(&bytes[..CHECKED]);
    bytes[CHECKED..].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

/// `None` for a file that is not ours or was torn by a crash: it counts as never written.
fn decode(bytes: &[u8]) -> Option<(Turn, String)> {
    let head: &[u8; HEAD] = bytes.get(..HEAD)?.try_into().ok()?;
    let number = |at: usize| Some(u64::from_le_bytes(head.get(at..at + 8)?.try_into().ok()?));
    let checksum = u32::from_le_bytes(head.get(CHECKED..)?.try_into().ok()?);
    if head[..8] != MAGIC || checksum != crc32c::crc32c(&head[..CHECKED]) {
        return None;
    }
    let turn = Turn {
        count: number(8)?,
        by: number(16)?,
        journal: Mark {
            salt: number(24)?,
            end: number(32)?,
        },
    };
    let text = bytes[HEAD..].split(|byte| *byte == 0).next()?;
    let text: String = String::from_utf8_lossy(text)
        .chars()
        .filter(|c| !c.is_control())
        .collect();
    Some((turn, text))
}

/// How this process describes itself to those who wait for the lock.
static HOLDER: LazyLock<String> = LazyLock::new(|| {
    let host = rustix::system::uname();
    format!(
        "process {} on {}",
        std::process::id(),
        host.nodename().to_string_lossy()
    )
});

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(count: u64) -> Turn {
        let journal = Mark { salt: 5, end: 36 };
        Turn {
            count,
            by: 9,
            journal,
        }
    }

    #[test]
    fn what_is_written_is_read_and_damage_is_nobody() {
        let turn = turn(7);
        let bytes = encode(turn, "process 1 on host");
        assert_eq!(bytes.len(), 144);
        assert_eq!(decode(&bytes), Some((turn, "process 1 on host".to_owned())));
        assert_eq!(decode(&bytes[..20]), None);
        assert_eq!(decode(&[]), None);
        for at in 0..HEAD {
            let mut damaged = bytes;
            damaged[at] ^= 1;
            assert_eq!(decode(&damaged), None, "damaged at {at}");
        }
        let long = "a".repeat(500) + "\n";
        assert_eq!(decode(&encode(turn, &long)).unwrap().1.len(), TEXT);
    }

    #[test]
    fn a_turn_is_under_way_until_it_ends_and_never_looks_like_another() {
        let idle = turn(4);
        let begun = idle.begun(2);
        assert_eq!((begun.by, begun.journal), (2, idle.journal));
        assert!(begun.is_under_way() && !begun.ended().is_under_way());
        let cut_short_and_begun_again = begun.begun(2);
        assert!(cut_short_and_begun_again.is_under_way());
        assert!(!cut_short_and_begun_again.is_of(begun));
        assert!(!begun.ended().is_of(idle));
        assert!(turn(u64::MAX).begun(2).is_under_way());
    }

    #[test]
    fn the_end_of_a_turn_leaves_the_name_of_its_holder() {
        let begun = turn(0).begun(2);
        let mut bytes = encode(begun, "process 1 on host");
        bytes[..HEAD].copy_from_slice(&encode_head(begun.ended()));
        assert_eq!(
            decode(&bytes),
            Some((begun.ended(), "process 1 on host".to_owned()))
        );
    }

    #[test]
    fn only_what_forbids_writing_says_that_reading_may_go_on() {
        let says = |kind: io::ErrorKind| is_read_only(&Error::io(Path::new("auth"), kind.into()));
        assert!(says(io::ErrorKind::PermissionDenied) && says(io::ErrorKind::ReadOnlyFilesystem));
        assert!(!says(io::ErrorKind::NotFound) && !says(io::ErrorKind::Interrupted));
    }
}
