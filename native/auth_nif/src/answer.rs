//! The answers of functions on directories.

use std::time::Duration;

use auth_store::Result;
use auth_store::engine::{Happened, RealDisk};
use auth_store::store::Store;
use rustler::types::atom;
use rustler::{Encoder, Env, Term};

use crate::error;

mod atoms {
    rustler::atoms! { happened }
}

/// `:ok | {:error, reason}`
pub fn unit<'a>(env: Env<'a>, result: Result<()>) -> Term<'a> {
    match result {
        Ok(()) => atom::ok().encode(env),
        Err(error) => error::to_term(env, &error),
    }
}

/// As [`unit`], but `{:happened, {checkpoints, ns}, {recoveries, ns, commits}}` in place of `:ok`
/// if there was a checkpoint or a recovery.
pub fn done<'a>(env: Env<'a>, store: &Store<RealDisk>, result: Result<()>) -> Term<'a> {
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
