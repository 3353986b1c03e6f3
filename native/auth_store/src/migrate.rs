//! Moves a whole account, in steps: from a directory to one of the other format ([`Migration`]),
//! from a directory to another store ([`Outgoing`]), or from another store to a directory
//! ([`Incoming`]).
//!
//! Everything is written under unfinished names and published in one step. The source is never
//! changed.

use std::path::{Path, PathBuf};

use thiserror::Error as ThisError;

use crate::codec::json::SenderKeyForm;
use crate::engine::Disk;
use crate::error::Error;
use crate::format::Format;
use crate::store::Store;
use crate::survey::{Damage, Purpose, Survey, Tally};

mod checks;
mod imported;
mod incoming;
mod outgoing;
mod target;
mod writer;

pub use imported::{Imported, exported, imported};
pub use incoming::{Incoming, Row, RowDamage};
pub use outgoing::{Outgoing, OutgoingRow};

use target::Target;
use writer::superseded;

#[derive(Debug, ThisError)]
pub enum MigrationError {
    /// Opening or reading the source failed.
    #[error("source: {0}")]
    Source(Error),

    /// Writing the target failed.
    #[error("target: {0}")]
    Target(Error),

    #[error("{}: not a directory of the source backend", .0.display())]
    NotAnAuthDirectory(PathBuf),

    /// The source has keys but not the credentials that they belong to. A fresh identity would take
    /// their place.
    #[error("{}: holds keys and no credentials", .0.display())]
    NoCredentials(PathBuf),

    /// Somebody has written these files of the source while it was read.
    #[error("{}: {} files changed meanwhile", path.display(), names.len())]
    SourceChanged { path: PathBuf, names: Vec<String> },

    /// The target holds files of the target's format.
    #[error("{}: already holds auth state", .0.display())]
    TargetHoldsAuthState(PathBuf),

    #[error("{}: not empty", .0.display())]
    TargetNotEmpty(PathBuf),

    #[error("{}: cannot be the target: {source}", path.display())]
    InvalidTarget {
        path: PathBuf,
        source: std::io::Error,
    },

    /// One directory contains the other, or both are the same.
    #[error("{}: overlaps the source", .0.display())]
    Overlap(PathBuf),

    /// All files that cannot be read.
    #[error("{} files cannot be read", .0.len())]
    Damaged(Vec<Damage>),

    /// All rows that cannot be read.
    #[error("{} rows cannot be read", .0.len())]
    DamagedRows(Vec<RowDamage>),
}

type Result<T> = std::result::Result<T, MigrationError>;

#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Replace a target that is not empty.
    pub overwrite: bool,
    /// Leave out keys that cannot be read. Credentials are never left out.
    pub skip_corrupt: bool,
    /// Carry keys over even if there are no credentials.
    pub without_credentials: bool,
    /// Publish what was read even if the source has changed since.
    pub ignore_changes: bool,
    /// Also carry over files of unknown families.
    pub include_unknown: bool,
    /// The form of sender keys in a JSON target; `None` keeps the form that they came in.
    pub sender_keys: Option<SenderKeyForm>,
    /// Name the files of devices in a JSON target as Baileys before 6.4 does.
    pub old_device_names: bool,
}

/// What a migration carried over.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    pub tally: Tally,
    pub bytes_read: u64,
    pub bytes_written: u64,
    pub skipped: Vec<Damage>,
    /// Files from which list elements that held nothing were left out, with the number of elements.
    pub dropped: Vec<(String, u64)>,
    /// The form of sender keys in the JSON directory, which may be the source or the target; `None`
    /// if there is none.
    pub sender_keys: Option<SenderKeyForm>,
    /// Files of devices that have another name in the target: the old and the new name.
    pub renamed: Vec<(String, String)>,
    /// Files under the old name of a device that also has a file under its current name. They are
    /// left out.
    pub superseded: Vec<String>,
    /// Files with the extension of a key and an unknown family. They stay where they are.
    pub unknown: Vec<String>,
    /// Files of the source that changed after they were read.
    pub changed: Vec<String>,
    pub ignored: Vec<String>,
}

pub struct Migration<D: Disk> {
    survey: Survey<D>,
    target: Target<D>,
    damaged: Vec<Damage>,
    options: Options,
}

impl<D: Disk + Clone> Migration<D> {
    /// Checks source and target and creates the staging directory. Holds the locks of both
    /// directories until the migration is published or dropped.
    pub fn begin(
        disk: D,
        source: PathBuf,
        target: &Path,
        from: Format,
        options: Options,
        now_ms: i64,
    ) -> Result<Self> {
        let to = from.other();
        checks::check_source(&disk, &source)?;
        checks::check_overlap(&disk, &source, target)?;
        checks::check_target(&disk, target, to, options)?;
        let survey = open_source(disk.clone(), source, from, Purpose::Carry, options)?;
        let carried = survey.manifest().sender_keys;
        let mut target = Target::begin(disk, target, (from, to), options, carried, now_ms)?;
        if from == Format::Json {
            target.writer.superseded = superseded(survey.names());
        }
        Ok(Migration {
            survey,
            target,
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

    /// Carries up to `files` more files over.
    pub fn step(&mut self, files: usize) -> Result<()> {
        let Migration {
            survey,
            target,
            damaged,
            ..
        } = self;
        let source = survey.store().path().to_owned();
        survey
            .step(files, &mut |finding, identity, raw| {
                if let Err(damage) = target.put(finding, identity, raw)? {
                    damaged.push(damage.at(&source));
                }
                Ok(())
            })
            .map_err(MigrationError::Target)
    }

    /// Makes everything durable and publishes it as the target in one step.
    pub fn publish(mut self) -> Result<Summary> {
        let left = left_out(&mut self.survey, self.damaged, self.options)?;
        let summary = self.target.publish(self.survey.sender_keys)?;
        Ok(of_source(summary, self.survey, left))
    }
}

/// Lists a source and keeps its lock.
fn open_source<D: Disk + Clone>(
    disk: D,
    source: PathBuf,
    from: Format,
    purpose: Purpose,
    options: Options,
) -> Result<Survey<D>> {
    let store = Store::new(disk.clone(), source.clone(), from);
    let belongs_to_other = store
        .finish_publication()
        .and_then(|()| store.belongs_to_other());
    if belongs_to_other.map_err(MigrationError::Source)? {
        return Err(MigrationError::NotAnAuthDirectory(source));
    }
    let mut survey =
        Survey::begin(disk, source.clone(), from, purpose).map_err(MigrationError::Source)?;
    if survey.total() == 0 {
        return Err(MigrationError::NotAnAuthDirectory(source));
    }
    if !survey.has_creds() && !options.without_credentials {
        return Err(MigrationError::NoCredentials(source));
    }
    if options.include_unknown {
        survey.include_unknown();
    }
    Ok(survey)
}

/// What the target lacks of the source, or has in an older version.
struct LeftOut {
    skipped: Vec<Damage>,
    changed: Vec<String>,
}

/// Refuses to leave out more of the source than the options allow.
fn left_out<D: Disk>(
    survey: &mut Survey<D>,
    unwritable: Vec<Damage>,
    options: Options,
) -> Result<LeftOut> {
    let mut damaged = std::mem::take(&mut survey.damaged);
    damaged.extend(unwritable);
    damaged.sort_by(|a, b| a.path.cmp(&b.path));
    let may_skip = options.skip_corrupt && damaged.iter().all(|damage| damage.can_be_skipped);
    if !damaged.is_empty() && !may_skip {
        return Err(MigrationError::Damaged(damaged));
    }
    let source = survey.store();
    if !source.undisturbed().map_err(MigrationError::Source)? {
        return Err(MigrationError::Source(Error::Busy {
            path: source.path().to_owned(),
            holder: None,
        }));
    }
    let changed = survey.changed().map_err(MigrationError::Source)?;
    if !changed.is_empty() && !options.ignore_changes {
        return Err(MigrationError::SourceChanged {
            path: source.path().to_owned(),
            names: changed,
        });
    }
    Ok(LeftOut {
        skipped: damaged,
        changed,
    })
}

fn of_source<D: Disk>(mut summary: Summary, survey: Survey<D>, left: LeftOut) -> Summary {
    let bytes_read = survey.bytes();
    let mut superseded = survey.superseded;
    superseded.append(&mut summary.superseded);
    Summary {
        bytes_read,
        dropped: survey.dropped,
        unknown: survey.unknown,
        ignored: survey.ignored,
        skipped: left.skipped,
        changed: left.changed,
        superseded,
        ..summary
    }
}
