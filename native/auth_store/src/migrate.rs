//! Moves a whole directory from one format to the other, in steps.
//!
//! Everything is written under unfinished names, and published at once.
//! The source is never changed.

use std::collections::HashSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use thiserror::Error as ThisError;

use crate::codec::json::SenderKeyForm;
use crate::codec::{etf, json};
use crate::device_names;
use crate::engine::{Disk, Kind, Staging, is_bookkeeping, sweep_staging};
use crate::error::{Error, Flaw};
use crate::layout::{self, Entry, Format};
use crate::manifest::Manifest;
use crate::store::Store;
use crate::survey::{Damage, Finding, Survey, Tally};
use crate::value::Value;

#[derive(Debug, ThisError)]
pub enum MigrationError {
    /// The source: what opening or reading it gave.
    #[error("source: {0}")]
    Source(Error),

    /// The target: what writing it gave.
    #[error("target: {0}")]
    Target(Error),

    #[error("{}: not a directory of the source backend", .0.display())]
    NotAnAuthDirectory(PathBuf),

    /// Keys without the credentials that they belong to: a fresh identity would come up for them.
    #[error("{}: holds keys and no credentials", .0.display())]
    NoCredentials(PathBuf),

    /// Files of the source that somebody has written while it was read.
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

    /// One directory holds the other, or both are the same.
    #[error("{}: overlaps the source", .0.display())]
    Overlap(PathBuf),

    /// Files that cannot be read, all of them.
    #[error("{} files cannot be read", .0.len())]
    Damaged(Vec<Damage>),
}

type Result<T> = std::result::Result<T, MigrationError>;

#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Replace a target that is not empty.
    pub overwrite: bool,
    /// Leave keys out that cannot be read. Credentials are never left out.
    pub skip_corrupt: bool,
    /// Carry keys over where there are no credentials.
    pub without_credentials: bool,
    /// Publish what was read although the source has changed since.
    pub ignore_changes: bool,
    /// Carry files of unknown families over, too.
    pub include_unknown: bool,
    /// The form of sender keys in a JSON target; `None` takes that which the source came from.
    pub sender_keys: Option<SenderKeyForm>,
    /// Names the files of devices in a JSON target as Baileys before 6.4 does.
    pub old_device_names: bool,
}

/// What a migration carried over.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    pub tally: Tally,
    pub bytes_read: u64,
    pub bytes_written: u64,
    pub skipped: Vec<Damage>,
    /// Files of which elements that held nothing were left out, and how many.
    pub dropped: Vec<(String, u64)>,
    /// The form of sender keys in the JSON directory, source or target; `None` where it has none.
    pub sender_keys: Option<SenderKeyForm>,
    /// Files whose device has another name in the target: theirs, and the target's.
    pub renamed: Vec<(String, String)>,
    /// Files under an old name of a device that has one under the current name, too: left out.
    pub superseded: Vec<String>,
    /// Files with a key's extension and of no known family: left where they are.
    pub unknown: Vec<String>,
    /// Files of the source that changed after they were read.
    pub changed: Vec<String>,
    pub ignored: Vec<String>,
}

pub struct Migration<D: Disk> {
    survey: Survey<D>,
    staging: Staging<D>,
    writer: Writer,
    options: Options,
}

/// What the files of the source become.
struct Writer {
    from: Format,
    to: Format,
    manifest: Manifest,
    summary: Summary,
    damaged: Vec<Damage>,
    now_ms: i64,
    sender_keys: SenderKeyForm,
    old_device_names: bool,
    /// Old names of the source whose current name is there as well.
    superseded: HashSet<String>,
}

impl<D: Disk + Clone> Migration<D> {
    /// Checks source and target and makes the staging directory. The caller holds both locks until
    /// the migration is published or dropped.
    pub fn begin(
        disk: D,
        source: PathBuf,
        target: &Path,
        from: Format,
        options: Options,
        now_ms: i64,
    ) -> Result<Self> {
        let to = from.other();
        check_source(&disk, &source)?;
        check_overlap(&disk, &source, target)?;
        check_target(&disk, target, to, options)?;
        let store = Store::new(disk.clone(), source.clone(), from);
        let belongs_to_other = store
            .finish_publication()
            .and_then(|()| store.belongs_to_other());
        if belongs_to_other.map_err(MigrationError::Source)? {
            return Err(MigrationError::NotAnAuthDirectory(source));
        }
        let mut survey =
            Survey::begin(disk.clone(), source.clone(), from).map_err(MigrationError::Source)?;
        if survey.total() == 0 {
            return Err(MigrationError::NotAnAuthDirectory(source));
        }
        if !survey.has_creds() && !options.without_credentials {
            return Err(MigrationError::NoCredentials(source));
        }
        if options.include_unknown {
            survey.include_unknown();
        }
        sweep_staging(&disk, target).map_err(MigrationError::Target)?;
        let staging = Staging::create(disk, target).map_err(MigrationError::Target)?;
        let mut manifest = Manifest::absent();
        manifest.upgrade(to);
        let carried = options.sender_keys.or(survey.manifest().sender_keys);
        manifest.sender_keys = carried;
        let superseded = if from == Format::Json {
            superseded(survey.names())
        } else {
            HashSet::new()
        };
        Ok(Migration {
            survey,
            staging,
            writer: Writer {
                from,
                to,
                manifest,
                summary: Summary::default(),
                damaged: Vec::new(),
                now_ms,
                sender_keys: carried.unwrap_or_default(),
                old_device_names: options.old_device_names,
                superseded,
            },
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
            staging,
            writer,
            ..
        } = self;
        let source = survey.store().path().to_owned();
        survey
            .step(files, &mut |finding, identity| {
                match writer.file(finding, identity) {
                    Ok(None) => (),
                    Ok(Some((name, bytes))) => {
                        staging.write(&name, &bytes)?;
                        writer.summary.tally.add(finding);
                        writer.summary.bytes_written += bytes.len() as u64;
                    }
                    Err(damage) => writer.damaged.push(damage.at(&source)),
                }
                Ok(())
            })
            .map_err(MigrationError::Target)
    }

    /// Makes everything durable and puts it in the target's place, all at once.
    pub fn publish(mut self) -> Result<Summary> {
        let mut damaged = std::mem::take(&mut self.survey.damaged);
        damaged.append(&mut self.writer.damaged);
        damaged.sort_by(|a, b| a.path.cmp(&b.path));
        let may_skip = self.options.skip_corrupt && damaged.iter().all(|d| d.can_be_skipped);
        if !damaged.is_empty() && !may_skip {
            self.staging.abort();
            return Err(MigrationError::Damaged(damaged));
        }
        let source = self.survey.store();
        if !source.undisturbed().map_err(MigrationError::Source)? {
            return Err(MigrationError::Source(Error::Busy {
                path: source.path().to_owned(),
                holder: None,
            }));
        }
        let changed = self.survey.changed().map_err(MigrationError::Source)?;
        if !changed.is_empty() && !self.options.ignore_changes {
            return Err(MigrationError::SourceChanged {
                path: self.survey.store().path().to_owned(),
                names: changed,
            });
        }
        let format = self.writer.to;
        let has_sender_keys = self.writer.summary.tally.keys.contains_key("sender-key");
        let sender_keys = match format {
            Format::Etf => self.survey.sender_keys.or(self.writer.manifest.sender_keys),
            Format::Json if has_sender_keys => Some(self.writer.sender_keys),
            Format::Json => self.writer.manifest.sender_keys,
        };
        self.writer.manifest.sender_keys = sender_keys;
        let manifest = self.writer.manifest.render(format);
        manifest
            .and_then(|bytes| self.staging.write(format.manifest_name(), &bytes))
            .and_then(|()| self.staging.publish(self.options.overwrite))
            .map_err(MigrationError::Target)?;
        let mut superseded = std::mem::take(&mut self.survey.superseded);
        superseded.append(&mut self.writer.summary.superseded);
        Ok(Summary {
            superseded,
            changed,
            unknown: std::mem::take(&mut self.survey.unknown),
            bytes_read: self.survey.bytes(),
            skipped: damaged,
            dropped: std::mem::take(&mut self.survey.dropped),
            sender_keys,
            ignored: std::mem::take(&mut self.survey.ignored),
            ..self.writer.summary
        })
    }
}

/// Damage that is found when writing: the term has no form in the target.
struct Unwritable {
    name: String,
    member: String,
    problem: String,
    can_be_skipped: bool,
}

impl Unwritable {
    fn at(self, source: &Path) -> Damage {
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
    fn file(
        &mut self,
        finding: &Finding<'_>,
        identity: Option<&[u8]>,
    ) -> std::result::Result<Option<(String, Vec<u8>)>, Unwritable> {
        match *finding {
            Finding::Creds(value) => {
                let name = layout::creds_name(self.from);
                let bytes = self.encode(&name, layout::CREDS, value, identity)?;
                Ok(Some((layout::creds_name(self.to), bytes)))
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
                let renamed = match self.to {
                    Format::Etf => device_names::current(family, id),
                    Format::Json if self.old_device_names => device_names::old(family, id),
                    Format::Json => None,
                };
                let id = renamed.as_deref().unwrap_or(id);
                let target = layout::key_name(family, id, self.to)
                    .map_err(|error| unwritable(name, String::new(), error.to_string()))?;
                let bytes = self.encode(name, family, value, identity)?;
                if !layout::is_regular(family, id, &target, self.to) {
                    self.manifest.claim(&target, family, id);
                }
                if renamed.is_some() {
                    let names = (name.to_owned(), target.clone());
                    self.summary.renamed.push(names);
                }
                Ok(Some((target, bytes)))
            }
            Finding::UnknownFamily { name, value } => {
                let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
                let bytes = self.encode(name, "", value, identity)?;
                Ok(Some((format!("{stem}{}", self.to.extension()), bytes)))
            }
        }
    }

    fn encode(
        &self,
        name: &str,
        family: &str,
        value: &Value,
        identity: Option<&[u8]>,
    ) -> std::result::Result<Vec<u8>, Unwritable> {
        let encoded = match self.to {
            Format::Etf => etf::encode(value),
            Format::Json => json::encode(
                family,
                value,
                &json::EncodeContext {
                    local_identity: identity,
                    now_ms: self.now_ms,
                    sender_keys: self.sender_keys,
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

/// Old names of devices of which a current client has written the current one since.
fn superseded(names: &[String]) -> HashSet<String> {
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

fn check_source<D: Disk>(disk: &D, source: &Path) -> Result<()> {
    match disk.metadata(&source.join(".")) {
        Ok(_) => Ok(()),
        Err(error) => Err(MigrationError::Source(Error::io(source, error))),
    }
}

fn check_target<D: Disk>(disk: &D, target: &Path, to: Format, options: Options) -> Result<()> {
    let invalid = |source| MigrationError::InvalidTarget {
        path: target.to_owned(),
        source,
    };
    // By way of a link, too; one that leads nowhere is no place to make anything in.
    match disk.metadata(&target.join(".")) {
        Ok(_) => (),
        Err(error) if error.kind() == ErrorKind::NotFound && disk.metadata(target).is_err() => {
            return Ok(());
        }
        Err(error) => return Err(invalid(error)),
    }
    let mut is_empty = true;
    let mut holds_auth_state = false;
    disk.entries(target, &mut |name, kind| {
        let name = name.to_string_lossy();
        let is_of_file_system = kind == Kind::Directory && name == "lost+found";
        if is_bookkeeping(&name) || is_of_file_system {
            return;
        }
        is_empty = false;
        holds_auth_state |= name == to.manifest_name() || name.ends_with(to.extension());
    })
    .map_err(invalid)?;
    if is_empty || options.overwrite {
        Ok(())
    } else if holds_auth_state {
        Err(MigrationError::TargetHoldsAuthState(target.to_owned()))
    } else {
        Err(MigrationError::TargetNotEmpty(target.to_owned()))
    }
}

/// Replacing a target that holds the source would delete it, and a target inside the source would
/// change it.
fn check_overlap<D: Disk>(disk: &D, source: &Path, target: &Path) -> Result<()> {
    let error = |error| MigrationError::Source(Error::io(source, error));
    let above_source = physical_ancestors(disk, source).map_err(error)?;
    let Some(existing) = target
        .ancestors()
        .find(|path| disk.metadata(&path.join(".")).is_ok())
    else {
        return Ok(());
    };
    let above_target = physical_ancestors(disk, existing).map_err(error)?;
    let target_is_above = existing == target && above_source.contains(&above_target[0]);
    if target_is_above || above_target.contains(&above_source[0]) {
        return Err(MigrationError::Overlap(target.to_owned()));
    }
    Ok(())
}

/// A directory and those that hold it, by identity: paths may lead through links.
fn physical_ancestors<D: Disk>(disk: &D, path: &Path) -> std::io::Result<Vec<(u64, u64)>> {
    let mut path = path.join(".");
    let mut found: Vec<(u64, u64)> = Vec::new();
    loop {
        let metadata = disk.metadata(&path)?;
        let identity = (metadata.device, metadata.inode);
        // The root is its own parent.
        if found.last() == Some(&identity) {
            return Ok(found);
        }
        found.push(identity);
        path.push("..");
    }
}
