//! Encodes and decodes a journal: its header and its records. `DESIGN.md` beside this file shows the
//! layouts.
//!
//! All numbers are little-endian. Nothing here touches a disk.

use super::limits::MAX_FILE;
use super::names;

pub(crate) const HEADER_LEN: usize = 36;
pub(crate) const RECORD_LEN: usize = 48;

/// Whether the files of a directory are complete without the journal, which decides who may read
/// them.
///
/// The numbers are the versions in the header. An older library that knows only the first version
/// takes the files for complete once it has opened the directory, so it must refuse the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    /// The files are complete without the journal once it has been recovered. Plain commits write
    /// it, and an explicit checkpoint leaves an empty one.
    Follows = 1,
    /// The files may lag behind the journal.
    Leads = 2,
}

impl Version {
    fn of(number: u32) -> Option<Self> {
        [Version::Follows, Version::Leads]
            .into_iter()
            .find(|version| *version as u32 == number)
    }
}

const HEADER_MAGIC: [u8; 8] = *b"\x89BXJRNL\n";
pub(crate) const RECORD_MAGIC: [u8; 4] = *b"BXRC";

const PUT: u8 = 1;
const DELETE: u8 = 2;

/// One change of a commit. `None` deletes the file.
#[derive(Debug, Clone, Copy)]
pub struct Change<'a> {
    pub name: &'a str,
    pub bytes: Option<&'a [u8]>,
}

/// Distinguishes a journal from every other one, even from one whose blocks on the disk it reuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Epoch {
    pub salt: u64,
    /// One more than the counter of the previous journal.
    pub counter: u64,
}

/// The last link in the chain of checksums.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Link {
    pub sequence: u64,
    pub checksum: u32,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum HeaderProblem {
    Damaged,
    Newer(u32),
}

pub(crate) fn encode_header(version: Version, epoch: Epoch) -> ([u8; HEADER_LEN], Link) {
    let mut bytes = [0; HEADER_LEN];
    bytes[0..8].copy_from_slice(&HEADER_MAGIC);
    bytes[8..12].copy_from_slice(&(version as u32).to_le_bytes());
    // Bytes 12 to 15 stay zero.
    bytes[16..24].copy_from_slice(&epoch.salt.to_le_bytes());
    bytes[24..32].copy_from_slice(&epoch.counter.to_le_bytes());
    let checksum = crc32c::crc32c(&bytes[..32]);
    bytes[32..36].copy_from_slice(&checksum.to_le_bytes());
    (
        bytes,
        Link {
            sequence: 0,
            checksum,
        },
    )
}

pub(crate) fn decode_header(bytes: &[u8]) -> Result<(Version, Epoch, Link), HeaderProblem> {
    let mut fields = Fields(bytes);
    let header = (|| {
        let magic = fields.take(8)?;
        Some((magic == HEADER_MAGIC, fields.u32()?))
    })();
    // The version precedes everything that a later one may lay out differently.
    let version = match header {
        Some((true, number)) if number > Version::Leads as u32 => {
            return Err(HeaderProblem::Newer(number));
        }
        Some((true, number)) => Version::of(number).ok_or(HeaderProblem::Damaged)?,
        _ => return Err(HeaderProblem::Damaged),
    };
    let rest = (|| {
        fields.u32()?;
        let epoch = Epoch {
            salt: fields.u64()?,
            counter: fields.u64()?,
        };
        Some((epoch, fields.u32()?))
    })();
    match rest {
        Some((epoch, checksum)) if checksum == crc32c::crc32c(&bytes[..32]) => Ok((
            version,
            epoch,
            Link {
                sequence: 0,
                checksum,
            },
        )),
        _ => Err(HeaderProblem::Damaged),
    }
}

/// The head of a record whose own checksum is correct.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RecordHead {
    pub length: u32,
    pub count: u32,
    pub body_checksum: u32,
    pub epoch: Epoch,
    pub previous: u32,
    pub link: Link,
}

/// Encodes all changes of a commit as one record, and returns the link that it adds to the chain.
/// `None` if the changes do not fit into a record.
pub(crate) fn encode_record(
    epoch: Epoch,
    previous: Link,
    changes: &[Change],
) -> Option<(Vec<u8>, Link)> {
    let body_len: usize = changes
        .iter()
        .map(|change| 7 + change.name.len() + change.bytes.map_or(0, <[u8]>::len))
        .sum();
    let length = u32::try_from(body_len).ok()?;
    let count = u32::try_from(changes.len()).ok()?;

    let mut record = Vec::with_capacity(RECORD_LEN + body_len);
    record.resize(RECORD_LEN, 0);
    for change in changes {
        let name_len = u16::try_from(change.name.len()).ok()?;
        record.push(if change.bytes.is_some() { PUT } else { DELETE });
        record.extend_from_slice(&name_len.to_le_bytes());
        let bytes = change.bytes.unwrap_or_default();
        record.extend_from_slice(&u32::try_from(bytes.len()).ok()?.to_le_bytes());
        record.extend_from_slice(change.name.as_bytes());
        record.extend_from_slice(bytes);
    }

    let sequence = previous.sequence + 1;
    let body_checksum = crc32c::crc32c(&record[RECORD_LEN..]);
    record[0..4].copy_from_slice(&RECORD_MAGIC);
    record[4..8].copy_from_slice(&length.to_le_bytes());
    record[8..12].copy_from_slice(&count.to_le_bytes());
    record[12..16].copy_from_slice(&body_checksum.to_le_bytes());
    record[16..24].copy_from_slice(&epoch.salt.to_le_bytes());
    record[24..32].copy_from_slice(&epoch.counter.to_le_bytes());
    record[32..40].copy_from_slice(&sequence.to_le_bytes());
    record[40..44].copy_from_slice(&previous.checksum.to_le_bytes());
    let checksum = crc32c::crc32c(&record[..44]);
    record[44..48].copy_from_slice(&checksum.to_le_bytes());
    Some((record, Link { sequence, checksum }))
}

pub(crate) fn decode_record_head(bytes: &[u8]) -> Option<RecordHead> {
    let mut fields = Fields(bytes);
    if fields.take(4)? != RECORD_MAGIC {
        return None;
    }
    let length = fields.u32()?;
    let count = fields.u32()?;
    let body_checksum = fields.u32()?;
    let epoch = Epoch {
        salt: fields.u64()?,
        counter: fields.u64()?,
    };
    let sequence = fields.u64()?;
    let previous = fields.u32()?;
    let checksum = fields.u32()?;
    (checksum == crc32c::crc32c(&bytes[..44])).then_some(RecordHead {
        length,
        count,
        body_checksum,
        epoch,
        previous,
        link: Link { sequence, checksum },
    })
}

/// Decodes the changes of a record's body, in order; `None` if this library could not have written
/// them. `each` only gets names that a key's file may have.
pub(crate) fn decode_body<'a>(
    body: &'a [u8],
    count: u32,
    mut each: impl FnMut(Change<'a>),
) -> Option<()> {
    let mut fields = Fields(body);
    for _ in 0..count {
        let kind = fields.take(1)?[0];
        let name_len = usize::from(fields.u16()?);
        let bytes_len = usize::try_from(fields.u32()?).ok()?;
        let name = std::str::from_utf8(fields.take(name_len)?).ok()?;
        let bytes = fields.take(bytes_len)?;
        if names::problem(name).is_some() || bytes.len() as u64 > MAX_FILE {
            return None;
        }
        match kind {
            PUT => each(Change {
                name,
                bytes: Some(bytes),
            }),
            DELETE if bytes.is_empty() => each(Change { name, bytes: None }),
            _ => return None,
        }
    }
    fields.0.is_empty().then_some(())
}

/// Takes fixed-width fields off the front of a slice.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EPOCH: Epoch = Epoch {
        salt: 7,
        counter: 1,
    };

    fn body(change: Change) -> Vec<u8> {
        let (_, link) = encode_header(Version::Leads, EPOCH);
        let (record, _) = encode_record(EPOCH, link, &[change]).unwrap();
        record[RECORD_LEN..].to_vec()
    }

    #[test]
    fn a_header_with_one_bit_changed_is_damaged_or_of_a_later_version() {
        let (bytes, link) = encode_header(Version::Leads, EPOCH);
        assert_eq!(decode_header(&bytes), Ok((Version::Leads, EPOCH, link)));
        for at in 0..HEADER_LEN {
            let mut damaged = bytes;
            damaged[at] ^= 1 << (at % 8);
            let problem = decode_header(&damaged).unwrap_err();
            if !(8..12).contains(&at) {
                assert_eq!(problem, HeaderProblem::Damaged, "{at}");
            }
        }
    }

    #[test]
    fn a_content_is_as_long_as_a_file_may_be_and_no_longer() {
        let mut content = vec![0; MAX_FILE as usize];
        for fits in [true, false] {
            let body = body(Change {
                name: "a",
                bytes: Some(&content),
            });
            assert_eq!(decode_body(&body, 1, |_| {}).is_some(), fits);
            content.push(0);
        }
    }

    #[test]
    fn a_deletion_has_no_content() {
        let mut put = body(Change {
            name: "a",
            bytes: Some(b"1"),
        });
        assert!(decode_body(&put, 1, |_| {}).is_some());
        put[0] = DELETE;
        assert!(decode_body(&put, 1, |_| panic!("given")).is_none());
    }
}
