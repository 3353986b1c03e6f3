//! Converts a key of the source to a key of the target.

use std::collections::HashSet;
use std::path::Path;

use super::Summary;
use crate::codec::json::SenderKeyForm;
use crate::codec::{etf, json};
use crate::device_names;
use crate::error::Flaw;
use crate::format::Format;
use crate::layout::{self, Entry};
use crate::manifest::Manifest;
use crate::survey::{Damage, Finding};
use crate::value::Value;

pub(super) struct Writer {
    pub from: Format,
    pub to: Format,
    pub manifest: Manifest,
    pub summary: Summary,
    pub now_ms: i64,
    pub sender_keys: SenderKeyForm,
    pub old_device_names: bool,
    /// Files under an old device name whose current name is in the source as well.
    pub superseded: HashSet<String>,
}

/// A key in the format of the target, with its file name there.
pub(super) struct Written {
    pub family: String,
    /// `None` for the credentials.
    pub id: Option<String>,
    pub name: String,
    pub bytes: Vec<u8>,
}

/// Damage that only writing reveals: the target's format cannot hold the term.
pub(super) struct Unwritable {
    pub name: String,
    pub member: String,
    pub problem: String,
    pub can_be_skipped: bool,
}

impl Unwritable {
    pub fn at(self, source: &Path) -> Damage {
        Damage {
            path: source.join(self.name),
            member: self.member,
            problem: self.problem,
            flaw: Flaw::Content,
            can_be_skipped: self.can_be_skipped,
        }
    }
}

impl Writer {
    /// Converts a finding. `raw` holds the bytes that were read, which are kept if both formats are
    /// ETF.
    pub fn file(
        &mut self,
        finding: &Finding<'_>,
        identity: Option<&[u8]>,
        raw: &[u8],
    ) -> Result<Option<Written>, Unwritable> {
        match *finding {
            Finding::Creds(value) => {
                let name = layout::creds_name(self.from);
                Ok(Some(Written {
                    family: layout::CREDS.to_owned(),
                    id: None,
                    name: layout::creds_name(self.to),
                    bytes: self.encode(&name, layout::CREDS, value, identity, raw)?,
                }))
            }
            Finding::Key {
                name,
                family,
                id,
                value,
            } => {
                if self.superseded.contains(name) {
                    self.summary.superseded.push(name.to_owned());
                    return Ok(None);
                }
                let renamed = self.renamed(family, id);
                let id = renamed.as_deref().unwrap_or(id);
                let target = layout::key_name(family, id, self.to)
                    .map_err(|error| unwritable(name, String::new(), error.to_string()))?;
                let bytes = self.encode(name, family, value, identity, raw)?;
                if !layout::is_regular(family, id, &target, self.to) {
                    self.manifest.claim(&target, family, id);
                }
                if renamed.is_some() {
                    let names = (name.to_owned(), target.clone());
                    self.summary.renamed.push(names);
                }
                Ok(Some(Written {
                    family: family.to_owned(),
                    id: Some(id.to_owned()),
                    name: target,
                    bytes,
                }))
            }
            Finding::UnknownFamily { name, value } => {
                let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
                Ok(Some(Written {
                    family: String::new(),
                    id: Some(stem.to_owned()),
                    name: format!("{stem}{}", self.to.extension()),
                    bytes: self.encode(name, "", value, identity, raw)?,
                }))
            }
        }
    }

    /// The id of a device as the clients of the target look for it, if that differs.
    fn renamed(&self, family: &str, id: &str) -> Option<String> {
        match (self.from, self.to) {
            (Format::Json, Format::Etf) => device_names::current(family, id),
            (_, Format::Json) if self.old_device_names => device_names::old(family, id),
            _ => None,
        }
    }

    fn encode(
        &self,
        name: &str,
        family: &str,
        value: &Value,
        identity: Option<&[u8]>,
        raw: &[u8],
    ) -> Result<Vec<u8>, Unwritable> {
        let encoded = match (self.from, self.to) {
            (Format::Etf, Format::Etf) => Ok(raw.to_vec()),
            (Format::Json, Format::Etf) => etf::encode(value),
            (_, Format::Json) => json::encode(
                family,
                value,
                &json::EncodeContext {
                    local_identity: identity,
                    now_ms: self.now_ms,
                    sender_keys: self.sender_keys,
                    ..Default::default()
                },
            ),
        };
        encoded.map_err(|problem| Unwritable {
            can_be_skipped: family != layout::CREDS,
            ..unwritable(
                name,
                problem.member,
                format!(
                    "can be read, but has no form in the target: {}",
                    problem.problem
                ),
            )
        })
    }
}

/// Files under an old device name for which a current client has written a file under the current
/// name since.
pub(super) fn superseded(names: &[String]) -> HashSet<String> {
    let all: HashSet<&str> = names.iter().map(String::as_str).collect();
    let has_twin = |name: &&String| {
        let Entry::Key { family, id } = layout::parse(name, Format::Json) else {
            return false;
        };
        device_names::current(&family, &id)
            .and_then(|id| layout::key_name(&family, &id, Format::Json).ok())
            .is_some_and(|twin| all.contains(twin.as_str()))
    };
    names.iter().filter(has_twin).cloned().collect()
}

fn unwritable(name: &str, member: String, problem: String) -> Unwritable {
    Unwritable {
        name: name.to_owned(),
        member,
        problem,
        can_be_skipped: true,
    }
}
