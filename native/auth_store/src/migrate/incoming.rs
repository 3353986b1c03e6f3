//! Moves keys in external term format from another store to a directory, in steps.

use std::collections::HashSet;
use std::path::Path;

use super::target::Target;
use super::{MigrationError, Options, Result, Summary, checks};
use crate::codec::Problem;
use crate::codec::json::SenderKeyForm;
use crate::engine::Disk;
use crate::error::Error;
use crate::format::Format;
use crate::layout;
use crate::survey::{Finding, Purpose, decode_native, identity_of};

pub struct Incoming<D: Disk> {
    target: Target<D>,
    to: Format,
    identity: Option<Vec<u8>>,
    names: HashSet<String>,
    skip_corrupt: bool,
    damaged: Vec<RowDamage>,
    bytes_read: u64,
}

/// One key in external term format; see [`OutgoingRow`](super::OutgoingRow).
pub struct Row<'a> {
    pub family: &'a str,
    pub id: Option<&'a str>,
    pub bytes: &'a [u8],
}

/// A row that cannot be read, or has no place in a directory.
#[derive(Clone, Debug, PartialEq)]
pub struct RowDamage {
    pub family: String,
    pub id: Option<String>,
    pub member: String,
    pub problem: String,
}

impl<D: Disk + Clone> Incoming<D> {
    /// Creates the staging directory, and holds the target's lock until this is published or
    /// dropped. `carried` is the form of sender keys in the JSON that the store's keys came from.
    pub fn begin(
        disk: D,
        target: &Path,
        to: Format,
        options: Options,
        carried: Option<SenderKeyForm>,
        now_ms: i64,
    ) -> Result<Self> {
        checks::check_target(&disk, target, to, options)?;
        Ok(Incoming {
            target: Target::begin(disk, target, (Format::Etf, to), options, carried, now_ms)?,
            to,
            identity: None,
            names: HashSet::new(),
            skip_corrupt: options.skip_corrupt,
            damaged: Vec::new(),
            bytes_read: 0,
        })
    }

    /// Writes a row. The credentials must come first, because sessions need the identity in them.
    pub fn put(&mut self, row: &Row<'_>) -> std::result::Result<(), Error> {
        self.bytes_read += row.bytes.len() as u64;
        if let Err(problem) = self.write(row)? {
            self.damaged.push(RowDamage {
                family: row.family.to_owned(),
                id: row.id.map(str::to_owned),
                member: problem.member,
                problem: problem.problem,
            });
        }
        Ok(())
    }

    fn write(
        &mut self,
        row: &Row<'_>,
    ) -> std::result::Result<std::result::Result<(), Problem>, Error> {
        let purpose = match self.to {
            Format::Json => Purpose::Carry,
            Format::Etf => Purpose::Verify,
        };
        let value = match decode_native(row.family, row.bytes, purpose) {
            Ok(value) => value,
            Err(problem) => return Ok(Err(problem)),
        };
        if row.id.is_none() {
            self.identity = identity_of(&value);
        } else if !self.names.insert(file_name(row, self.to)) {
            return Ok(Err(Problem {
                member: String::new(),
                problem: "another id has the same file name in a directory".to_owned(),
            }));
        }
        let label = label(row);
        let finding = match (row.family, row.id) {
            (_, None) => Finding::Creds(&value),
            ("", Some(_)) => Finding::UnknownFamily {
                name: &label,
                value: &value,
            },
            (family, Some(id)) => Finding::Key {
                name: &label,
                family,
                id,
                value: &value,
            },
        };
        let put = self
            .target
            .put(&finding, self.identity.as_deref(), row.bytes)?;
        Ok(put.map_err(|unwritable| Problem {
            member: unwritable.member,
            problem: unwritable.problem,
        }))
    }

    /// Makes everything durable and publishes it as the target in one step. Returns the rows that
    /// were left out, too.
    pub fn publish(self) -> Result<(Summary, Vec<RowDamage>)> {
        let may_skip = self.skip_corrupt && self.damaged.iter().all(|row| row.id.is_some());
        if !self.damaged.is_empty() && !may_skip {
            return Err(MigrationError::DamagedRows(self.damaged));
        }
        let summary = Summary {
            bytes_read: self.bytes_read,
            ..self.target.publish(None)?
        };
        Ok((summary, self.damaged))
    }
}

/// The file name, which no two rows may share. An id that cannot have one is refused when it is
/// written.
fn file_name(row: &Row<'_>, to: Format) -> String {
    let id = row.id.unwrap_or_default();
    match row.family {
        "" => format!("{id}{}", to.extension()),
        family => layout::key_name(family, id, to).unwrap_or_else(|_| format!("{family}\0{id}")),
    }
}

/// The name of the key in a summary.
fn label(row: &Row<'_>) -> String {
    match (row.family, row.id) {
        ("", Some(id)) => format!("{id}{}", Format::Etf.extension()),
        (family, Some(id)) => format!("{family}-{id}"),
        (family, None) => family.to_owned(),
    }
}
