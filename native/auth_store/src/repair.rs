//! Repairs a damaged directory: makes a plan, and carries it out in one commit.
//!
//! Nothing is invented: credentials come whole from some file, or there is no remedy.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use crate::codec::json;
use crate::engine::{Change, Disk, JOURNAL, Kind};
use crate::error::{Flaw, Result};
use crate::format::Format;
use crate::layout::{self, Entry};
use crate::manifest::Manifest;
use crate::survey::{Damage, Survey};

/// What to do about one file.
#[derive(Clone, Debug, PartialEq)]
pub enum Remedy {
    /// Keep the whole document at the beginning, and drop what follows it.
    Document { kept: u64, dropped: u64 },
    /// Take the credentials from another file.
    Sibling {
        name: String,
        modified_ms: i64,
        /// Other files that hold credentials, newest first.
        others: Vec<String>,
    },
    /// Remove the key.
    Remove { family: String, id: String },
    /// Write a new manifest with what is known.
    Manifest,
    /// Apply the trusted part of the journal.
    Journal {
        commits: u64,
        trusted_bytes: u64,
        bytes: u64,
    },
    /// Nothing can be done.
    None,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    pub name: String,
    pub member: String,
    pub problem: String,
    /// When the damaged file was last written; `None` if it is missing.
    pub modified_ms: Option<i64>,
    pub remedy: Remedy,
}

#[derive(Debug, Default)]
pub struct Plan {
    pub steps: Vec<Step>,
    /// Problems that are not mended here, such as files of another user.
    pub left: Vec<Damage>,
}

impl Plan {
    /// Whether the credentials are lost and nothing can bring them back.
    pub fn is_hopeless(&self) -> bool {
        self.steps.iter().any(|step| step.remedy == Remedy::None)
    }
}

/// Finds out what can be done. Writes nothing. Keeps the directory's lock meanwhile, if it has one.
pub fn plan<D: Disk>(disk: D, path: PathBuf, format: Format) -> Result<Plan> {
    Ok(Look::at(disk, path, format)?.plan)
}

/// Makes a new plan and carries it out in one commit, after copying the files that it changes to
/// the subdirectory `aside`. Does nothing if there is nothing to do, or if the credentials have no
/// remedy.
pub fn apply<D: Disk>(disk: D, path: PathBuf, format: Format, aside: &str) -> Result<Plan> {
    let look = Look::at(disk, path, format)?;
    let plan = look.plan;
    if plan.steps.is_empty() || plan.is_hopeless() {
        return Ok(plan);
    }
    let store = look.survey.store();
    let names: Vec<&str> = plan.steps.iter().map(|step| step.name.as_str()).collect();
    store.set_aside(aside, &names)?;
    let changes: Vec<Change<'_>> = look
        .changes
        .iter()
        .map(|(name, bytes)| Change {
            name,
            bytes: bytes.as_deref(),
        })
        .collect();
    store.salvage(&changes)?;
    Ok(plan)
}

struct Look<D: Disk> {
    survey: Survey<D>,
    plan: Plan,
    /// The changes of the plan, by file.
    changes: Vec<(String, Option<Vec<u8>>)>,
}

impl<D: Disk> Look<D> {
    fn at(disk: D, path: PathBuf, format: Format) -> Result<Self> {
        let (survey, journal, manifest) = Survey::salvage(disk, path, format)?;
        let mut look = Look {
            survey,
            plan: Plan::default(),
            changes: Vec::new(),
        };
        if let Some(damage) = journal {
            let remedy = Remedy::Journal {
                commits: damage.commits,
                trusted_bytes: damage.trusted_bytes,
                bytes: damage.bytes,
            };
            look.add(JOURNAL, String::new(), damage.problem, remedy);
        }
        let total = look.survey.total();
        look.survey.step(total, &mut |_, _, _| Ok(()))?;
        for damage in std::mem::take(&mut look.survey.damaged) {
            match damage.flaw {
                Flaw::Content => look.mend(damage)?,
                _ => look.plan.left.push(damage),
            }
        }
        if !look.survey.has_creds() && total > 0 {
            let (remedy, bytes) = look.sibling()?;
            let name = layout::creds_name(format);
            if bytes.is_some() {
                look.changes.push((name.clone(), bytes));
            }
            look.add(&name, String::new(), "is not there".to_owned(), remedy);
        }
        if let Some(problem) = manifest {
            look.rebuild_manifest(problem)?;
        }
        Ok(look)
    }

    fn add(&mut self, name: &str, member: String, problem: String, remedy: Remedy) {
        let modified_ms = self.survey.store().modified_ms(OsStr::new(name));
        self.plan.steps.push(Step {
            name: name.to_owned(),
            member,
            problem,
            modified_ms,
            remedy,
        });
    }

    fn mend(&mut self, damage: Damage) -> Result<()> {
        let name = damage.path.file_name().and_then(OsStr::to_str);
        let name = name.unwrap_or_default().to_owned();
        let is_creds = name == layout::creds_name(self.survey.store().format());
        let family = self.survey.family_of(&name);
        let (remedy, bytes) = match self.document(&name, &family)? {
            Some((bytes, dropped)) => {
                let kept = bytes.len() as u64;
                (Remedy::Document { kept, dropped }, Some(bytes))
            }
            None if is_creds => self.sibling()?,
            None => match self.survey.key_of(&name) {
                Some((family, id)) => (Remedy::Remove { family, id }, None),
                None => {
                    self.plan.left.push(damage);
                    return Ok(());
                }
            },
        };
        if remedy != Remedy::None {
            self.changes.push((name.clone(), bytes));
        }
        self.add(&name, damage.member, damage.problem, remedy);
        Ok(())
    }

    /// The whole document at the beginning of a damaged file, if it is valid for the family.
    fn document(&self, name: &str, family: &str) -> Result<Option<(Vec<u8>, u64)>> {
        let Some(bytes) = self.survey.store().read_file(name)? else {
            return Ok(None);
        };
        let end = match self.survey.store().format() {
            Format::Json => json::document_before_remains(&bytes),
            Format::Etf => None,
        };
        Ok(end
            .map(|end| (bytes[..end].to_vec(), (bytes.len() - end) as u64))
            .filter(|(document, _)| self.survey.is_whole(family, document)))
    }

    /// The newest other file that holds credentials, and its content.
    fn sibling(&self) -> Result<(Remedy, Option<Vec<u8>>)> {
        let store = self.survey.store();
        let format = store.format();
        let creds = layout::creds_name(format);
        let mut names: Vec<OsString> = Vec::new();
        store.entries(&mut |name, kind| {
            let text = name.to_string_lossy();
            let is_copy =
                layout::parse(&text, format) == Entry::Copy && text.starts_with(layout::CREDS);
            let is_beside = text.starts_with(&creds) && text != creds;
            if kind == Kind::File && (is_copy || is_beside || layout::is_leftover(&text)) {
                names.push(name.to_owned());
            }
        })?;
        let mut whole = Vec::new();
        for name in names {
            if let (Ok(Some(bytes)), Some(modified), Some(text)) = (
                store.read_leftover(&name),
                store.modified_ms(&name),
                name.to_str(),
            ) && self.survey.is_whole(layout::CREDS, &bytes)
            {
                whole.push((modified, text.to_owned(), bytes));
            }
        }
        whole.sort_by(|a, b| (b.0, &b.1).cmp(&(a.0, &a.1)));
        let mut whole = whole.into_iter();
        let Some((modified_ms, name, bytes)) = whole.next() else {
            return Ok((Remedy::None, None));
        };
        let others = whole.map(|(_, name, _)| name).collect();
        let remedy = Remedy::Sibling {
            name,
            modified_ms,
            others,
        };
        Ok((remedy, Some(bytes)))
    }

    fn rebuild_manifest(&mut self, problem: String) -> Result<()> {
        let format = self.survey.store().format();
        let name = format.manifest_name();
        let document = match self.survey.store().read_file(name)? {
            Some(bytes) if format == Format::Json => json::document_before_remains(&bytes)
                .map(|end| (bytes[..end].to_vec(), (bytes.len() - end) as u64))
                .filter(|(document, _)| Manifest::parse(document, format).is_ok()),
            _ => None,
        };
        let (bytes, remedy) = match document {
            Some((bytes, dropped)) => {
                let kept = bytes.len() as u64;
                (bytes, Remedy::Document { kept, dropped })
            }
            None => {
                let mut manifest = Manifest::absent();
                manifest.upgrade(format);
                manifest.sender_keys = self.survey.sender_keys;
                (manifest.render(format)?, Remedy::Manifest)
            }
        };
        self.changes.push((name.to_owned(), Some(bytes)));
        self.add(name, String::new(), problem, remedy);
        Ok(())
    }
}
