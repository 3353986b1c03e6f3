//! Reads a journal from its first record to its end, and tells a torn tail from corruption.

use std::io;

use super::record::{
    Change, Epoch, HEADER_LEN, HeaderProblem, Link, RECORD_LEN, RECORD_MAGIC, RecordHead, Version,
    decode_body, decode_header, decode_record_head,
};

/// Above every record that a commit or a recovery writes.
pub(crate) const MAX_BODY: u32 = 512 << 20;

/// What a journal holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Scan {
    pub version: Version,
    pub epoch: Epoch,
    /// The last valid record, or the header.
    pub link: Link,
    /// Where the next record goes.
    pub end: u64,
    /// Something that never became a record follows `end`.
    pub torn: bool,
}

#[derive(Debug)]
pub(crate) enum ScanError {
    Io(io::Error),
    /// Committed records are damaged: dropping them would lose what was acknowledged.
    Corrupt(&'static str),
    Newer(u32),
}

impl From<io::Error> for ScanError {
    fn from(error: io::Error) -> Self {
        ScanError::Io(error)
    }
}

/// Something that reads bytes at an offset, as `pread` does.
pub(crate) type ReadAt<'a> = dyn Fn(&mut [u8], u64) -> io::Result<usize> + 'a;

/// Walks the journal of `size` bytes and hands every change of every valid record to `each`.
///
/// The first record that does not continue the chain is the torn tail of the last append, unless
/// a record of a later append follows: appends are synced one after the other, so then the broken
/// one was once whole on disk.
pub(crate) fn scan(
    size: u64,
    read_at: &ReadAt,
    each: &mut dyn FnMut(Change),
) -> Result<Scan, ScanError> {
    let mut scan = begin(read_at)?;
    go_on(&mut scan, size, read_at, each)?;
    scan.torn = check_rest(&scan, read_at)?;
    Ok(scan)
}

/// Reads the header.
pub(crate) fn begin(read_at: &ReadAt) -> Result<Scan, ScanError> {
    let mut header = [0; HEADER_LEN];
    let read = fill(read_at, &mut header, 0)?;
    let (version, epoch, link) =
        decode_header(&header[..read]).map_err(|problem| match problem {
            HeaderProblem::Damaged => ScanError::Corrupt("the journal's header is damaged"),
            HeaderProblem::Newer(version) => ScanError::Newer(version),
        })?;
    Ok(Scan {
        version,
        epoch,
        link,
        end: HEADER_LEN as u64,
        torn: false,
    })
}

/// Walks the records from where `scan` stands, as far as they are valid and lie before `size`.
pub(crate) fn go_on(
    scan: &mut Scan,
    size: u64,
    read_at: &ReadAt,
    each: &mut dyn FnMut(Change),
) -> Result<(), ScanError> {
    let mut body = Vec::new();
    while let Some(head) = next_head(scan, read_at)? {
        let start = scan.end + RECORD_LEN as u64;
        if u64::from(head.length) > size.saturating_sub(start) {
            break;
        }
        if head.length > MAX_BODY {
            return Err(ScanError::Corrupt(
                "the journal holds a record of impossible length",
            ));
        }
        body.resize(head.length as usize, 0);
        if fill(read_at, &mut body, start)? < body.len()
            || crc32c::crc32c(&body) != head.body_checksum
        {
            break;
        }
        decode_body(&body, head.count, &mut *each).ok_or(ScanError::Corrupt(
            "the journal holds a record of unknown content",
        ))?;
        scan.link = head.link;
        scan.end = start + u64::from(head.length);
    }
    Ok(())
}

/// The head at `scan.end`, if it continues the chain.
fn next_head(scan: &Scan, read_at: &ReadAt) -> Result<Option<RecordHead>, ScanError> {
    let mut bytes = [0; RECORD_LEN];
    let read = fill(read_at, &mut bytes, scan.end)?;
    let Some(head) = decode_record_head(&bytes[..read]) else {
        return Ok(None);
    };
    let follows = head.epoch == scan.epoch && head.link.sequence == scan.link.sequence + 1;
    if follows && head.previous != scan.link.checksum {
        return Err(ScanError::Corrupt(
            "the journal's chain of checksums is broken",
        ));
    }
    Ok(follows.then_some(head))
}

/// Looks at everything behind the last valid record: `false` if there is nothing but zeros.
///
/// A head of this epoch with a sequence later than the next proves that a later append was made.
/// Its body is not looked at: that keeps the search linear, and it would only matter to forgive.
/// Old journal bytes that some record carries in its body cannot pass: they are of another epoch,
/// or of this one and then earlier than the record that holds them.
fn check_rest(scan: &Scan, read_at: &ReadAt) -> Result<bool, ScanError> {
    const WINDOW: usize = 64 << 10;
    let mut window = vec![0; WINDOW];
    let mut offset = scan.end;
    let mut torn = false;
    loop {
        let read = fill(read_at, &mut window, offset)?;
        let bytes = &window[..read];
        torn |= bytes.iter().any(|byte| *byte != 0);
        let later = bytes.windows(RECORD_LEN).any(|head| {
            head.starts_with(&RECORD_MAGIC)
                && decode_record_head(head).is_some_and(|head| {
                    head.epoch == scan.epoch && head.link.sequence > scan.link.sequence + 1
                })
        });
        if later {
            return Err(ScanError::Corrupt(
                "a record in the middle of the journal is damaged and later ones follow",
            ));
        }
        if read < WINDOW {
            return Ok(torn);
        }
        // A head may straddle two windows.
        offset += (WINDOW - RECORD_LEN + 1) as u64;
    }
}

/// Reads until the buffer is full or the source ends.
pub(crate) fn fill(read_at: &ReadAt, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match read_at(&mut buffer[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
