//! Keys of a native directory, in external term format, and limits on the atoms that they may
//! create.

use std::collections::HashSet;
use std::sync::{LazyLock, Mutex, PoisonError};

use auth_store::codec::{Problem, etf};
use auth_store::engine::{By, RealDisk};
use auth_store::format::Format;
use auth_store::store::{KeyChange, Store};
use auth_store::{Error, Result};
use rustler::types::atom::{self, Atom};
use rustler::{Binary, Encoder, Env, NifResult, Term};

use crate::answer::{done, unit};
use crate::stores::{by_of, key, store};
use crate::{error, term};

mod atoms {
    rustler::atoms! { closed }
}

/// How many new atoms one file may create, and all files during the life of this VM, so that files
/// cannot fill its table of a million atoms.
const ATOMS_PER_FILE: usize = 256;
const NEW_ATOMS_PER_VM: usize = 65_536;

/// The atoms that files have created, by name. At this NIF version one cannot ask whether the VM
/// has an atom with characters beyond Latin-1, and each atom must count once.
static NEW_ATOMS: LazyLock<Mutex<HashSet<String>>> = LazyLock::new(Mutex::default);

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
    Ok(load_term(env, &store, family, id.as_ref()))
}

pub fn load_term<'a>(
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

/// Refuses anything but plain data, and more new atoms than a file needs.
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

/// `[{index, member, problem}]` of those binaries from another store that are not safe to read.
#[rustler::nif(schedule = "DirtyCpu")]
fn etf_scan_all<'a>(env: Env<'a>, all: Vec<Binary<'a>>) -> Vec<(usize, String, String)> {
    let scanned = all.iter().enumerate();
    scanned
        .filter_map(|(index, bytes)| {
            let problem = scan_atoms(env, bytes.as_slice()).err()?;
            Some((index, problem.member, problem.problem))
        })
        .collect()
}

/// Checks that a term in external term format could be loaded again.
#[rustler::nif(schedule = "DirtyCpu")]
fn etf_check<'a>(env: Env<'a>, member: &str, bytes: Binary<'a>) -> Term<'a> {
    unit(env, check_can_be_loaded_again(member, bytes.as_slice()))
}

/// As [`etf_check`], for several terms: `[{member, binary}]`.
#[rustler::nif(schedule = "DirtyCpu")]
fn etf_check_all<'a>(env: Env<'a>, all: Vec<(String, Binary<'a>)>) -> Term<'a> {
    let checked = all
        .iter()
        .try_for_each(|(member, bytes)| check_can_be_loaded_again(member, bytes.as_slice()));
    unit(env, checked)
}

/// `changes` is `[{family, id | nil, binary | nil}]`, with binaries in external term format; `by`
/// is as in `by_of`.
#[rustler::nif(schedule = "DirtyIo")]
fn etf_commit<'a>(
    env: Env<'a>,
    path: &str,
    by: Term<'a>,
    changes: Vec<(String, Option<Binary<'a>>, Option<Binary<'a>>)>,
) -> NifResult<Term<'a>> {
    let store = store(path, Format::Etf);
    Ok(done(
        env,
        &store,
        commit_etf_bytes(&store, by_of(by)?, &changes),
    ))
}

fn commit_etf_bytes(
    store: &Store<RealDisk>,
    by: By,
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
    store.commit_by(by, &changes)
}

/// Refuses what another VM, which has none of these atoms yet, would refuse to load.
fn check_can_be_loaded_again(family: &str, bytes: &[u8]) -> Result<()> {
    // Most terms have few atoms. Then they need not be collected for each to count once.
    let mut met = 0;
    let scanned = etf::scan(bytes, &mut |_| {
        met += 1;
        met <= ATOMS_PER_FILE
    });
    let scanned = match scanned {
        Err(_) if met > ATOMS_PER_FILE => {
            let mut atoms = HashSet::new();
            etf::scan(bytes, &mut |name| remember_atom(&mut atoms, name))
        }
        scanned => scanned,
    };
    scanned.map_err(|problem| {
        let problem = term::within(family, problem);
        Error::InvalidTerm {
            member: problem.member,
            problem: problem.problem,
        }
    })
}
