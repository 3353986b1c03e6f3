//! One auth directory: keys by family and id, on top of the engine's names and bytes.
//!
//! The store decides which file holds a key, maintains the manifest of irregular ids, and never
//! lets two ids share a file. It knows the content of no file except the manifest.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::codec::json;
use crate::engine::{
    By, Change, CopyError, Directory, Disk, Happened, JournalDamage, JournalState, Kind, Owner,
    Stamp,
};
use crate::error::{Error, Result};
use crate::format::Format;
use crate::layout::{self, Entry};
use crate::manifest::Manifest;

mod backend;
mod plan;
mod sender_keys;

use plan::Plan;
use sender_keys::Witness;

/// A key of the directory, or its credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key<'a> {
    Creds,
    Of { family: &'a str, id: &'a str },
}

/// New bytes for a key, or `None` to delete it.
pub struct KeyChange<'a> {
    pub key: Key<'a>,
    pub bytes: Option<&'a [u8]>,
}

pub struct Store<D: Disk> {
    directory: Directory<D>,
    format: Format,
    manifest: Mutex<Option<Known>>,
    /// The identity in the credentials file that had this stamp.
    identity: Mutex<Option<(Stamp, Arc<[u8]>)>>,
    /// The file that showed the form of the directory's sender keys.
    sender_keys: Mutex<Option<Witness>>,
    /// Set once the manifest has shown that this library may use the directory.
    is_ours: AtomicBool,
}

/// The manifest in the file that had this stamp.
#[derive(Clone)]
struct Known {
    stamp: Option<Stamp>,
    manifest: Arc<Manifest>,
}

impl<D: Disk> Store<D> {
    /// Does no I/O.
    pub fn new(disk: D, path: PathBuf, format: Format) -> Self {
        Store {
            directory: Directory::new(disk, path, format.policy()),
            format,
            manifest: Mutex::new(None),
            identity: Mutex::new(None),
            sender_keys: Mutex::new(None),
            is_ours: AtomicBool::new(false),
        }
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    pub fn format(&self) -> Format {
        self.format
    }

    pub fn is_open(&self) -> bool {
        self.directory.is_open() && self.is_ours.load(Ordering::Acquire)
    }

    /// Forgets everything about the directory; see [`Directory::distrust`].
    pub fn distrust(&self) {
        self.is_ours.store(false, Ordering::Release);
        self.forget_manifest();
        self.forget_sender_keys();
        self.directory.distrust();
    }

    /// Keeps the directory's lock until this is dropped; see [`Directory::hold`].
    pub fn hold(&self) -> Result<()> {
        self.directory.hold()
    }

    /// Whether nobody can have changed the directory since [`hold`](Self::hold); see
    /// [`Directory::undisturbed`].
    pub fn undisturbed(&self) -> Result<bool> {
        self.directory.undisturbed()
    }

    /// Claims the directory; see [`Directory::claim`].
    pub fn claim(&self, owner: Owner) -> Result<()> {
        self.open()?;
        self.directory.claim(owner)
    }

    /// Gives a claim back; see [`Directory::release`].
    pub fn release(&self, id: &str) -> Result<()> {
        self.directory.release(id)
    }

    pub fn owner(&self) -> Result<Option<Owner>> {
        self.directory.owner()
    }

    pub fn check_owned(&self) -> Result<()> {
        self.directory.check_owned()
    }

    pub fn identity_of_lock(&self) -> Result<Option<(u64, u64)>> {
        self.directory.identity_of_lock()
    }

    /// How many times others have changed keys; see [`Directory::changes`].
    pub fn changes(&self) -> Result<u64> {
        self.directory.changes()
    }

    /// Recovers what an interrupted commit left. Takes the directory's lock, if it has one.
    pub fn open(&self) -> Result<()> {
        self.check_owner()?;
        self.directory.open()?;
        self.check_manifest()
    }

    /// Serves reads without writing anything and without a lock; see [`Directory::peek`].
    pub fn peek(&self) -> Result<()> {
        self.directory.peek()?;
        self.check_manifest()
    }

    /// As [`peek`](Self::peek), but also works with a damaged journal; see
    /// [`Directory::peek_trusting`].
    pub fn peek_trusting(&self) -> Result<Option<JournalDamage>> {
        self.directory.peek_trusting()
    }

    /// Changes files by their names; see [`Directory::salvage`].
    pub fn salvage(&self, changes: &[Change]) -> Result<()> {
        self.directory.salvage(changes)
    }

    /// Copies files; see [`Directory::set_aside`].
    pub fn set_aside(&self, into: &str, names: &[&str]) -> Result<()> {
        self.directory.set_aside(into, names)
    }

    /// The content of any file; see [`Directory::read_leftover`].
    pub fn read_leftover(&self, name: &OsStr) -> Result<Option<Vec<u8>>> {
        self.directory.read_leftover(name)
    }

    pub fn modified_ms(&self, name: &OsStr) -> Option<i64> {
        self.directory.modified_ms(name)
    }

    /// Recovers even after a failed write. Takes the directory's lock.
    pub fn recover(&self) -> Result<()> {
        self.check_owner()?;
        self.forget_manifest();
        self.forget_sender_keys();
        self.directory.recover()?;
        self.directory.forget_claim();
        self.check_manifest()
    }

    /// Writes the files and empties the journal. Takes the directory's lock.
    pub fn checkpoint(&self) -> Result<()> {
        self.check_owner()?;
        self.directory.checkpoint()
    }

    /// Writes the files if they lag behind the journal; see [`Directory::tidy`].
    pub fn tidy(&self) -> Result<()> {
        self.directory.tidy()
    }

    /// The size and the age of what is not in the files yet; see [`Directory::idle`].
    pub fn idle(&self) -> Option<(u64, Duration)> {
        self.directory.idle()
    }

    pub fn snapshot(&self, target: &Path) -> Result<(), CopyError> {
        self.open_there()?;
        self.directory.snapshot(target, false)
    }

    /// Gives `target` the content of this directory; see [`Directory::restore`].
    pub fn restore(&self, target: &Path, aside: &Path) -> Result<bool, CopyError> {
        self.open_there()?;
        self.directory.restore(target, aside)
    }

    /// Whether both directories hold the same; see [`Directory::holds_same`].
    pub fn holds_same(&self, other: &Self) -> Result<bool> {
        self.peek()?;
        other.peek()?;
        self.directory.holds_same(&other.directory)
    }

    /// Opens a directory that is to be copied.
    fn open_there(&self) -> Result<(), CopyError> {
        self.open()
            .and_then(|()| self.check_there())
            .map_err(CopyError::Source)
    }

    /// Checkpoints and recoveries since the last call; see [`Directory::take_happened`].
    pub fn take_happened(&self) -> Happened {
        self.directory.take_happened()
    }

    pub fn journal_state(&self) -> Result<JournalState> {
        self.directory.journal_state()
    }

    /// The bytes of a key. Takes no lock, since files are only ever replaced as a whole.
    pub fn load(&self, key: Key<'_>) -> Result<Vec<u8>> {
        if let Some(bytes) = self.bytes_of(key)?
            && !self.is_deleted(key, &bytes)
        {
            return Ok(bytes);
        }
        if key == Key::Creds {
            self.directory.check_not_dangling()?;
            self.refuse_other_backend()?;
        }
        Err(Error::NotFound)
    }

    /// The content of a key's file, or of the file under its old name if there is no other.
    fn bytes_of(&self, key: Key<'_>) -> Result<Option<Vec<u8>>> {
        let Some(name) = self.file_of(key)? else {
            return Ok(None);
        };
        if let Some(bytes) = self.directory.read(&name)? {
            return Ok(Some(bytes));
        }
        match key {
            Key::Of { family, id } => match layout::old_name(family, id, self.format) {
                Some(old) => self.directory.read(&old),
                None => Ok(None),
            },
            Key::Creds => Ok(None),
        }
    }

    /// A key whose file holds `null` has been deleted. Credentials are never deleted that way.
    fn is_deleted(&self, key: Key<'_>, bytes: &[u8]) -> bool {
        key != Key::Creds && self.format == Format::Json && json::is_null(bytes)
    }

    /// Completes an interrupted publication; see [`Directory::finish_publication`].
    pub fn finish_publication(&self) -> Result<()> {
        self.directory.finish_publication()
    }

    /// The account's identity, which the sessions of a JSON directory leave out; `None` without
    /// credentials. Every session needs it, so it is read again only after their file has changed.
    pub fn local_identity(&self) -> Result<Option<Arc<[u8]>>> {
        let name = layout::creds_name(self.format);
        let Some(stamp) = self.directory.stamp(&name)? else {
            return Ok(None);
        };
        let mut known = self.identity.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, identity)) = &*known
            && *of == stamp
        {
            return Ok(Some(Arc::clone(identity)));
        }
        let Some(bytes) = self.directory.read(&name)? else {
            return Ok(None);
        };
        let identity: Arc<[u8]> = json::local_identity(&bytes)
            .map_err(|problem| Error::content(&self.path().join(&name), problem))?
            .into();
        *known = Some((stamp, Arc::clone(&identity)));
        Ok(Some(identity))
    }

    /// Saves and deletes keys, all or none. Takes the directory's lock.
    pub fn commit(&self, changes: &[KeyChange<'_>]) -> Result<()> {
        self.commit_by(By::Anybody, changes)
    }

    /// As [`commit`](Self::commit), on behalf of somebody.
    pub fn commit_by(&self, by: By, changes: &[KeyChange<'_>]) -> Result<()> {
        Plan::new(self, changes)?.commit(by)
    }

    /// All keys by family. The manifest supplies those of unknown families that names do not show.
    pub fn list(&self) -> Result<BTreeMap<String, Vec<String>>> {
        let manifest = self.look_at_manifest()?;
        let mut keys: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut old = Vec::new();
        self.directory.list(&mut |name| {
            if let Some((family, id)) = manifest.owner(name) {
                keys.entry(family.to_owned())
                    .or_default()
                    .push(id.to_owned());
                return;
            }
            match layout::parse(name, self.format) {
                Entry::Key { family, id } => keys.entry(family).or_default().push(id),
                Entry::Old { family, id } => old.push((family, id)),
                Entry::Creds | Entry::Copy | Entry::Unknown | Entry::Foreign => {}
            }
        })?;
        for (family, id) in old {
            let current = layout::key_name(&family, &id, self.format)?;
            if self.directory.stamp(&current)?.is_none() {
                keys.entry(family).or_default().push(id);
            }
        }
        Ok(keys)
    }

    /// Everything in the directory, of any kind.
    pub fn entries(&self, each: &mut dyn FnMut(&OsStr, Kind)) -> Result<()> {
        self.directory.entries(each)
    }

    /// Explains why this process may not read a file.
    pub fn who_may_read(&self, name: &str) -> String {
        self.directory.who_may_read(name)
    }

    /// The stamp of a file's current version; `None` if there is no file.
    pub fn stamp(&self, name: &str) -> Result<Option<Stamp>> {
        self.directory.stamp(name)
    }

    /// The content of a file by its name, whatever it belongs to.
    pub fn read_file(&self, name: &str) -> Result<Option<Vec<u8>>> {
        self.directory.read(name)
    }

    /// As [`read_file`](Self::read_file), with the stamp of the version that was read.
    pub fn read_version(&self, name: &str) -> Result<Option<(Vec<u8>, Stamp)>> {
        self.directory.read_version(name)
    }

    /// The manifest. It is read again only after its file has changed.
    pub fn look_at_manifest(&self) -> Result<Arc<Manifest>> {
        let name = self.format.manifest_name();
        let stamp = self.directory.stamp(name)?;
        if let Some(known) = self.known_manifest()
            && known.stamp == stamp
        {
            return Ok(known.manifest);
        }
        let manifest = match self.directory.read(name)? {
            Some(bytes) => Manifest::parse(&bytes, self.format)?,
            None => Manifest::absent(),
        };
        let manifest = Arc::new(manifest);
        self.remember_manifest(Some(Known {
            stamp,
            manifest: Arc::clone(&manifest),
        }));
        Ok(manifest)
    }

    /// The path of a key's file, for messages.
    pub fn path_of(&self, key: Key<'_>) -> PathBuf {
        let Ok(Some(name)) = self.file_of(key) else {
            return self.path().to_owned();
        };
        if let Key::Of { family, id } = key
            && let Some(old) = layout::old_name(family, id, self.format)
            && let (Ok(None), Ok(Some(_))) =
                (self.directory.stamp(&name), self.directory.stamp(&old))
        {
            return self.path().join(old);
        }
        self.path().join(name)
    }

    /// The file name of a key; `None` if the name belongs to another id.
    fn file_of(&self, key: Key<'_>) -> Result<Option<String>> {
        let Key::Of { family, id } = key else {
            return Ok(Some(layout::creds_name(self.format)));
        };
        let name = layout::key_name(family, id, self.format)?;
        if layout::is_unambiguous(family, id) {
            return Ok(Some(name));
        }
        let is_ours = match self.look_at_manifest()?.owner(&name) {
            Some(owner) => owner == (family, id),
            None => match layout::parse(&name, self.format) {
                Entry::Key {
                    family: of,
                    id: regular,
                } if layout::FAMILIES.contains(&family) || of == family => regular == id,
                // The name looks like a copy of another key's file.
                Entry::Copy if layout::FAMILIES.contains(&family) => false,
                // A family of a later Baileys: its file belongs to whoever asks for that name.
                _ => true,
            },
        };
        Ok(is_ours.then_some(name))
    }

    fn check_manifest(&self) -> Result<()> {
        if !self.is_ours.load(Ordering::Acquire) {
            self.look_at_manifest()?;
            self.is_ours.store(true, Ordering::Release);
        }
        Ok(())
    }

    fn known_manifest(&self) -> Option<Known> {
        self.manifest
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn remember_manifest(&self, known: Option<Known>) {
        *self.manifest.lock().unwrap_or_else(PoisonError::into_inner) = known;
    }

    fn forget_manifest(&self) {
        self.remember_manifest(None);
    }
}
