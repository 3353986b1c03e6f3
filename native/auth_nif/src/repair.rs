//! Repair of a damaged directory.

use std::path::PathBuf;

use auth_store::Result;
use auth_store::engine::RealDisk;
use auth_store::repair::{self, Plan, Remedy, Step};
use rustler::types::atom::{self, Atom};
use rustler::{Encoder, Env, NifResult, Term};

use crate::error;
use crate::migration::damage_terms;
use crate::stores::{distrust, format_of};

mod atoms {
    rustler::atoms! { document, sibling, remove, manifest, journal, none }
}

/// `{:ok, {steps, left}} | {:error, reason}`. A step is `{file, member, problem, modified_ms | nil,
/// remedy}`, a remedy one of `{:document, kept, dropped}`, `{:sibling, file, modified_ms,
/// other_files}`, `{:remove, family, id}`, `:manifest`, `{:journal, commits, trusted_bytes, bytes}`
/// and `:none`. `left` is `[{path, member, problem, kind}]`. Only reads.
#[rustler::nif(schedule = "DirtyIo")]
fn repair_plan<'a>(env: Env<'a>, path: &str, format: Atom) -> NifResult<Term<'a>> {
    let plan = repair::plan(RealDisk, PathBuf::from(path), format_of(format)?);
    Ok(answer(env, plan))
}

/// As [`repair_plan`], and carries the plan out, after copying the files that it changes to the
/// subdirectory `aside`. Takes the directory's lock.
#[rustler::nif(schedule = "DirtyIo")]
fn repair_apply<'a>(env: Env<'a>, path: &str, format: Atom, aside: &str) -> NifResult<Term<'a>> {
    let plan = repair::apply(RealDisk, PathBuf::from(path), format_of(format)?, aside);
    distrust(path);
    Ok(answer(env, plan))
}

fn answer<'a>(env: Env<'a>, plan: Result<Plan>) -> Term<'a> {
    match plan {
        Ok(plan) => {
            let steps: Vec<Term<'a>> = plan.steps.iter().map(|step| step_term(env, step)).collect();
            (atom::ok(), (steps, damage_terms(&plan.left))).encode(env)
        }
        Err(error) => error::to_term(env, &error),
    }
}

fn step_term<'a>(env: Env<'a>, step: &Step) -> Term<'a> {
    let Step {
        name,
        member,
        problem,
        modified_ms,
        remedy,
    } = step;
    let remedy = match remedy {
        Remedy::Document { kept, dropped } => (atoms::document(), kept, dropped).encode(env),
        Remedy::Sibling {
            name,
            modified_ms,
            others,
        } => (atoms::sibling(), name, modified_ms, others).encode(env),
        Remedy::Remove { family, id } => (atoms::remove(), family, id).encode(env),
        Remedy::Manifest => atoms::manifest().encode(env),
        Remedy::Journal {
            commits,
            trusted_bytes,
            bytes,
        } => (atoms::journal(), commits, trusted_bytes, bytes).encode(env),
        Remedy::None => atoms::none().encode(env),
    };
    (name, member, problem, modified_ms, remedy).encode(env)
}
