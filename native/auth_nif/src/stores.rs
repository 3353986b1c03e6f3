//! The directories that this VM has used, and the keys in them. A path is absolute; an id is a binary,
//! or `nil` for the credentials.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use auth_store::engine::RealDisk;
use auth_store::layout::{CREDS, Format};
use auth_store::store::{Key, Store};
use auth_store::{Error, Result};
use rustler::NifResult;
use rustler::types::atom::Atom;

mod atoms {
    rustler::atoms! { json, etf }
}

type Stores = Mutex<HashMap<(PathBuf, Format), Arc<Store<RealDisk>>>>;

/// What is known of each directory that this VM has used. No descriptor is kept.
static STORES: LazyLock<Stores> = LazyLock::new(Stores::default);

pub fn store(path: &str, format: Format) -> Arc<Store<RealDisk>> {
    let mut stores = STORES.lock().unwrap_or_else(PoisonError::into_inner);
    let path = PathBuf::from(path);
    let store = stores
        .entry((path.clone(), format))
        .or_insert_with(|| Arc::new(Store::new(RealDisk, path, format)));
    Arc::clone(store)
}

/// Forgets what was known of a directory that has been replaced.
pub fn forget(path: &str) {
    let mut stores = STORES.lock().unwrap_or_else(PoisonError::into_inner);
    for format in [Format::Json, Format::Etf] {
        stores.remove(&(PathBuf::from(path), format));
    }
}

pub fn format_of(atom: Atom) -> NifResult<Format> {
    if atom == atoms::json() {
        Ok(Format::Json)
    } else if atom == atoms::etf() {
        Ok(Format::Etf)
    } else {
        Err(rustler::Error::BadArg)
    }
}

pub fn key<'a>(family: &'a str, id: Option<&'a [u8]>) -> Result<Key<'a>> {
    match id {
        None => {
            debug_assert_eq!(family, CREDS);
            Ok(Key::Creds)
        }
        Some(id) => match std::str::from_utf8(id) {
            Ok(id) => Ok(Key::Of { family, id }),
            Err(_) => Err(Error::InvalidKey {
                family: family.to_owned(),
                id: String::from_utf8_lossy(id).into_owned(),
                problem: "the id is not UTF-8 text".to_owned(),
            }),
        },
    }
}
