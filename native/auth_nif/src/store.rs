//! One directory: open, load, commit, list, recover, snapshot.
//!
//! Every function may wait for a disk and runs on a dirty I/O scheduler. A path is absolute; an id
//! is a binary, or `nil` for the credentials.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use auth_store::codec::{Problem, etf, json};
use auth_store::engine::{Happened, JOURNAL, JournalState, RealDisk};
use auth_store::layout::{self, CREDS, Entry, Format};
use auth_store::store::{Key, KeyChange, Store};
use auth_store::{Error, Result};
use rustler::types::atom::{self, Atom};
use rustler::{Binary, Encoder, Env, NifResult, Term};

use crate::{error, term};

mod atoms {
    rustler::atoms! {
        json, etf, closed, happened, creds, key, unknown, own, leftover, foreign
    }
}

/// Atoms that one file may bring, and all files in the life of this VM: its table of a million
/// cannot be filled from disk.
const ATOMS_PER_FILE: usize = 256;
const NEW_ATOMS_PER_VM: usize = 65_536;

/// Those that files brought, by name: whether the VM has an atom beyond Latin-1 cannot be asked at
/// this NIF version, and each must be counted once.
static NEW_ATOMS: LazyLock<Mutex<HashSet<String>>> = LazyLock::new(Mutex::default);

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

/// `:ok | {:error, reason}`
pub fn unit<'a>(env: Env<'a>, result: Result<()>) -> Term<'a> {
    match result {
        Ok(()) => atom::ok().encode(env),
        Err(error) => error::to_term(env, &error),
    }
}

/// As [`unit`], but `{:happened, {checkpoints, ns}, {recoveries, ns, commits}}` for `:ok` when
/// that is more than nothing.
fn done<'a>(env: Env<'a>, store: &Store<RealDisk>, result: Result<()>) -> Term<'a> {
    let happened = match &result {
        Ok(()) => store.take_happened(),
        Err(_) => Happened::default(),
    };
    if happened == Happened::default() {
        return unit(env, result);
    }
    let ns = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    (
        atoms::happened(),
        (happened.checkpoints, ns(happened.checkpoint_time)),
        (
            happened.recoveries,
            ns(happened.recovery_time),
            happened.recovered_commits,
        ),
    )
        .encode(env)
}

/// `{:ok, value} | {:error, reason}`
pub fn tagged<'a, T: Encoder>(env: Env<'a>, result: Result<T>) -> Term<'a> {
    match result {
        Ok(value) => (atom::ok(), value).encode(env),
        Err(error) => error::to_term(env, &error),
    }
}

/// Recovers the directory where needed. The caller holds its lock.
#[rustler::nif(schedule = "DirtyIo")]
fn store_open<'a>(env: Env<'a>, path: &str, format: Atom) -> NifResult<Term<'a>> {
    let store = store(path, format_of(format)?);
    Ok(done(env, &store, store.open()))
}

/// Recovers the directory even after a failed write. The caller holds its lock.
#[rustler::nif(schedule = "DirtyIo")]
fn store_recover<'a>(env: Env<'a>, path: &str, format: Atom) -> NifResult<Term<'a>> {
    let store = store(path, format_of(format)?);
    Ok(done(env, &store, store.recover()))
}

/// Syncs the files and empties the journal. The caller holds the directory's lock.
#[rustler::nif(schedule = "DirtyIo")]
fn store_checkpoint<'a>(env: Env<'a>, path: &str, format: Atom) -> NifResult<Term<'a>> {
    let store = store(path, format_of(format)?);
    Ok(done(env, &store, store.checkpoint()))
}

/// A consistent copy. The caller holds the directory's lock.
#[rustler::nif(schedule = "DirtyIo")]
fn store_snapshot<'a>(env: Env<'a>, path: &str, format: Atom, target: &str) -> NifResult<Term<'a>> {
    let store = store(path, format_of(format)?);
    let result = store.open().and_then(|()| store.snapshot(target.as_ref()));
    forget(target);
    Ok(done(env, &store, result))
}

/// `{:ok, {exists, epoch, commits, bytes, torn}} | {:error, reason}`. Only reads, and opens nothing.
#[rustler::nif(schedule = "DirtyIo")]
fn store_journal<'a>(env: Env<'a>, path: &str, format: Atom) -> NifResult<Term<'a>> {
    let state = store(path, format_of(format)?).journal_state();
    let state = state.map(|state| {
        let JournalState {
            exists,
            epoch,
            records,
            bytes,
            torn,
        } = state;
        (exists, epoch, records, bytes, torn)
    });
    Ok(tagged(env, state))
}

/// The credentials as [`json_load`] and [`etf_load`] give them, of a directory that another process
/// may be using: writes nothing, opens nothing.
#[rustler::nif(schedule = "DirtyIo")]
fn creds_peek<'a>(env: Env<'a>, path: &str, format: Atom) -> NifResult<Term<'a>> {
    let format = format_of(format)?;
    let store = Store::new(RealDisk, PathBuf::from(path), format);
    if let Err(error) = store.peek() {
        return Ok(error::to_term(env, &error));
    }
    match format {
        Format::Json => json_term(env, &store, CREDS, None),
        Format::Etf => Ok(etf_term(env, &store, CREDS, None)),
    }
}

/// What files are by their names: `:creds | {:key, family, id} | :unknown | :own | :leftover |
/// :foreign` for each. Some hundred at a time: it runs on a normal scheduler.
#[rustler::nif]
fn layout_kinds<'a>(
    env: Env<'a>,
    names: Vec<Binary<'a>>,
    format: Atom,
) -> NifResult<Vec<Term<'a>>> {
    let format = format_of(format)?;
    let kind = |name: &Binary<'_>| {
        let Ok(name) = std::str::from_utf8(name) else {
            return atoms::foreign().encode(env);
        };
        match layout::parse(name, format) {
            Entry::Creds => atoms::creds().encode(env),
            Entry::Key { family, id } => (atoms::key(), family, id).encode(env),
            Entry::Unknown => atoms::unknown().encode(env),
            Entry::Foreign if name == JOURNAL || name == format.manifest_name() => {
                atoms::own().encode(env)
            }
            Entry::Foreign if layout::is_leftover(name) => atoms::leftover().encode(env),
            Entry::Foreign => atoms::foreign().encode(env),
        }
    };
    Ok(names.iter().map(kind).collect())
}

/// `{:ok, [{family, [id]}]} | :closed | {:error, reason}`
#[rustler::nif(schedule = "DirtyIo")]
fn store_list<'a>(env: Env<'a>, path: &str, format: Atom) -> NifResult<Term<'a>> {
    let store = store(path, format_of(format)?);
    if !store.is_open() {
        return Ok(atoms::closed().encode(env));
    }
    let keys = store
        .list()
        .map(|keys| keys.into_iter().collect::<Vec<_>>());
    Ok(tagged(env, keys))
}

/// `{:ok, term} | :closed | {:error, reason}`
#[rustler::nif(schedule = "DirtyIo")]
fn json_load<'a>(
    env: Env<'a>,
    path: &str,
    family: &str,
    id: Option<Binary<'a>>,
) -> NifResult<Term<'a>> {
    let store = store(path, Format::Json);
    if !store.is_open() {
        return Ok(atoms::closed().encode(env));
    }
    json_term(env, &store, family, id.as_ref())
}

fn json_term<'a>(
    env: Env<'a>,
    store: &Store<RealDisk>,
    family: &str,
    id: Option<&Binary<'a>>,
) -> NifResult<Term<'a>> {
    match load_json_value(store, family, id) {
        Ok(value) => Ok((atom::ok(), term::from_value(env, &value)?).encode(env)),
        Err(error) => Ok(error::to_term(env, &error)),
    }
}

fn load_json_value(
    store: &Store<RealDisk>,
    family: &str,
    id: Option<&Binary<'_>>,
) -> Result<auth_store::Value> {
    let key = key(family, id.map(|id| id.as_slice()))?;
    let bytes = store.load(key)?;
    let local_identity = local_identity(store, [family])?;
    let context = json::DecodeContext {
        local_identity: local_identity.as_deref(),
    };
    json::decode(family, &bytes, &context)
        .map_err(|problem| Error::content(&store.path_of(key), problem))
}

/// `{:ok, binary} | :closed | {:error, reason}`: external term format that is safe to read.
#[rustler::nif(schedule = "DirtyIo")]
fn etf_load<'a>(
    env: Env<'a>,
    path: &str,
    family: &str,
    id: Option<Binary<'a>>,
) -> NifResult<Term<'a>> {
    let store = store(path, Format::Etf);
    if !store.is_open() {
        return Ok(atoms::closed().encode(env));
    }
    Ok(etf_term(env, &store, family, id.as_ref()))
}

fn etf_term<'a>(
    env: Env<'a>,
    store: &Store<RealDisk>,
    family: &str,
    id: Option<&Binary<'a>>,
) -> Term<'a> {
    let result = key(family, id.map(|id| id.as_slice())).and_then(|key| {
        let bytes = store.load(key)?;
        scan_atoms(env, &bytes).map_err(|problem| Error::content(&store.path_of(key), problem))?;
        Ok(bytes)
    });
    match result {
        Ok(bytes) => (atom::ok(), term::binary_term(env, &bytes)).encode(env),
        Err(error) => error::to_term(env, &error),
    }
}

/// Refuses what is not plain data, and more new atoms than a file has reason to bring.
fn scan_atoms(env: Env<'_>, bytes: &[u8]) -> std::result::Result<(), Problem> {
    let mut new = HashSet::new();
    etf::scan(bytes, &mut |name| {
        let is_known = Atom::existing_from_str(env, name).is_ok();
        is_known || remember_atom(&mut new, name)
    })?;
    if new.is_empty() {
        return Ok(());
    }
    let mut brought = NEW_ATOMS.lock().unwrap_or_else(PoisonError::into_inner);
    new.retain(|name| !brought.contains(name));
    if brought.len() + new.len() > NEW_ATOMS_PER_VM {
        return Err(Problem {
            member: String::new(),
            problem: "too many atoms that this VM has not seen yet".to_owned(),
        });
    }
    brought.extend(new);
    Ok(())
}

/// Whether a file may have one more atom.
fn remember_atom(atoms: &mut HashSet<String>, name: &str) -> bool {
    atoms.contains(name) || (atoms.len() < ATOMS_PER_FILE && atoms.insert(name.to_owned()))
}

/// `changes` is `[{family, id | nil, {:put, term} | :delete}]`. The caller holds the lock.
#[rustler::nif(schedule = "DirtyIo")]
fn json_commit<'a>(
    env: Env<'a>,
    path: &str,
    changes: Vec<(String, Option<Binary<'a>>, Term<'a>)>,
) -> NifResult<Term<'a>> {
    let store = store(path, Format::Json);
    Ok(done(env, &store, commit_json_values(&store, &changes)))
}

fn commit_json_values(
    store: &Store<RealDisk>,
    changes: &[(String, Option<Binary<'_>>, Term<'_>)],
) -> Result<()> {
    store.open()?;
    let saved = changes.iter().filter(|(_, _, change)| !change.is_atom());
    let local_identity = local_identity(store, saved.map(|(family, _, _)| family.as_str()))?;
    let context = json::EncodeContext {
        local_identity: local_identity.as_deref(),
        now_ms: now_ms(),
    };
    let encoded = changes
        .iter()
        .map(|(family, _, change)| encode_json(family, *change, &context))
        .collect::<Result<Vec<_>>>()?;
    let changes = changes
        .iter()
        .zip(&encoded)
        .map(|((family, id, _), bytes)| {
            Ok(KeyChange {
                key: key(family, id.as_ref().map(|id| id.as_slice()))?,
                bytes: bytes.as_deref(),
            })
        })
        .collect::<Result<Vec<_>>>()?;
    store.commit(&changes)
}

fn encode_json(
    family: &str,
    change: Term<'_>,
    context: &json::EncodeContext<'_>,
) -> Result<Option<Vec<u8>>> {
    let Ok((_put, data)) = change.decode::<(Atom, Term<'_>)>() else {
        return Ok(None);
    };
    term::to_value(data)
        .map_err(|problem| term::within(family, problem))
        .and_then(|value| json::encode(family, &value, context))
        .map(Some)
        .map_err(|problem| Error::InvalidTerm {
            member: problem.member,
            problem: problem.problem,
        })
}

/// Whether a term in external term format could be loaded again.
#[rustler::nif(schedule = "DirtyCpu")]
fn etf_check<'a>(env: Env<'a>, member: &str, bytes: Binary<'a>) -> Term<'a> {
    unit(env, check_can_be_loaded_again(member, bytes.as_slice()))
}

/// `changes` is `[{family, id | nil, binary | nil}]`, the binaries in external term format. The
/// caller holds the lock.
#[rustler::nif(schedule = "DirtyIo")]
fn etf_commit<'a>(
    env: Env<'a>,
    path: &str,
    changes: Vec<(String, Option<Binary<'a>>, Option<Binary<'a>>)>,
) -> NifResult<Term<'a>> {
    let store = store(path, Format::Etf);
    Ok(done(env, &store, commit_etf_bytes(&store, &changes)))
}

fn commit_etf_bytes(
    store: &Store<RealDisk>,
    changes: &[(String, Option<Binary<'_>>, Option<Binary<'_>>)],
) -> Result<()> {
    let changes = changes
        .iter()
        .map(|(family, id, bytes)| {
            let bytes = bytes.as_ref().map(|bytes| bytes.as_slice());
            if let Some(bytes) = bytes {
                check_can_be_loaded_again(family, bytes)?;
            }
            Ok(KeyChange {
                key: key(family, id.as_ref().map(|id| id.as_slice()))?,
                bytes,
            })
        })
        .collect::<Result<Vec<_>>>()?;
    store.open()?;
    store.commit(&changes)
}

/// What loading in another VM, which has none of these atoms yet, would refuse is refused here.
fn check_can_be_loaded_again(family: &str, bytes: &[u8]) -> Result<()> {
    let mut atoms = HashSet::new();
    etf::scan(bytes, &mut |name| remember_atom(&mut atoms, name)).map_err(|problem| {
        let problem = term::within(family, problem);
        Error::InvalidTerm {
            member: problem.member,
            problem: problem.problem,
        }
    })
}

fn key<'a>(family: &'a str, id: Option<&'a [u8]>) -> Result<Key<'a>> {
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

/// Only sessions need the account's identity.
fn local_identity<'a>(
    store: &Store<RealDisk>,
    families: impl IntoIterator<Item = &'a str>,
) -> Result<Option<Arc<[u8]>>> {
    if families.into_iter().any(|family| family == "session") {
        store.local_identity()
    } else {
        Ok(None)
    }
}

pub fn now_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|elapsed| i64::try_from(elapsed.as_millis()).ok())
        .unwrap_or_default()
}
