//! Sorts the files of a directory into keys and others.

use std::collections::HashSet;

use crate::engine::{self, Disk, Kind};
use crate::error::Result;
use crate::format::Format;
use crate::layout::{self, Entry};
use crate::manifest::Manifest;
use crate::store::Store;

/// The files of a directory by what they are.
#[derive(Default)]
pub(super) struct Names {
    pub keys: Vec<String>,
    pub superseded: Vec<String>,
    pub unknown: Vec<String>,
    pub ignored: Vec<String>,
}

/// The names in order, with the credentials first: sessions need the identity in them.
pub(super) fn names_of<D: Disk>(store: &Store<D>, manifest: &Manifest) -> Result<Names> {
    let format = store.format();
    let mut names = Names::default();
    let mut old = Vec::new();
    store.entries(&mut |name, kind| {
        let Some(name) = name.to_str() else {
            return names.ignored.push(name.to_string_lossy().into_owned());
        };
        let name = name.to_owned();
        if manifest.owner(&name).is_some() {
            return names.keys.push(name);
        }
        match layout::parse(&name, format) {
            Entry::Foreign if is_own(&name, format) => (),
            Entry::Creds | Entry::Key { .. } => names.keys.push(name),
            Entry::Old { family, id } => old.push((name, family, id)),
            Entry::Unknown if kind == Kind::File => names.unknown.push(name),
            Entry::Unknown | Entry::Copy | Entry::Foreign => names.ignored.push(name),
        }
    })?;
    let keys: HashSet<&str> = names.keys.iter().map(String::as_str).collect();
    let (superseded, alone): (Vec<_>, Vec<_>) = old.into_iter().partition(|(_, family, id)| {
        layout::key_name(family, id, format).is_ok_and(|current| keys.contains(current.as_str()))
    });
    names
        .superseded
        .extend(superseded.into_iter().map(|(name, ..)| name));
    names.keys.extend(alone.into_iter().map(|(name, ..)| name));
    for list in [
        &mut names.keys,
        &mut names.superseded,
        &mut names.unknown,
        &mut names.ignored,
    ] {
        list.sort_unstable();
    }
    bring_creds_first(&mut names.keys, &layout::creds_name(format));
    Ok(names)
}

fn is_own(name: &str, format: Format) -> bool {
    name == format.manifest_name() || engine::is_own(name)
}

fn bring_creds_first(names: &mut [String], creds: &str) {
    if let Some(position) = names.iter().position(|name| name == creds) {
        names[..=position].rotate_right(1);
    }
}
