//! Decides which files a commit changes.

use std::collections::HashMap;

use super::{Key, KeyChange, Store};
use crate::engine::{By, Change, Disk, Planned, one_file};
use crate::error::{Error, Result};
use crate::layout::{self, Entry};
use crate::manifest::Manifest;

/// The changes of one commit, and the manifest that they require.
pub(super) struct Plan<'a, D: Disk> {
    store: &'a Store<D>,
    wanted: Vec<Wanted<'a>>,
    /// The manifest to write with the changes; `None` if the one on disk will do.
    manifest: Option<Vec<u8>>,
}

struct Wanted<'a> {
    /// The name of the key's file, unless another key has that name.
    name: String,
    /// The name that the file had before Baileys rewrote colons. A file of that name is removed.
    old: Option<String>,
    change: &'a KeyChange<'a>,
}

impl<'a, D: Disk> Plan<'a, D> {
    pub(super) fn new(store: &'a Store<D>, changes: &'a [KeyChange<'a>]) -> Result<Self> {
        let named = |change: &'a KeyChange<'a>| {
            let (name, old) = match change.key {
                Key::Creds => (layout::creds_name(store.format), None),
                Key::Of { family, id } => (
                    layout::key_name(family, id, store.format)?,
                    layout::old_name(family, id, store.format),
                ),
            };
            Ok(Wanted { name, old, change })
        };
        Ok(Plan {
            store,
            wanted: changes.iter().map(named).collect::<Result<_>>()?,
            manifest: None,
        })
    }

    pub(super) fn commit(mut self, by: By) -> Result<()> {
        if self.wanted.is_empty() {
            return Ok(());
        }
        let keys = (self.wanted.iter()).any(|wanted| wanted.change.key != Key::Creds);
        let directory = &self.store.directory;
        let result = directory.commit_by(by, keys, &mut self);
        if self.manifest.is_some() || result.is_err() {
            self.store.forget_manifest();
        }
        result
    }
}

impl<D: Disk> Planned for Plan<'_, D> {
    fn changes(&mut self) -> Result<Vec<Change<'_>>> {
        let mut files = Files::new(self.store, self.wanted.len());
        for Wanted { name, old, change } in &self.wanted {
            files.add(name, change)?;
            if let Some(old) = old {
                files.remove(old)?;
            }
        }
        self.manifest = files.manifest_bytes()?;
        let manifest = self.manifest.as_deref().map(|bytes| Change {
            name: self.store.format.manifest_name(),
            bytes: Some(bytes),
        });
        let files = files.files.into_iter();
        let files = files.map(|(name, bytes)| Change { name, bytes });
        Ok(manifest.into_iter().chain(files).collect())
    }
}

/// The files of all keys in the commit, given the current state of the directory.
struct Files<'a, D: Disk> {
    store: &'a Store<D>,
    files: Vec<(&'a str, Option<&'a [u8]>)>,
    by_name: HashMap<&'a str, (usize, Key<'a>)>,
    manifest: Option<Manifest>,
    manifest_changed: bool,
}

impl<'a, D: Disk> Files<'a, D> {
    fn new(store: &'a Store<D>, size: usize) -> Self {
        Files {
            store,
            files: Vec::with_capacity(size),
            by_name: HashMap::with_capacity(size),
            manifest: None,
            manifest_changed: false,
        }
    }

    fn add(&mut self, name: &'a str, change: &'a KeyChange<'a>) -> Result<()> {
        let is_certain = match change.key {
            Key::Creds => true,
            Key::Of { family, id } => {
                layout::is_unambiguous(family, id) || self.take_name(name, family, id, change)?
            }
        };
        if is_certain {
            self.put(name, change)?;
        }
        Ok(())
    }

    fn remove(&mut self, old: &'a str) -> Result<()> {
        if self.store.directory.stamp(old)?.is_some() && !self.by_name.contains_key(old) {
            self.files.push((old, None));
        }
        Ok(())
    }

    /// Whether the key may write this name; `false` if there is nothing to delete under it.
    fn take_name(
        &mut self,
        name: &str,
        family: &str,
        id: &str,
        change: &KeyChange<'a>,
    ) -> Result<bool> {
        let deletes = change.bytes.is_none();
        let format = self.store.format;
        let owner = self.manifest()?.owner(name);
        match owner.map(|owner| owner == (family, id)) {
            Some(true) => {
                if deletes {
                    self.release(name)?;
                }
                return Ok(true);
            }
            Some(false) if deletes => return Ok(false),
            Some(false) if self.is_taken(name)? => return Err(collision(family, id)),
            // baileys_ex deletes the file first, so a crash may leave a manifest entry without a
            // file.
            Some(false) => self.release(name)?,
            None => {}
        }
        let is_known = match layout::parse(name, format) {
            Entry::Key {
                family: of,
                id: regular,
            } if of == family => {
                if regular == id {
                    return Ok(true);
                }
                true
            }
            // Somebody's copy of another key's file may have this name.
            Entry::Copy => layout::FAMILIES.contains(&family),
            // Only the user of an unknown family can say where its name ends.
            _ => false,
        };
        if deletes {
            return Ok(!is_known);
        }
        if is_known && self.is_taken(name)? {
            return Err(collision(family, id));
        }
        self.manifest()?.claim(name, family, id);
        self.manifest_changed = true;
        Ok(true)
    }

    fn release(&mut self, name: &str) -> Result<()> {
        self.manifest()?.release(name);
        self.manifest_changed = true;
        Ok(())
    }

    /// Whether a file of this name exists, or will exist after this commit.
    fn is_taken(&self, name: &str) -> Result<bool> {
        match self.by_name.get(name) {
            Some((index, _)) => Ok(self.files[*index].1.is_some()),
            None => Ok(self.store.directory.stamp(name)?.is_some()),
        }
    }

    fn put(&mut self, name: &'a str, change: &KeyChange<'a>) -> Result<()> {
        if let Key::Of { family, id } = change.key
            && may_differ_in_case(family, id)
            && let Some(other) = self.other_spelling(name)?
        {
            return match change.bytes {
                Some(_) => Err(one_file(family, id, &other)),
                // There is no file with exactly this name.
                None => Ok(()),
            };
        }
        if change.bytes.is_none() {
            self.store.directory.forget_spelling(name);
        }
        if let Some((index, key)) = self.by_name.get_mut(name) {
            let replaced = &mut self.files[*index].1;
            if let Key::Of { family, id } = change.key
                && *key != change.key
                && replaced.is_some()
            {
                return Err(collision(family, id));
            }
            *key = change.key;
            *replaced = change.bytes;
            return Ok(());
        }
        self.by_name.insert(name, (self.files.len(), change.key));
        self.files.push((name, change.bytes));
        Ok(())
    }

    /// The other spelling of a file that exists, or will exist after this commit.
    fn other_spelling(&self, name: &str) -> Result<Option<String>> {
        let directory = &self.store.directory;
        if !directory.ignores_case(name)? {
            return Ok(None);
        }
        let folded = name.to_lowercase();
        let in_commit = self.files.iter().find(|(other, bytes)| {
            bytes.is_some() && *other != name && other.to_lowercase() == folded
        });
        match in_commit {
            Some((other, _)) => Ok(Some((*other).to_owned())),
            None => directory.other_spelling(name),
        }
    }

    fn manifest(&mut self) -> Result<&mut Manifest> {
        if self.manifest.is_none() {
            self.manifest = Some(Manifest::clone(&*self.store.look_at_manifest()?));
        }
        // The manifest was set above; `get_or_insert_with` could not have returned the error.
        Ok(self.manifest.get_or_insert_with(Manifest::absent))
    }

    fn manifest_bytes(&mut self) -> Result<Option<Vec<u8>>> {
        let format = self.store.format;
        if !self.manifest_changed && !self.first_save_needs_manifest()? {
            return Ok(None);
        }
        let manifest = self.manifest()?;
        manifest.upgrade(format);
        manifest.render(format).map(Some)
    }

    fn first_save_needs_manifest(&self) -> Result<bool> {
        if self.files.iter().all(|(_, bytes)| bytes.is_none()) {
            return Ok(false);
        }
        let manifest = match self.store.known_manifest() {
            Some(known) => known.manifest,
            None => self.store.look_at_manifest()?,
        };
        Ok(!manifest.is_current(self.store.format))
    }
}

/// Whether another id may have the same file on a disk that ignores case.
fn may_differ_in_case(family: &str, id: &str) -> bool {
    id.chars().any(char::is_alphabetic) || !layout::FAMILIES.contains(&family)
}

fn collision(family: &str, id: &str) -> Error {
    Error::InvalidKey {
        family: family.to_owned(),
        id: id.to_owned(),
        problem: "another id of this directory has the same file name".to_owned(),
    }
}
