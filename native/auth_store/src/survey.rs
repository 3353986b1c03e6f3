//! Reads every file of a directory, in steps, and tells what each is or what is wrong with it.
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
    /// A file with a key's extension and an unknown family: kept under its name.
    UnknownFamily {
        name: &'a str,
        value: &'a Value,
    },
}

/// Takes what was found, with the account's identity once that is known, and the bytes of the file.
pub type Sink<'a> = dyn FnMut(&Finding<'_>, Option<&[u8]>, &[u8]) -> Result<()> + 'a;

/// What was found, counted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tally {
    pub has_creds: bool,
    /// Keys by family; those of an unknown family are under the empty name.
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
    /// Whether the key can be left out: credentials cannot, nor what the disk failed to give.
    pub can_be_skipped: bool,
}

/// What the values are for.
#[derive(Clone, Copy)]
pub enum Purpose {
    /// To tell whether they could be loaded.
    Verify,
    /// To be written in the other form, whole.
    Carry,
}

pub struct Survey<D: Disk> {
    store: Store<D>,
    purpose: Purpose,
    manifest: Arc<Manifest>,
    names: Vec<String>,
    /// What was read, and which version of it.
    seen: Vec<(String, Option<Stamp>)>,
    next: usize,
    bytes: u64,
    local_identity: Option<Vec<u8>>,
    pub damaged: Vec<Damage>,
    /// Files of which elements that held nothing were left out, and how many.
    pub dropped: Vec<(String, u64)>,
    /// The form of the sender keys, where their files tell: Buffers if there is one.
    pub sender_keys: Option<json::SenderKeyForm>,
    /// How many JSON files are in which dialect, of those that tell.
    pub dialects: BTreeMap<json::Dialect, u64>,
    /// How the directory grows; noted for [`Purpose::Verify`] alone.
    pub growth: Growth,
    /// Files under an old name whose key is there under its current one as well: not read.
    pub superseded: Vec<String>,
    /// Files with a key's extension and no family that is known: somebody else's, not read.
    pub unknown: Vec<String>,
    /// Files that are no keys: hidden, temporary, copies, of another extension.
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

    /// Has files of unknown families read as well.
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

    /// Lists a directory that is to be repaired, with what is wrong with its journal and its manifest. It
    /// keeps the directory's lock, where there is one.
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

    /// Bytes read so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The account's identity, known once the credentials have been read.
    pub fn local_identity(&self) -> Option<&[u8]> {
        self.local_identity.as_deref()
    }

    /// Whether the directory has a file for credentials.
    pub fn has_creds(&self) -> bool {
        let creds = layout::creds_name(self.store.format());
        self.names.contains(&creds) || self.seen.iter().any(|(name, _)| *name == creds)
    }

    /// Files that are not as they were when they were read: written since, gone or added.
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

    /// Reads up to `files` more files and gives each to `sink`. Damage is collected, not returned.
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
                // Listed, and deleted since: the caller broke the lock, nothing is lost by us.
                Ok(None) => (),
                Err(damage) => {
                    // What could not even be read is as it was if it still is what it is now.
                    version = version.or(self.store.stamp(&name)?);
                    self.note_growth(&name, version.as_ref(), None);
                    self.damaged.push(damage);
                }
            }
            self.seen.push((name, version));
        }
        Ok(())
    }

    /// Says which version of the file was read, also where it cannot be understood.
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

    /// Whether bytes are what a file of the family holds.
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

/// Erlang's form holds any term; of a known family it holds what its schema says, and maybe more.
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

/// The account's public identity key, of its credentials.
pub fn identity_of(creds: &Value) -> Option<Vec<u8>> {
    match creds.get("signed_identity_key")?.get("public")? {
        Value::Binary(public) if public.len() == 32 => Some([&[5], public.as_slice()].concat()),
        Value::Binary(public) => Some(public.clone()),
        _ => None,
    }
}

/// As a state: baileys_ex takes a map of its fields for one.
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
