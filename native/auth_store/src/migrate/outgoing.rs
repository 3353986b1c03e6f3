//! Moves keys in external term format from a directory to another store, in steps.

use std::collections::HashSet;
use std::path::PathBuf;

use super::writer::{Writer, superseded};
use super::{MigrationError, Options, Result, Summary, checks, left_out, of_source, open_source};
use crate::codec::json::SenderKeyForm;
use crate::engine::Disk;
use crate::format::Format;
use crate::manifest::Manifest;
use crate::survey::{Damage, Purpose, Survey};

pub struct Outgoing<D: Disk> {
    survey: Survey<D>,
    writer: Writer,
    damaged: Vec<Damage>,
    options: Options,
}

/// One key in external term format. The credentials have the family `creds` and no id. A file of an
/// unknown family has an empty family, and its name without the extension as its id.
pub struct OutgoingRow {
    pub family: String,
    pub id: Option<String>,
    pub bytes: Vec<u8>,
}

impl<D: Disk + Clone> Outgoing<D> {
    /// Lists the source, and holds its lock until this is finished or dropped.
    pub fn begin(disk: D, source: PathBuf, from: Format, options: Options) -> Result<Self> {
        checks::check_source(&disk, &source)?;
        let purpose = match from {
            Format::Json => Purpose::Carry,
            // The bytes are passed on unchanged.
            Format::Etf => Purpose::Verify,
        };
        let survey = open_source(disk, source, from, purpose, options)?;
        let superseded = match from {
            Format::Json => superseded(survey.names()),
            Format::Etf => HashSet::new(),
        };
        Ok(Outgoing {
            writer: Writer {
                from,
                to: Format::Etf,
                manifest: Manifest::absent(),
                summary: Summary::default(),
                now_ms: 0,
                sender_keys: survey.manifest().sender_keys.unwrap_or_default(),
                old_device_names: false,
                superseded,
            },
            survey,
            damaged: Vec::new(),
            options,
        })
    }

    pub fn done(&self) -> usize {
        self.survey.done()
    }

    pub fn total(&self) -> usize {
        self.survey.total()
    }

    /// The form of the sender keys in the JSON that they come from; `None` if nothing shows it.
    pub fn sender_keys(&self) -> Result<Option<SenderKeyForm>> {
        match self.writer.from {
            Format::Etf => Ok(self.survey.manifest().sender_keys),
            Format::Json => {
                let form = self.survey.store().form_of_directory();
                form.map_err(MigrationError::Source)
            }
        }
    }

    /// Returns up to `files` more keys, the credentials first.
    pub fn step(&mut self, files: usize) -> Result<Vec<OutgoingRow>> {
        let Outgoing {
            survey,
            writer,
            damaged,
            ..
        } = self;
        let source = survey.store().path().to_owned();
        let mut rows = Vec::new();
        survey
            .step(files, &mut |finding, identity, raw| {
                match writer.file(finding, identity, raw) {
                    Ok(None) => (),
                    Ok(Some(written)) => {
                        writer.summary.tally.add(finding);
                        writer.summary.bytes_written += written.bytes.len() as u64;
                        rows.push(OutgoingRow {
                            family: written.family,
                            id: written.id,
                            bytes: written.bytes,
                        });
                    }
                    Err(damage) => damaged.push(damage.at(&source)),
                }
                Ok(())
            })
            .map_err(MigrationError::Source)?;
        Ok(rows)
    }

    /// Ends the migration with a summary. Fails if a file could not be read or has changed
    /// meanwhile, unless the options allow it.
    pub fn finish(mut self) -> Result<Summary> {
        let left = left_out(&mut self.survey, self.damaged, self.options)?;
        let found = self.survey.sender_keys;
        let summary = Summary {
            sender_keys: found.or(self.survey.manifest().sender_keys),
            ..self.writer.summary
        };
        Ok(of_source(summary, self.survey, left))
    }
}
