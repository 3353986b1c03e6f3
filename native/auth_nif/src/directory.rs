//! A directory as a whole: open, recover, copy, look.

use std::path::PathBuf;

use auth_store::engine::{JOURNAL, JournalState, RealDisk};
use auth_store::layout::{self, CREDS, Entry, Format};
use auth_store::store::Store;
use rustler::types::atom::Atom;
use rustler::{Binary, Encoder, Env, NifResult, Term};

use crate::answer::{done, tagged};
use crate::stores::{forget, format_of, store};
use crate::{error, etf, json};

mod atoms {
    rustler::atoms! { closed, creds, key, unknown, own, leftover, foreign }
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
    // After a failure the target is what it was, and may ask for its recovery.
    if result.is_ok() {
        forget(target);
    }
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
        Format::Json => json::load_term(env, &store, CREDS, None),
        Format::Etf => Ok(etf::load_term(env, &store, CREDS, None)),
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
