//! Reads a journal from its first record to its end, and distinguishes a torn tail from corruption.

use std::io;

use super::files::{ReadAt, fill};
use super::record::{
    Change, Epoch, HEADER_LEN, HeaderProblem, Link, RECORD_LEN, RECORD_MAGIC, RecordHead, Version,
    decode_body, decode_header, decode_record_head,
};

/// Longer than the body of any record that a commit or a recovery writes.
pub(crate) const MAX_BODY: u32 = 512 << 20;

/// The result of scanning a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Scan {
    pub version: Version,
    pub epoch: Epoch,
    /// The link of the last valid record, or of the header.
    pub link: Link,
    /// The offset of the next record.
    pub end: u64,
    /// Whether bytes that never became a record follow `end`.
    pub torn: bool,
}

#[derive(Debug)]
pub(crate) enum ScanError {
    Io(io::Error),
    /// Committed records are damaged. Dropping them would lose acknowledged commits.
    Corrupt(&'static str),
    Newer(u32),
}

impl From<io::Error> for ScanError {
    fn from(error: io::Error) -> Self {
        ScanError::Io(error)
    }
}

/// Scans a journal of `size` bytes and passes every change of every valid record to `each`.
///
/// The first record that does not continue the chain is the torn tail of the last append, unless a
/// record of a later append follows. Appends are synced one after the other, so in that case the
/// broken record was once whole on disk.
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

/// Reads the valid records from `scan.end` on, as far as they lie before `size`.
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
        // Mutants: no record is as long as the limit, see `Journal::encode`.
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

/// Looks at everything behind the last valid record. `false` if there is nothing but zeros.
///
/// A head of this epoch whose sequence is later than the next one proves that a later append was
/// made. Its body is not checked: the search stays linear, and a broken body would prove the same.
/// Old journal bytes inside the body of a record cannot be mistaken for one: they belong to another
/// epoch, or to this one with an earlier sequence than the record that holds them.
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
        // A head may straddle two windows. Mutants: a shorter step only takes longer.
        offset += (WINDOW - RECORD_LEN) as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::{encode_header, encode_record};
    use super::*;

    const EPOCH: Epoch = Epoch {
        salt: 7,
        counter: 1,
    };

    /// A journal with one record for each of the given lengths of content.
    fn journal(lengths: &[usize]) -> (Vec<u8>, Vec<usize>) {
        let (header, mut link) = encode_header(Version::Leads, EPOCH);
        let mut bytes = header.to_vec();
        let mut starts = Vec::new();
        for length in lengths {
            let content = vec![0; *length];
            let change = Change {
                name: "a",
                bytes: Some(&content),
            };
            starts.push(bytes.len());
            let (record, next) = encode_record(EPOCH, link, &[change]).unwrap();
            bytes.extend_from_slice(&record);
            link = next;
        }
        (bytes, starts)
    }

    fn reader(bytes: &[u8]) -> impl Fn(&mut [u8], u64) -> io::Result<usize> {
        move |buffer, offset| {
            let rest = bytes.get(offset as usize..).unwrap_or_default();
            let read = rest.len().min(buffer.len());
            buffer[..read].copy_from_slice(&rest[..read]);
            Ok(read)
        }
    }

    fn scanned(bytes: &[u8]) -> Result<Scan, ScanError> {
        scan(bytes.len() as u64, &reader(bytes), &mut |_| {})
    }

    #[test]
    fn zeros_behind_the_last_record_are_room_and_anything_else_is_a_torn_append() {
        let (mut bytes, _) = journal(&[10, 20]);
        let end = bytes.len();
        for room in [0, 1, 100, 200_000] {
            bytes.resize(end + room, 0);
            let scan = scanned(&bytes).unwrap();
            assert_eq!((scan.end, scan.torn), (end as u64, false), "{room}");
        }
        for at in [end, end + 100, end + 199_999] {
            bytes[at] = 1;
            let scan = scanned(&bytes).unwrap();
            assert_eq!((scan.end, scan.torn), (end as u64, true), "{at}");
            bytes[at] = 0;
        }
    }

    /// The distances include those where a head lies across two windows of the search.
    #[test]
    fn a_damaged_record_before_a_later_one_is_corruption() {
        let window = 64 << 10;
        let head_and_name = RECORD_LEN + 8;
        for distance in [100, window, 3 * window]
            .into_iter()
            .chain(window - 100..window + 10)
        {
            let (mut bytes, starts) = journal(&[10, distance - head_and_name, 10]);
            assert_eq!(starts[2] - starts[1], distance);
            assert_eq!(scanned(&bytes).unwrap().link.sequence, 3);
            bytes[starts[1] + RECORD_LEN + 20] ^= 1;
            assert!(
                matches!(scanned(&bytes), Err(ScanError::Corrupt(_))),
                "{distance}"
            );
        }
    }

    #[test]
    fn a_record_of_which_a_part_is_not_there_is_none() {
        let (bytes, starts) = journal(&[10, 100]);
        // The content is zeros, as is the part of the buffer that was never read.
        let cut = &bytes[..bytes.len() - 50];
        let size = bytes.len() as u64;
        let scan = scan(size, &reader(cut), &mut |_| {}).unwrap();
        assert_eq!(scan.end, starts[1] as u64);
    }

    #[test]
    fn a_record_longer_than_any_is_corruption() {
        let (mut bytes, starts) = journal(&[10]);
        let head = &mut bytes[starts[0]..starts[0] + RECORD_LEN];
        head[4..8].copy_from_slice(&(MAX_BODY + 1).to_le_bytes());
        let checksum = crc32c::crc32c(&head[..44]);
        head[44..48].copy_from_slice(&checksum.to_le_bytes());
        let scanned = scan(1 << 40, &reader(&bytes), &mut |_| {});
        assert!(matches!(scanned, Err(ScanError::Corrupt(_))));
    }
}
