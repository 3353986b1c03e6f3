//! Reads every file of a directory, in steps, and reports what each file is or what is wrong with
//! it.
//!
//! Verification is a survey; migration is a survey that writes what it reads.

use std::collections::{BTreeMap, HashSet};
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;

use crate::codec::{Problem, etf, json};
use crate::engine::{Disk, JournalDamage, Stamp};
use crate::error::{Error, Flaw, Result};
use crate::format::Format;
use crate::layout::{self, Entry};
use crate::manifest::{self, Manifest};
use crate::store::Store;
use crate::value::Value;

mod growth;
mod names;

pub use growth::{Growth, last_use};
use names::names_of;

/// What one file of the directory turned out to be.
pub enum Finding<'a> {
    Creds(&'a Value),
    Key {
        name: &'a str,
        family: &'a str,
        id: &'a str,
        value: &'a Value,
    },
    /// A file with the extension of a key and an unknown family, known by its name only.
    UnknownFamily {
        name: &'a str,
        value: &'a Value,
    },
}

/// Receives a finding, the account's identity once it is known, and the bytes of the file.
pub type Sink<'a> = dyn FnMut(&Finding<'_>, Option<&[u8]>, &[u8]) -> Result<()> + 'a;

/// The number of findings of each kind.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tally {
    pub has_creds: bool,
    /// Keys by family. Keys of an unknown family count under the empty name.
    pub keys: BTreeMap<String, u64>,
}

impl Tally {
    pub fn add(&mut self, finding: &Finding<'_>) {
        let family = match *finding {
            Finding::Creds(_) => {
                self.has_creds = true;
                return;
            }
            Finding::Key { family, .. } => family,
            Finding::UnknownFamily { .. } => "",
        };
        match self.keys.get_mut(family) {
            Some(count) => *count += 1,
            None => {
                self.keys.insert(family.to_owned(), 1);
            }
        }
    }
}

/// A file that could not be read.
#[derive(Clone, Debug, PartialEq)]
pub struct Damage {
    pub path: PathBuf,
    pub member: String,
    pub problem: String,
    pub flaw: Flaw,
    /// Whether a migration may leave the key out. It may not leave out credentials, or a file that
    /// the disk failed to deliver.
    pub can_be_skipped: bool,
}

/// What the values are needed for.
#[derive(Clone, Copy)]
pub enum Purpose {
    /// To check that they could be loaded.
    Verify,
    /// To write them in another format, which requires all of their content.
    Carry,
}

pub struct Survey<D: Disk> {
    store: Store<D>,
    purpose: Purpose,
    manifest: Arc<Manifest>,
    names: Vec<String>,
    /// The files that were read, each with the version that was read.
    seen: Vec<(String, Option<Stamp>)>,
    next: usize,
    bytes: u64,
    local_identity: Option<Vec<u8>>,
    pub damaged: Vec<Damage>,
    /// Files from which list elements that held nothing were left out, with the number of elements.
    pub dropped: Vec<(String, u64)>,
    /// The form of the sender keys, if their files show it. A single Buffer decides.
    pub sender_keys: Option<json::SenderKeyForm>,
    /// The number of JSON files in each dialect, of those that show their dialect.
    pub dialects: BTreeMap<json::Dialect, u64>,
    /// How the directory grows; recorded for [`Purpose::Verify`] only.
    pub growth: Growth,
    /// Files under an old name whose key also exists under its current name. They are not read.
    pub superseded: Vec<String>,
    /// Files with the extension of a key but no known family. They belong to somebody else and are
    /// not read.
    pub unknown: Vec<String>,
    /// Files that are no keys: hidden, temporary, copies, or with another extension.
    pub ignored: Vec<String>,
}

impl<D: Disk> Survey<D> {
    /// Lists a directory that is to be carried over, and keeps its lock until the survey ends.
    pub fn begin(disk: D, path: PathBuf, format: Format, purpose: Purpose) -> Result<Self> {
        let store = Store::new(disk, path, format);
        store.hold()?;
        store.open()?;
        Self::list(store, purpose)
    }

    /// Includes files of unknown families.
    pub fn include_unknown(&mut self) {
        self.names.append(&mut self.unknown);
    }

    /// Lists a directory that is to be verified. Writes nothing and needs no lock: see
    /// [`Store::peek`].
    pub fn peek(disk: D, path: PathBuf, format: Format) -> Result<Self> {
        let store = Store::new(disk, path, format);
        store.peek()?;
        store.check_there()?;
        Self::list(store, Purpose::Verify)
    }

    /// Lists a directory that is to be repaired, and reports what is wrong with its journal and its
    /// manifest. Keeps the directory's lock, if it has one.
    pub fn salvage(
        disk: D,
        path: PathBuf,
        format: Format,
    ) -> Result<(Self, Option<JournalDamage>, Option<String>)> {
        let store = Store::new(disk, path, format);
        store.hold()?;
        let journal = store.peek_trusting()?;
        store.check_there()?;
        let (manifest, problem) = match store.look_at_manifest() {
            Ok(manifest) => (manifest, None),
            Err(error) => {
                let problem = manifest::mendable_problem(error)?;
                (Arc::new(Manifest::absent()), Some(problem))
            }
        };
        let survey = Self::of(store, Purpose::Verify, manifest)?;
        Ok((survey, journal, problem))
    }

    fn list(store: Store<D>, purpose: Purpose) -> Result<Self> {
        let manifest = store.look_at_manifest()?;
        Self::of(store, purpose, manifest)
    }

    fn of(store: Store<D>, purpose: Purpose, manifest: Arc<Manifest>) -> Result<Self> {
        let names = names_of(&store, &manifest)?;
        Ok(Survey {
            manifest,
            store,
            purpose,
            names: names.keys,
            seen: Vec::new(),
            next: 0,
            bytes: 0,
            local_identity: None,
            damaged: Vec::new(),
            dropped: Vec::new(),
            sender_keys: None,
            dialects: BTreeMap::new(),
            growth: Growth::default(),
            superseded: names.superseded,
            unknown: names.unknown,
            ignored: names.ignored,
        })
    }

    pub fn store(&self) -> &Store<D> {
        &self.store
    }

    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    pub fn names(&self) -> &[String] {
        &self.names
    }

    pub fn done(&self) -> usize {
        self.next
    }

    pub fn total(&self) -> usize {
        self.names.len()
    }

    /// The bytes read so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The account's identity, known once the credentials have been read.
    pub fn local_identity(&self) -> Option<&[u8]> {
        self.local_identity.as_deref()
    }

    /// Whether the directory has a credentials file.
    pub fn has_creds(&self) -> bool {
        let creds = layout::creds_name(self.store.format());
        self.names.contains(&creds) || self.seen.iter().any(|(name, _)| *name == creds)
    }

    /// Files that have changed since they were read: written, removed or added.
    pub fn changed(&self) -> Result<Vec<String>> {
        let now = names_of(&self.store, &self.manifest)?;
        let seen: HashSet<&str> = self.seen.iter().map(|(name, _)| name.as_str()).collect();
        let mut changed: Vec<String> = now.keys;
        changed.retain(|name| !seen.contains(name.as_str()));
        for (name, before) in &self.seen {
            let same = match (before, self.store.stamp(name)?) {
                (Some(before), Some(now)) => before.may_be(&now),
                (before, now) => before.is_none() && now.is_none(),
            };
            if !same {
                changed.push(name.clone());
            }
        }
        changed.sort_unstable();
        Ok(changed)
    }

    /// Reads up to `files` more files and passes each to `sink`. Damage is collected, not returned.
    pub fn step(&mut self, files: usize, sink: &mut Sink<'_>) -> Result<()> {
        let end = self.names.len().min(self.next.saturating_add(files));
        while self.next < end {
            let name = std::mem::take(&mut self.names[self.next]);
            self.next += 1;
            let mut version = None;
            match self.read(&name, &mut version) {
                Ok(Some((value, bytes))) => {
                    self.note_growth(&name, version.as_ref(), Some(&value));
                    self.give(&name, &value, &bytes, sink)?;
                }
                // The file was deleted after it was listed, or holds `null`: there is no key.
                Ok(None) => (),
                Err(damage) => {
                    // For a file that could not be read at all, its current version is recorded. If
                    // that stays, the file has not changed.
                    version = version.or(self.store.stamp(&name)?);
                    self.note_growth(&name, version.as_ref(), None);
                    self.damaged.push(damage);
                }
            }
            self.seen.push((name, version));
        }
        Ok(())
    }

    /// Reads one file. `version` is set as soon as the bytes were read, even if they cannot be
    /// decoded.
    fn read(
        &mut self,
        name: &str,
        version: &mut Option<Stamp>,
    ) -> Result<Option<(Value, Vec<u8>)>, Damage> {
        let is_creds = matches!(layout::parse(name, self.store.format()), Entry::Creds);
        let damage = |member: String, problem: String, flaw: Flaw, can_be_skipped: bool| Damage {
            path: self.store.path().join(name),
            member,
            problem,
            flaw,
            can_be_skipped: can_be_skipped && !is_creds,
        };
        let bytes = match self.store.read_version(name) {
            Ok(Some((bytes, stamp))) => {
                *version = Some(stamp);
                bytes
            }
            Ok(None) => return Ok(None),
            Err(Error::Corrupt {
                member,
                problem,
                flaw,
                ..
            }) => return Err(damage(member, problem, flaw, true)),
            Err(Error::Io { source, .. }) if source.kind() == ErrorKind::PermissionDenied => {
                let problem = self.store.who_may_read(name);
                return Err(damage(String::new(), problem, Flaw::Access, false));
            }
            Err(error) => {
                return Err(damage(
                    String::new(),
                    error.to_string(),
                    Flaw::Content,
                    false,
                ));
            }
        };
        if !is_creds && self.store.format() == Format::Json && json::is_null(&bytes) {
            return Ok(None);
        }
        let json::Told {
            value,
            dialect,
            dropped,
        } = self
            .decode(name, &bytes)
            .map_err(|problem| damage(problem.member, problem.problem, Flaw::Content, true))?;
        if let Some(dialect) = dialect {
            *self.dialects.entry(dialect).or_default() += 1;
        }
        if self.store.format() == Format::Json && self.family_of(name) == "sender-key" {
            self.note_form(&bytes);
        }
        if dropped > 0 {
            self.dropped.push((name.to_owned(), dropped));
        }
        self.bytes += bytes.len() as u64;
        if is_creds {
            self.local_identity = identity_of(&value);
        }
        Ok(Some((value, bytes)))
    }

    fn note_growth(&mut self, name: &str, version: Option<&Stamp>, value: Option<&Value>) {
        if matches!(self.purpose, Purpose::Verify)
            && let Some((family, id)) = self.key_of(name)
        {
            let written = version.and_then(Stamp::written);
            self.growth.note(&family, &id, written, value);
        }
    }

    fn note_form(&mut self, bytes: &[u8]) {
        let buffers = self
            .sender_keys
            .is_some_and(|form| form == json::SenderKeyForm::Buffer);
        if let Some(form) = json::SenderKeyForm::of(bytes)
            && !buffers
        {
            self.sender_keys = Some(form);
        }
    }

    fn decode(&self, name: &str, bytes: &[u8]) -> Result<json::Told, Problem> {
        let family = self.family_of(name);
        match self.store.format() {
            Format::Json => {
                let context = json::DecodeContext {
                    local_identity: self.local_identity(),
                };
                json::decode_telling(&family, bytes, &context)
            }
            Format::Etf => decode_native(&family, bytes, self.purpose).map(|value| json::Told {
                value,
                dialect: None,
                dropped: 0,
            }),
        }
    }

    /// Whether the bytes are a valid file of the family.
    pub fn is_whole(&self, family: &str, bytes: &[u8]) -> bool {
        match self.store.format() {
            Format::Json => {
                let context = json::DecodeContext {
                    local_identity: self.local_identity(),
                };
                json::decode(family, bytes, &context).is_ok()
            }
            Format::Etf => decode_native(family, bytes, self.purpose).is_ok(),
        }
    }

    /// The key that a file holds.
    pub fn key_of(&self, name: &str) -> Option<(String, String)> {
        match self.manifest.owner(name) {
            Some((family, id)) => Some((family.to_owned(), id.to_owned())),
            None => layout::parse(name, self.store.format()).into_key(),
        }
    }

    pub fn family_of(&self, name: &str) -> String {
        match layout::parse(name, self.store.format()) {
            Entry::Creds => layout::CREDS.to_owned(),
            entry => entry.into_key().map_or(String::new(), |(family, _)| family),
        }
    }

    fn give(&self, name: &str, value: &Value, bytes: &[u8], sink: &mut Sink<'_>) -> Result<()> {
        if let Some((family, id)) = self.manifest.owner(name) {
            let finding = Finding::Key {
                name,
                family,
                id,
                value,
            };
            return sink(&finding, self.local_identity(), bytes);
        }
        let finding = match layout::parse(name, self.store.format()) {
            Entry::Creds => return sink(&Finding::Creds(value), self.local_identity(), bytes),
            entry => entry.into_key(),
        };
        match &finding {
            Some((family, id)) => {
                let finding = Finding::Key {
                    name,
                    family,
                    id,
                    value,
                };
                sink(&finding, self.local_identity(), bytes)
            }
            None => sink(
                &Finding::UnknownFamily { name, value },
                self.local_identity(),
                bytes,
            ),
        }
    }
}

/// Decodes a term of the native format. It may be any term, but in a known family it must have the
/// members of the schema, and may have more.
pub fn decode_native(family: &str, bytes: &[u8], purpose: Purpose) -> Result<Value, Problem> {
    let value = match purpose {
        Purpose::Verify => etf::outline(bytes)?,
        Purpose::Carry => etf::decode(bytes)?,
    };
    let value = if family == layout::CREDS {
        as_state(value)
    } else {
        value
    };
    json::check_known(family, &value)?;
    Ok(value)
}

/// The account's public identity key, from its credentials.
pub fn identity_of(creds: &Value) -> Option<Vec<u8>> {
    match creds.get("signed_identity_key")?.get("public")? {
        Value::Binary(public) if public.len() == 32 => Some([&[5], public.as_slice()].concat()),
        Value::Binary(public) => Some(public.clone()),
        _ => None,
    }
}

/// Makes a state of a plain map of its fields, which baileys_ex accepts in its place.
fn as_state(creds: Value) -> Value {
    match creds {
        Value::Map(mut pairs)
            if !pairs
                .iter()
                .any(|(key, _)| *key == Value::atom("__struct__")) =>
        {
            pairs.push((Value::atom("__struct__"), Value::atom(json::STATE_MODULE)));
            Value::Map(pairs)
        }
        other => other,
    }
}
