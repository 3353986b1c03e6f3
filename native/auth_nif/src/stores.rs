//! The directories that this VM has used, and the keys in them. A path is absolute. An id is a
//! binary, or `nil` for the credentials.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use auth_store::engine::{By, RealDisk};
use auth_store::format::Format;
use auth_store::layout::CREDS;
use auth_store::store::{Key, Store};
use auth_store::{Error, Result};
use rustler::types::atom::{self, Atom};
use rustler::{Encoder, Env, NifResult, Term};

mod atoms {
    rustler::atoms! { json, etf, keeper }
}

/// Half of the memory limit at which commits write the files themselves.
const MUCH: u64 = 64 << 20;

type ByDirectory = HashMap<(PathBuf, Format), Arc<Store<RealDisk>>>;

/// The store of each directory that this VM has used, by its real path. No descriptor stays open.
static STORES: LazyLock<Mutex<ByDirectory>> = LazyLock::new(Mutex::default);

fn stores() -> MutexGuard<'static, ByDirectory> {
    STORES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The one store of a directory, whatever links lead to it: two stores would not know of each
/// other's commits.
pub fn store(path: &str, format: Format) -> Arc<Store<RealDisk>> {
    let key = (PathBuf::from(path), format);
    if let Some(store) = stores().get(&key) {
        return Arc::clone(store);
    }
    let real = real_path(&key.0);
    let mut stores = stores();
    let store = stores
        .entry((real.clone(), format))
        .or_insert_with(|| Arc::new(Store::new(RealDisk, real, format)));
    Arc::clone(store)
}

/// Forgets everything about a directory whose content was replaced. A claim on it is not forgotten,
/// since its holder must not write there any more.
pub fn distrust(path: &str) {
    let real = real_path(Path::new(path));
    for format in [Format::Json, Format::Etf] {
        let store = stores().get(&(real.clone(), format)).map(Arc::clone);
        if let Some(store) = store {
            store.distrust();
        }
    }
}

/// The native directories whose files should be written now: those that have been idle for some
/// milliseconds, and, if much is held in memory, those that have been idle for longest.
#[rustler::nif]
fn stores_due(idle_ms: u64) -> Vec<String> {
    let all: Vec<_> = stores().values().map(Arc::clone).collect();
    let mut waiting: Vec<_> = all
        .iter()
        .filter_map(|store| store.idle().map(|(size, idle)| (idle, size, store)))
        .collect();
    waiting.sort_unstable_by_key(|(idle, ..)| std::cmp::Reverse(*idle));
    let mut held = auth_store::engine::held();
    let mut due = Vec::new();
    for (idle, size, store) in waiting {
        if idle.as_millis() >= u128::from(idle_ms) || held > MUCH {
            held = held.saturating_sub(size);
            due.extend(store.path().to_str().map(str::to_owned));
        }
    }
    due
}

/// No call of the operating system takes a longer path.
const LONGEST_PATH: usize = 4096;

/// The path with all links resolved. For a path that does not exist, the nearest ancestor that does
/// is resolved. Without recursion, since a path may have any number of components.
fn real_path(path: &Path) -> PathBuf {
    let resolved = |ancestor: &Path| {
        let mut real = ancestor.canonicalize().ok()?;
        real.extend(path.strip_prefix(ancestor).ok()?);
        Some(real)
    };
    path.ancestors()
        .filter(|ancestor| ancestor.as_os_str().len() <= LONGEST_PATH)
        .find_map(resolved)
        .unwrap_or_else(|| path.to_owned())
}

/// The given path, if it is known to be the real path of a directory; `nil` if the disk must be
/// asked, as [`directory_real_path`] does.
#[rustler::nif]
fn directory_known_path<'a>(env: Env<'a>, path: Term<'a>) -> NifResult<Term<'a>> {
    let known = PathBuf::from(path.decode::<&str>()?);
    let stores = stores();
    let is_known = |format| stores.contains_key(&(known.clone(), format));
    Ok(if is_known(Format::Etf) || is_known(Format::Json) {
        path
    } else {
        atom::nil().encode(env)
    })
}

/// The real path of a directory; `nil` if it is not UTF-8.
#[rustler::nif(schedule = "DirtyIo")]
fn directory_real_path(path: &str) -> Option<String> {
    real_path(Path::new(path))
        .into_os_string()
        .into_string()
        .ok()
}

/// On whose behalf a commit is made: `nil` for anybody, `:keeper` for the store that remembers what
/// the directory holds, or a number from [`store_changes`](crate::directory) for that store if
/// nobody else has changed anything since.
pub fn by_of(term: Term<'_>) -> NifResult<By> {
    if let Ok(known) = term.decode::<u64>() {
        let unless_changed = Some(known);
        return Ok(By::Keeper { unless_changed });
    }
    let atom: Atom = term.decode()?;
    if atom == atoms::keeper() {
        let unless_changed = None;
        Ok(By::Keeper { unless_changed })
    } else if atom == atom::nil() {
        Ok(By::Anybody)
    } else {
        Err(rustler::Error::BadArg)
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
