//! The journal file of a directory.

use std::io;
use std::path::{Path, PathBuf};

use super::disk::{Disk, Kind, Metadata, SyncPoint};
use super::failure::{At, Failure, Outcome};
use super::files::{fill, found};
use super::limits::Limits;
use super::names;
use super::record::{
    Change, Epoch, HEADER_LEN, Link, Version, decode_header, encode_header, encode_record,
};
use super::scan::{self, MAX_BODY, Scan, ScanError};
use super::temp::{Temp, write_all};
use crate::error::{Error, Result};

/// The most chunks by which the journal grows at a time.
const MAX_CHUNKS: u64 = 16;

/// The longest journal that is read. No record begins beyond the checkpoint limit of 4 MiB, and
/// none is longer than [`MAX_BODY`]. The content of a journal is kept in memory, and a sparse file
/// can claim any size.
const MAX_JOURNAL: u64 = MAX_BODY as u64 + (4 << 20);

/// Where a journal ended when this process last looked, and which journal it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Position {
    device: u64,
    inode: u64,
    pub version: Version,
    pub epoch: Epoch,
    pub link: Link,
    pub end: u64,
    /// The size of the file: zeros follow `end`.
    allocated: u64,
    /// Whether the whole journal is known to be durable, its name included. Only then may records
    /// be appended.
    pub settled: bool,
}

/// Identifies the durable part of a journal: which journal, and how far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    /// The salt of the epoch.
    pub salt: u64,
    pub end: u64,
}

impl Position {
    fn new(metadata: &Metadata, scan: &Scan) -> Self {
        Position {
            device: metadata.device,
            inode: metadata.inode,
            version: scan.version,
            epoch: scan.epoch,
            link: scan.link,
            end: scan.end,
            allocated: metadata.size,
            settled: false,
        }
    }

    pub fn mark(&self) -> Mark {
        Mark {
            salt: self.epoch.salt,
            end: self.end,
        }
    }

    pub fn holds_records(&self) -> bool {
        self.link.sequence > 0
    }

    fn scan(&self) -> Scan {
        Scan {
            version: self.version,
            epoch: self.epoch,
            link: self.link,
            end: self.end,
            torn: false,
        }
    }
}

pub(crate) struct Loaded {
    pub position: Position,
    pub torn: bool,
}

/// How much of a damaged journal can be trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalDamage {
    pub problem: String,
    /// The number of whole commits, counted from the first without a gap.
    pub commits: u64,
    /// The length up to the end of those commits.
    pub trusted_bytes: u64,
    pub bytes: u64,
}

/// The journal of `directory`.
pub(crate) struct Journal<'a, D: Disk> {
    disk: &'a D,
    directory: &'a Path,
    path: PathBuf,
}

impl<'a, D: Disk> Journal<'a, D> {
    pub fn new(disk: &'a D, directory: &'a Path) -> Self {
        Journal {
            disk,
            directory,
            path: directory.join(names::JOURNAL),
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn exists(&self) -> Result<bool> {
        match self.disk.metadata(&self.path) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(Error::io(&self.path, error)),
        }
    }

    /// Reads the whole journal, in the order of commits; `None` if there is none.
    pub fn load(&self, each: &mut dyn FnMut(Change)) -> Result<Option<Loaded>> {
        let Some((file, metadata)) = self.open()? else {
            return Ok(None);
        };
        let read_at = |buffer: &mut [u8], offset: u64| self.disk.read_at(&file, buffer, offset);
        let scan = scan::scan(metadata.size, &read_at, each).map_err(|error| self.failed(error))?;
        Ok(Some(Loaded {
            position: Position::new(&metadata, &scan),
            torn: scan.torn,
        }))
    }

    /// As [`load`](Self::load), but for a journal that may be damaged: passes on the trusted part,
    /// and reports the damage. `None` if the journal is intact or missing.
    pub fn trusted(&self, each: &mut dyn FnMut(Change)) -> Result<Option<JournalDamage>> {
        let problem = match self.load(&mut |_| {}) {
            Ok(_) => {
                self.load(each)?;
                return Ok(None);
            }
            Err(Error::Corrupt { problem, .. }) => problem,
            Err(error) => return Err(error),
        };
        let mut damage = JournalDamage {
            problem,
            commits: 0,
            trusted_bytes: 0,
            bytes: 0,
        };
        let Ok(Some((file, metadata))) = self.open() else {
            return Ok(Some(damage));
        };
        damage.bytes = metadata.size;
        let read_at = |buffer: &mut [u8], offset: u64| self.disk.read_at(&file, buffer, offset);
        let header = match scan::begin(&read_at) {
            Ok(header) => header,
            Err(ScanError::Corrupt(_)) => return Ok(Some(damage)),
            Err(error) => return Err(self.failed(error)),
        };
        // The first pass finds the trusted end, so that the second never passes on part of a
        // record.
        let mut end = header;
        match scan::go_on(&mut end, metadata.size, &read_at, &mut |_| {}) {
            Ok(()) | Err(ScanError::Corrupt(_)) => {}
            Err(error) => return Err(self.failed(error)),
        }
        let mut again = header;
        scan::go_on(&mut again, end.end, &read_at, each).map_err(|error| self.failed(error))?;
        damage.commits = end.link.sequence;
        damage.trusted_bytes = end.end;
        Ok(Some(damage))
    }

    /// Reads the journal up to `mark`, starting after `known` if that is given. `None` if the salt
    /// of the journal is another one, or if its records do not end at the mark.
    pub fn load_until(
        &self,
        mark: Mark,
        known: Option<&Position>,
        each: &mut dyn FnMut(Change),
    ) -> Result<Option<Position>> {
        let Some((file, metadata)) = self.open()? else {
            return Ok(None);
        };
        let read_at = |buffer: &mut [u8], offset: u64| self.disk.read_at(&file, buffer, offset);
        let failed = |error| self.failed(error);
        let header = scan::begin(&read_at).map_err(failed)?;
        if header.epoch.salt != mark.salt {
            return Ok(None);
        }
        let mut scan = known.map_or(header, Position::scan);
        scan::go_on(&mut scan, mark.end, &read_at, each).map_err(failed)?;
        Ok((scan.end == mark.end).then(|| Position {
            settled: true,
            ..Position::new(&metadata, &scan)
        }))
    }

    fn open(&self) -> Result<Option<(D::File, Metadata)>> {
        let Some(file) = found(self.disk.open_read(&self.path)).at(&self.path)? else {
            return Ok(None);
        };
        let metadata = self.disk.file_metadata(&file).at(&self.path)?;
        if metadata.kind != Kind::File {
            return Err(Error::corrupt(
                &self.path,
                "",
                "the journal is not a regular file",
            ));
        }
        if metadata.size > MAX_JOURNAL {
            let problem = "the journal is longer than this library writes any";
            return Err(Error::corrupt(&self.path, "", problem));
        }
        Ok(Some((file, metadata)))
    }

    fn failed(&self, error: ScanError) -> Error {
        match error {
            ScanError::Io(error) => Error::io(&self.path, error),
            ScanError::Corrupt(problem) => Error::corrupt(&self.path, "", problem),
            ScanError::Newer(version) => Error::UnsupportedJournal(version),
        }
    }

    /// Opens the journal for an append if it is still the one at `position`. A program that ignores
    /// the lock, such as a copy tool, may have replaced it.
    pub fn look(&self, position: &Position) -> Result<Option<D::File>> {
        let Some(file) = found(self.disk.open_write(&self.path)).at(&self.path)? else {
            return Ok(None);
        };
        let metadata = self.disk.file_metadata(&file).at(&self.path)?;
        let same_file = (metadata.device, metadata.inode, metadata.size)
            == (position.device, position.inode, position.allocated);
        if !same_file {
            return Ok(None);
        }
        let read_at = |buffer: &mut [u8], offset: u64| self.disk.read_at(&file, buffer, offset);
        let mut header = [0; HEADER_LEN];
        let read = fill(&read_at, &mut header, 0).at(&self.path)?;
        let epoch = decode_header(&header[..read]).map(|(_, epoch, _)| epoch);
        Ok((epoch == Ok(position.epoch)).then_some(file))
    }

    /// Appends the record and syncs it: the commit point. The file grows by zeros, by about its
    /// current length, so that most syncs change no size and write no metadata. One step is between
    /// one chunk and [`MAX_CHUNKS`], since most accounts are small.
    pub fn append(
        &self,
        file: &D::File,
        position: &Position,
        (mut record, link): (Vec<u8>, Link),
        limits: &Limits,
    ) -> Outcome<Position> {
        let end = position.end + record.len() as u64;
        let mut allocated = position.allocated;
        if end > allocated {
            let room = position.end.min((MAX_CHUNKS - 1) * limits.chunk);
            // No record starts beyond the checkpoint limit.
            let wanted = (end + room).min(limits.checkpoint.max(end));
            allocated = wanted.next_multiple_of(limits.chunk);
            record.resize(record.len() + (allocated - end) as usize, 0);
        }
        if let Err(error) = write_all(self.disk, file, &record, position.end) {
            // The record may be there in part or as a whole.
            self.disk
                .truncate(file, position.end)
                .latching(&self.path)?;
            self.disk
                .sync_data(file, SyncPoint::Truncated)
                .latching(&self.path)?;
            return Err(Failure::forget(Error::io(&self.path, error)));
        }
        self.disk
            .sync_data(file, SyncPoint::Append)
            .latching(&self.path)?;
        Ok(Position {
            link,
            end,
            allocated,
            ..*position
        })
    }

    /// Replaces the journal by a new one of a new epoch, with one record if there are `changes`. It
    /// is complete before it gets its name, so an invalid header is never the trace of a crash.
    pub fn replace(
        &self,
        version: Version,
        old: Option<&Position>,
        changes: &[Change],
    ) -> Outcome<Position> {
        let salt = self.disk.random().at(&self.path)?;
        let counter = old.map_or(1, |old| old.epoch.counter.wrapping_add(1));
        let epoch = Epoch { salt, counter };
        let (header, mut link) = encode_header(version, epoch);
        let mut bytes = header.to_vec();
        if !changes.is_empty() {
            let (record, last) = self.encode(epoch, link, changes)?;
            bytes.extend_from_slice(&record);
            link = last;
        }

        let (temp, file) = Temp::create(self.disk, self.directory)?;
        write_all(self.disk, &file, &bytes, 0).at(temp.path())?;
        self.disk
            .sync_file(&file, SyncPoint::JournalFile)
            .latching(temp.path())?;
        let metadata = self.disk.file_metadata(&file).at(temp.path())?;
        temp.rename(&self.path).at(&self.path)?;
        self.disk
            .sync_directory(self.directory, SyncPoint::JournalName)
            .latching(self.directory)?;
        let end = bytes.len() as u64;
        Ok(Position {
            device: metadata.device,
            inode: metadata.inode,
            version,
            epoch,
            link,
            end,
            allocated: end,
            settled: true,
        })
    }

    pub fn encode(
        &self,
        epoch: Epoch,
        previous: Link,
        changes: &[Change],
    ) -> Result<(Vec<u8>, Link)> {
        encode_record(epoch, previous, changes)
            .filter(|(record, _)| record.len() <= MAX_BODY as usize)
            .ok_or_else(|| Error::InvalidTerm {
                member: String::new(),
                problem: "the changes are too large for one commit".to_owned(),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::super::real::RealDisk;
    use super::*;

    #[test]
    fn only_where_nothing_is_there_is_no_journal() {
        let root = tempfile::tempdir().unwrap();
        assert!(!Journal::new(&RealDisk, root.path()).exists().unwrap());
        let file = root.path().join("file");
        std::fs::write(&file, "").unwrap();
        Journal::new(&RealDisk, &file).exists().unwrap_err();
    }
}
