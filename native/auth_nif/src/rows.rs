//! Moves keys between a directory and another store, in steps that the Elixir side drives. A row is
//! `{family, id, binary}`, a key in external term format. The row of the credentials is `{"creds",
//! nil, binary}`.

use std::path::{Path, PathBuf};

use auth_store::engine::RealDisk;
use auth_store::migrate::{Incoming, Outgoing, Row};
use auth_store::survey::{Purpose, decode_native, last_use};
use rustler::types::atom::{self, Atom};
use rustler::{Binary, Encoder, Env, NifResult, ResourceArc, Term};

use crate::json::now_ms;
use crate::migration::{
    Flags, InSteps, failure, form_of, form_term, options_of, row_damage_terms, summary_term,
};
use crate::stores::{distrust, format_of};
use crate::{error, term};

mod atoms {
    rustler::atoms! { finished, target }
}

type OutgoingHandle = InSteps<Outgoing<RealDisk>>;

struct Received {
    incoming: Incoming<RealDisk>,
    target: String,
}

type IncomingHandle = InSteps<Received>;

#[rustler::resource_impl]
impl rustler::Resource for OutgoingHandle {}

#[rustler::resource_impl]
impl rustler::Resource for IncomingHandle {}

/// `{:ok, handle, total_files, sender_keys} | {:error, reason}`. The caller holds the BEAM's locks
/// of the directory until it has finished or aborted.
#[rustler::nif(schedule = "DirtyIo")]
fn outgoing_begin<'a>(env: Env<'a>, source: &str, from: Atom, flags: Flags) -> NifResult<Term<'a>> {
    let options = options_of(flags, (atom::nil(), false))?;
    let begun = Outgoing::begin(RealDisk, PathBuf::from(source), format_of(from)?, options);
    let begun = begun.and_then(|outgoing| Ok((outgoing.sender_keys()?, outgoing)));
    Ok(match begun {
        Ok((sender_keys, outgoing)) => {
            let total = outgoing.total();
            let form = form_term(sender_keys);
            (atom::ok(), InSteps::new(outgoing), total, form).encode(env)
        }
        Err(error) => failure(env, &error),
    })
}

/// `{:ok, done_files, rows} | {:error, reason}`
#[rustler::nif(schedule = "DirtyIo")]
fn outgoing_step<'a>(env: Env<'a>, handle: ResourceArc<OutgoingHandle>, files: usize) -> Term<'a> {
    let step = handle.with(|outgoing| outgoing.step(files).map(|rows| (outgoing.done(), rows)));
    match step {
        Some(Ok((done, rows))) => {
            let rows: Vec<_> = rows
                .into_iter()
                .map(|row| (row.family, row.id, term::binary_term(env, &row.bytes)))
                .collect();
            (atom::ok(), done, rows).encode(env)
        }
        Some(Err(error)) => failure(env, &error),
        None => env.error_tuple(atoms::finished()),
    }
}

/// `{:ok, summary} | {:error, reason}`
#[rustler::nif(schedule = "DirtyIo")]
fn outgoing_finish<'a>(env: Env<'a>, handle: ResourceArc<OutgoingHandle>) -> Term<'a> {
    match handle.take().map(Outgoing::finish) {
        Some(Ok(summary)) => (atom::ok(), summary_term(env, summary)).encode(env),
        Some(Err(error)) => failure(env, &error),
        None => env.error_tuple(atoms::finished()),
    }
}

#[rustler::nif(schedule = "DirtyIo")]
fn outgoing_abort(handle: ResourceArc<OutgoingHandle>) -> Atom {
    drop(handle.take());
    atom::ok()
}

/// `{:ok, handle} | {:error, reason}`. The caller holds the BEAM's locks of the target until it has
/// published or aborted. `flags` and `json` are as in `migration_begin`; `carried` is the form of
/// sender keys in the JSON that the rows came from.
#[rustler::nif(schedule = "DirtyIo")]
fn incoming_begin<'a>(
    env: Env<'a>,
    target: &str,
    to: Atom,
    flags: Flags,
    json: (Atom, bool),
    carried: Atom,
) -> NifResult<Term<'a>> {
    let options = options_of(flags, json)?;
    let begun = Incoming::begin(
        RealDisk,
        Path::new(target),
        format_of(to)?,
        options,
        form_of(carried)?,
        now_ms(),
    );
    Ok(match begun {
        Ok(incoming) => {
            let target = target.to_owned();
            (atom::ok(), InSteps::new(Received { incoming, target })).encode(env)
        }
        Err(error) => failure(env, &error),
    })
}

/// `:ok | {:error, reason}`. The credentials must come first.
#[rustler::nif(schedule = "DirtyIo")]
fn incoming_put<'a>(
    env: Env<'a>,
    handle: ResourceArc<IncomingHandle>,
    rows: Vec<(String, Option<String>, Binary<'a>)>,
) -> Term<'a> {
    let put = handle.with(|received| {
        rows.iter().try_for_each(|(family, id, bytes)| {
            received.incoming.put(&Row {
                family,
                id: id.as_deref(),
                bytes: bytes.as_slice(),
            })
        })
    });
    match put {
        Some(Ok(())) => atom::ok().encode(env),
        Some(Err(error)) => env.error_tuple((atoms::target(), error::reason(env, &error))),
        None => env.error_tuple(atoms::finished()),
    }
}

/// `{:ok, summary, skipped_rows} | {:error, {:damaged_rows, rows} | reason}`
#[rustler::nif(schedule = "DirtyIo")]
fn incoming_publish<'a>(env: Env<'a>, handle: ResourceArc<IncomingHandle>) -> Term<'a> {
    let Some(received) = handle.take() else {
        return env.error_tuple(atoms::finished());
    };
    let published = received.incoming.publish();
    // Even after a failure: the next open may have to complete a publication.
    distrust(&received.target);
    match published {
        Ok((summary, skipped)) => (
            atom::ok(),
            summary_term(env, summary),
            row_damage_terms(&skipped),
        )
            .encode(env),
        Err(error) => failure(env, &error),
    }
}

/// Leaves the target as it was.
#[rustler::nif(schedule = "DirtyIo")]
fn incoming_abort(handle: ResourceArc<IncomingHandle>) -> Atom {
    drop(handle.take());
    atom::ok()
}

/// `[{family, id, member, problem}]` of the rows that cannot be read.
#[rustler::nif(schedule = "DirtyCpu")]
fn rows_check<'a>(
    rows: Vec<(String, Option<String>, Binary<'a>)>,
) -> Vec<(String, Option<String>, String, String)> {
    let damaged = rows.into_iter().filter_map(|(family, id, bytes)| {
        let problem = decode_native(&family, bytes.as_slice(), Purpose::Verify).err()?;
        Some((family, id, problem.member, problem.problem))
    });
    damaged.collect()
}

/// When each session was last used, in milliseconds since 1970; `nil` if it does not record that or
/// cannot be read.
#[rustler::nif(schedule = "DirtyCpu")]
fn rows_last_use(sessions: Vec<Binary<'_>>) -> Vec<Option<i64>> {
    let times = sessions.into_iter().map(|bytes| {
        let session = decode_native("session", bytes.as_slice(), Purpose::Verify).ok()?;
        last_use(&session)
    });
    times.collect()
}
