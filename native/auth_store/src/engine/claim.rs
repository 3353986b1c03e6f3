//! The claim record: a durable file that says who owns a directory, replaced as atomically as any
//! commit.
//!
//! The newest claim wins. A process with a claim checks before each write, under the lock, that its
//! claim still stands. The file is text, so that an operator can read it.

use std::path::Path;

use super::disk::{Disk, SyncPoint};
use super::failure::{At, Outcome};
use super::files::read_file;
use super::names::OWNER;
use super::temp::Temp;
use crate::error::Result;

/// What this process knows of its own claim.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum ClaimState {
    /// It has no claim, and writes without a check.
    #[default]
    None,
    /// It holds the claim with this id.
    Held(String),
    /// It held a claim that somebody else has replaced.
    Lost,
}

/// The holder of a claim.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Owner {
    /// Unique to this claim.
    pub id: String,
    /// One more than the counter of the previous claim.
    pub counter: u64,
    pub node: String,
    pub os_process: String,
    pub host: String,
    /// Milliseconds since 1970.
    pub since_ms: i64,
}

/// The content of the claim record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Claim {
    pub counter: u64,
    /// `None` after a release.
    pub owner: Option<Owner>,
}

const FIRST_LINE: &str = "baileys_ex owner 1";

/// A record that cannot be read is nobody's claim: its holder has lost it.
pub(crate) fn read<D: Disk>(disk: &D, directory: &Path) -> Result<Claim> {
    let bytes = read_file(disk, &directory.join(OWNER))?;
    Ok(bytes
        .and_then(|bytes| decode(&String::from_utf8_lossy(&bytes)))
        .unwrap_or_default())
}

/// Replaces the record durably. The caller holds the lock.
pub(crate) fn write<D: Disk>(disk: &D, directory: &Path, claim: &Claim) -> Outcome<()> {
    let path = directory.join(OWNER);
    let text = encode(claim);
    let temp = Temp::write_synced(disk, directory, text.as_bytes(), SyncPoint::ClaimFile)?;
    temp.rename(&path).at(&path)?;
    Ok(disk
        .sync_directory(directory, SyncPoint::ClaimName)
        .at(directory)?)
}

fn encode(claim: &Claim) -> String {
    let nobody = Owner::default();
    let owner = claim.owner.as_ref().unwrap_or(&nobody);
    let line = |name: &str, value: &str| {
        let value: String = value.chars().filter(|c| !c.is_control()).collect();
        format!("{name}: {value}\n")
    };
    let mut text = format!("{FIRST_LINE}\n");
    text.push_str(&line("counter", &claim.counter.to_string()));
    text.push_str(&line("id", &owner.id));
    text.push_str(&line("node", &owner.node));
    text.push_str(&line("process", &owner.os_process));
    text.push_str(&line("host", &owner.host));
    text.push_str(&line("since_ms", &owner.since_ms.to_string()));
    let checksum = crc32c::crc32c(text.as_bytes());
    text + &line("checksum", &format!("{checksum:08x}"))
}

fn decode(text: &str) -> Option<Claim> {
    let (body, checksum) = text.trim_end_matches('\n').rsplit_once('\n')?;
    let body = format!("{body}\n");
    let expected = format!("checksum: {:08x}", crc32c::crc32c(body.as_bytes()));
    let mut lines = body.lines();
    if checksum != expected || lines.next() != Some(FIRST_LINE) {
        return None;
    }
    let mut next = |name: &str| {
        let (found, value) = lines.next()?.split_once(": ")?;
        (found == name).then(|| value.to_owned())
    };
    let counter = next("counter")?.parse().ok()?;
    let owner = Owner {
        counter,
        id: next("id")?,
        node: next("node")?,
        os_process: next("process")?,
        host: next("host")?,
        since_ms: next("since_ms")?.parse().ok()?,
    };
    Some(Claim {
        counter,
        owner: (!owner.id.is_empty()).then_some(owner),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner() -> Owner {
        Owner {
            id: "0f".repeat(16),
            counter: 3,
            node: "a@b".to_owned(),
            os_process: "17".to_owned(),
            host: "web-2".to_owned(),
            since_ms: 1_796_000_000_000,
        }
    }

    #[test]
    fn what_is_written_is_read() {
        for owner in [Some(owner()), None] {
            let claim = Claim { counter: 3, owner };
            assert_eq!(decode(&encode(&claim)), Some(claim));
        }
    }

    #[test]
    fn a_name_with_line_breaks_forges_nothing() {
        let mut forged = owner();
        forged.node = "a\nprocess: 99".to_owned();
        let claim = Claim {
            counter: 3,
            owner: Some(forged),
        };
        let read = decode(&encode(&claim)).unwrap().owner.unwrap();
        assert_eq!(read.os_process, "17");
    }

    #[test]
    fn damage_is_no_claim() {
        let text = encode(&Claim {
            counter: 3,
            owner: Some(owner()),
        });
        for at in 0..text.len() - 1 {
            assert_eq!(decode(&text[..at]), None, "cut at {at}");
        }
        assert_eq!(decode(&text.replace("web-2", "web-3")), None);
        assert_eq!(decode(""), None);
    }
}
