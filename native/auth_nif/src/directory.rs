//! A directory as a whole: opening, recovering, copying, inspecting.

use std::path::{Path, PathBuf};

use auth_store::Error;
use auth_store::disk_use::disk_use;
use auth_store::engine::{self, JournalState, Owner, RealDisk};
use auth_store::format::Format;
use auth_store::layout::{self, CREDS, Entry};
use auth_store::store::Store;
use rustler::types::atom::{self, Atom};
use rustler::{Binary, Encoder, Env, NifResult, Term};

use crate::answer::{done, tagged};
use crate::stores::{distrust, format_of, store};
use crate::{error, etf, json};

mod atoms {
    rustler::atoms! { closed, creds, key, old_key, unknown, own, leftover, foreign }
}

/// Recovers the directory if necessary. Takes its lock, if it has one.
#[rustler::nif(schedule = "DirtyIo")]
fn store_open<'a>(env: Env<'a>, path: &str, format: Atom) -> NifResult<Term<'a>> {
    let store = store(path, format_of(format)?);
    Ok(done(env, &store, store.open()))
}

/// Recovers the directory even after a failed write. Takes its lock.
#[rustler::nif(schedule = "DirtyIo")]
fn store_recover<'a>(env: Env<'a>, path: &str, format: Atom) -> NifResult<Term<'a>> {
    let store = store(path, format_of(format)?);
    Ok(done(env, &store, store.recover()))
}

/// Writes the files and empties the journal. Takes the directory's lock.
#[rustler::nif(schedule = "DirtyIo")]
fn store_checkpoint<'a>(env: Env<'a>, path: &str, format: Atom) -> NifResult<Term<'a>> {
    let store = store(path, format_of(format)?);
    Ok(done(env, &store, store.checkpoint()))
}

/// Writes the files if they lag behind the journal. Takes the directory's lock.
#[rustler::nif(schedule = "DirtyIo")]
fn store_tidy<'a>(env: Env<'a>, path: &str, format: Atom) -> NifResult<Term<'a>> {
    let store = store(path, format_of(format)?);
    Ok(done(env, &store, store.tidy()))
}

/// Claims the directory for `{id, node, os_process, host, since_ms}`. The newest claim wins.
#[rustler::nif(schedule = "DirtyIo")]
fn store_claim<'a>(
    env: Env<'a>,
    path: &str,
    format: Atom,
    owner: (String, String, String, String, i64),
) -> NifResult<Term<'a>> {
    let store = store(path, format_of(format)?);
    let (id, node, os_process, host, since_ms) = owner;
    let result = store.claim(Owner {
        id,
        counter: 0,
        node,
        os_process,
        host,
        since_ms,
    });
    Ok(done(env, &store, result))
}

/// Gives the claim with this id back, if it still stands.
#[rustler::nif(schedule = "DirtyIo")]
fn store_release<'a>(env: Env<'a>, path: &str, format: Atom, id: &str) -> NifResult<Term<'a>> {
    let store = store(path, format_of(format)?);
    Ok(done(env, &store, store.release(id)))
}

/// `{:ok, {owner | nil, directory}} | {:error, reason}`: who has claimed the directory, and an
/// identity of the directory that does not depend on its path (`nil` if nobody has written there
/// yet). Only reads.
#[rustler::nif(schedule = "DirtyIo")]
fn store_owner<'a>(env: Env<'a>, path: &str, format: Atom) -> NifResult<Term<'a>> {
    let store = store(path, format_of(format)?);
    let found = store
        .owner()
        .and_then(|owner| Ok((owner, store.identity_of_lock()?)));
    Ok(match found {
        Ok((owner, directory)) => {
            let owner = owner.as_ref().map(error::owner_tuple);
            (rustler::types::atom::ok(), (owner, directory)).encode(env)
        }
        Err(error) => error::to_term(env, &error),
    })
}

/// `{:ok, changes} | {:error, reason}`: a number that grows whenever it is noticed that somebody
/// other than the keeper has changed keys; an error if the claim of this VM no longer stands. Takes
/// the lock only to settle a commit whose writer has died.
#[rustler::nif(schedule = "DirtyIo")]
fn store_changes<'a>(env: Env<'a>, path: &str, format: Atom) -> NifResult<Term<'a>> {
    let store = store(path, format_of(format)?);
    Ok(tagged(
        env,
        store.check_owned().and_then(|()| store.changes()),
    ))
}

/// Makes a consistent copy. Takes the directory's lock. Errors say which side they concern:
/// `{:error, {:source | :target, reason}}`.
#[rustler::nif(schedule = "DirtyIo")]
fn store_snapshot<'a>(env: Env<'a>, path: &str, format: Atom, target: &str) -> NifResult<Term<'a>> {
    let store = store(path, format_of(format)?);
    let result = store.snapshot(target.as_ref());
    distrust(target);
    Ok(match result {
        Ok(()) => done(env, &store, Ok(())),
        Err(error) => error::copy_to_term(env, &error),
    })
}

/// `{:ok, kept_aside} | {:error, {:source | :target | :aside, reason}}`: gives the target the
/// content of the directory, and keeps a copy of its old content. Takes both locks.
#[rustler::nif(schedule = "DirtyIo")]
fn store_restore<'a>(
    env: Env<'a>,
    path: &str,
    format: Atom,
    target: &str,
    aside: &str,
) -> NifResult<Term<'a>> {
    let store = store(path, format_of(format)?);
    let result = store.restore(target.as_ref(), aside.as_ref());
    distrust(target);
    Ok(match result {
        Ok(kept) => (atom::ok(), kept).encode(env),
        Err(error) => error::copy_to_term(env, &error),
    })
}

/// `{:ok, same} | {:error, reason}`: whether two directories hold the same. Only reads, and opens
/// nothing.
#[rustler::nif(schedule = "DirtyIo")]
fn store_same<'a>(env: Env<'a>, path: &str, format: Atom, other: &str) -> NifResult<Term<'a>> {
    let format = format_of(format)?;
    let [one, other] = [path, other].map(|path| Store::new(RealDisk, PathBuf::from(path), format));
    Ok(tagged(env, one.holds_same(&other)))
}

/// `{:ok, {exists, epoch, commits, bytes, torn}} | {:error, reason}`. Only reads, and opens
/// nothing.
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

/// The credentials, in the form of [`json_load`] and [`etf_load`], of a directory that another
/// process may be using. Writes nothing, and opens nothing.
#[rustler::nif(schedule = "DirtyIo")]
fn creds_peek<'a>(env: Env<'a>, path: &str, format: Atom) -> NifResult<Term<'a>> {
    let format = format_of(format)?;
    let store = Store::new(RealDisk, PathBuf::from(path), format);
    if let Err(error) = store.peek() {
        return Ok(error::to_term(env, &error));
    }
    match format {
        Format::Json => json::load_term(env, &store, CREDS, None),
        Format::Etf => Ok(etf::load_term(env, &store, CREDS, None)),
    }
}

/// What files are, judged by their names: `:creds | {:key, family, id} | {:old_key, family, id,
/// current_name} | :unknown | :own | :leftover | :foreign` for each. This runs on a normal
/// scheduler, so pass some hundred names at a time.
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
            Entry::Old { family, id } => {
                let current = layout::key_name(&family, &id, format).unwrap_or_default();
                (atoms::old_key(), family, id, current).encode(env)
            }
            Entry::Unknown => atoms::unknown().encode(env),
            Entry::Copy => atoms::leftover().encode(env),
            Entry::Foreign if engine::is_own(name) || name == format.manifest_name() => {
                atoms::own().encode(env)
            }
            Entry::Foreign if layout::is_leftover(name) => atoms::leftover().encode(env),
            Entry::Foreign => atoms::foreign().encode(env),
        }
    };
    Ok(names.iter().map(kind).collect())
}

/// `{:ok, [{family, [id]}]} | :closed | {:error, reason}`. A missing directory is an error, and so
/// is one of the other backend.
#[rustler::nif(schedule = "DirtyIo")]
fn store_list<'a>(env: Env<'a>, path: &str, format: Atom) -> NifResult<Term<'a>> {
    let store = store(path, format_of(format)?);
    if !store.is_open() {
        return Ok(atoms::closed().encode(env));
    }
    let keys = store
        .check_there()
        .and_then(|()| store.list())
        .map(|keys| keys.into_iter().collect::<Vec<_>>());
    Ok(tagged(env, keys))
}

/// `{:ok, holds_others} | {:error, {:io, posix}}`: whether a directory without credentials and keys
/// holds anything that neither this library nor the file system put there.
#[rustler::nif(schedule = "DirtyIo")]
fn directory_holds_others<'a>(env: Env<'a>, path: &str) -> Term<'a> {
    tagged(env, engine::holds_others(&RealDisk, path.as_ref()))
}

/// `{:ok, bytes} | {:error, {:io, posix}}`: the disk space that the directory takes.
#[rustler::nif(schedule = "DirtyIo")]
fn directory_disk_use<'a>(env: Env<'a>, path: &str) -> Term<'a> {
    let path = Path::new(path);
    match disk_use(path) {
        Ok(bytes) => (atom::ok(), bytes).encode(env),
        Err(source) => env.error_tuple(error::reason(env, &Error::io(path, source))),
    }
}
