//! Work on whole directories, in steps that the Elixir side drives.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use auth_store::codec::json::{Dialect, SenderKeyForm};
use auth_store::engine::RealDisk;
use auth_store::migrate::{Migration, MigrationError, Options, RowDamage, Summary};
use auth_store::survey::{Damage, Survey, Tally};
use rustler::types::atom::{self, Atom};
use rustler::{Encoder, Env, NifResult, ResourceArc, Term};

use crate::error;
use crate::json::now_ms;
use crate::stores::{distrust, format_of};

mod atoms {
    rustler::atoms! {
        source,
        target,
        not_an_auth_directory,
        no_credentials,
        source_changed,
        target_holds_auth_state,
        target_not_empty,
        invalid_target,
        overlap,
        damaged,
        damaged_rows,
        finished,
        baileys,
        explicit,
        legacy,
        array,
        buffer,
    }
}

/// Work that may be abandoned. If the BEAM collects the handle, another thread drops the work:
/// removing a staging directory touches the disk, and the collector runs on a normal scheduler.
pub struct InSteps<T: Send + 'static>(Mutex<Option<T>>);

impl<T: Send> InSteps<T> {
    pub fn new(work: T) -> ResourceArc<Self>
    where
        Self: rustler::Resource,
    {
        ResourceArc::new(InSteps(Mutex::new(Some(work))))
    }

    /// Runs `run` on the work; `None` if it is finished or was abandoned.
    pub fn with<R>(&self, run: impl FnOnce(&mut T) -> R) -> Option<R> {
        let mut work = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        work.as_mut().map(run)
    }

    pub fn take(&self) -> Option<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl<T: Send> Drop for InSteps<T> {
    fn drop(&mut self) {
        if let Some(work) = self.take() {
            std::thread::spawn(move || drop(work));
        }
    }
}

struct Running {
    migration: Migration<RealDisk>,
    target: String,
}

type MigrationHandle = InSteps<Running>;
struct Surveyed {
    survey: Survey<RealDisk>,
    tally: Tally,
}

type SurveyHandle = InSteps<Surveyed>;

#[rustler::resource_impl]
impl rustler::Resource for MigrationHandle {}

#[rustler::resource_impl]
impl rustler::Resource for SurveyHandle {}

/// `{:ok, handle, total_files} | {:error, reason}`. The caller holds the BEAM's locks of both
/// directories until it has published or aborted. `flags` is `{overwrite, skip_corrupt,
/// without_credentials, ignore_changes, include_unknown}`. `json` is `{nil | :array | :buffer,
/// old_device_names}`, for a JSON target.
#[rustler::nif(schedule = "DirtyIo")]
fn migration_begin<'a>(
    env: Env<'a>,
    source: &str,
    target: &str,
    from: Atom,
    flags: Flags,
    json: (Atom, bool),
) -> NifResult<Term<'a>> {
    let options = options_of(flags, json)?;
    let begun = Migration::begin(
        RealDisk,
        PathBuf::from(source),
        Path::new(target),
        format_of(from)?,
        options,
        now_ms(),
    );
    Ok(match begun {
        Ok(migration) => {
            let total = migration.total();
            let handle = InSteps::new(Running {
                migration,
                target: target.to_owned(),
            });
            (atom::ok(), handle, total).encode(env)
        }
        Err(error) => failure(env, &error),
    })
}

/// `{:ok, done_files} | {:error, reason}`
#[rustler::nif(schedule = "DirtyIo")]
fn migration_step<'a>(
    env: Env<'a>,
    handle: ResourceArc<MigrationHandle>,
    files: usize,
) -> Term<'a> {
    let step = handle.with(|running| {
        let migration = &mut running.migration;
        migration.step(files).map(|()| migration.done())
    });
    match step {
        Some(Ok(done)) => (atom::ok(), done).encode(env),
        Some(Err(error)) => failure(env, &error),
        None => env.error_tuple(atoms::finished()),
    }
}

/// `{:ok, summary} | {:error, reason}`
#[rustler::nif(schedule = "DirtyIo")]
fn migration_publish<'a>(env: Env<'a>, handle: ResourceArc<MigrationHandle>) -> Term<'a> {
    let Some(running) = handle.take() else {
        return env.error_tuple(atoms::finished());
    };
    let published = running.migration.publish();
    // Even after a failure: the next open may have to complete a publication.
    distrust(&running.target);
    match published {
        Ok(summary) => (atom::ok(), summary_term(env, summary)).encode(env),
        Err(error) => failure(env, &error),
    }
}

/// Leaves the target as it was.
#[rustler::nif(schedule = "DirtyIo")]
fn migration_abort(handle: ResourceArc<MigrationHandle>) -> Atom {
    drop(handle.take());
    atom::ok()
}

/// `{:ok, handle, total_files} | {:error, reason}`. Writes nothing and needs no lock.
#[rustler::nif(schedule = "DirtyIo")]
fn survey_begin<'a>(env: Env<'a>, path: &str, format: Atom) -> NifResult<Term<'a>> {
    let begun = Survey::peek(RealDisk, PathBuf::from(path), format_of(format)?);
    Ok(match begun {
        Ok(survey) => {
            let total = survey.total();
            let tally = Tally::default();
            (atom::ok(), InSteps::new(Surveyed { survey, tally }), total).encode(env)
        }
        Err(error) => error::to_term(env, &error),
    })
}

/// `{:ok, done_files} | {:error, reason}`
#[rustler::nif(schedule = "DirtyIo")]
fn survey_step<'a>(env: Env<'a>, handle: ResourceArc<SurveyHandle>, files: usize) -> Term<'a> {
    let step = handle.with(|Surveyed { survey, tally }| {
        let counted = survey.step(files, &mut |finding, _, _| {
            tally.add(finding);
            Ok(())
        });
        counted.map(|()| survey.done())
    });
    match step {
        Some(Ok(done)) => (atom::ok(), done).encode(env),
        Some(Err(error)) => error::to_term(env, &error),
        None => env.error_tuple(atoms::finished()),
    }
}

/// `{has_creds, [{family, count}], damaged, {ignored, unknown}, bytes_read, [{dialect, count}],
/// growth}` of the surveyed directory. `growth` is `{[{family, [written]}], [{pre_key_id,
/// written}], [last_use]}`, with `written` in seconds since 1970 or `nil`, and `last_use` in
/// milliseconds.
#[rustler::nif(schedule = "DirtyIo")]
fn survey_finish<'a>(env: Env<'a>, handle: ResourceArc<SurveyHandle>) -> Term<'a> {
    match handle.take() {
        Some(Surveyed { survey, tally }) => {
            let bytes = survey.bytes();
            let keys: Vec<(String, u64)> = tally.keys.into_iter().collect();
            let damaged = damage_terms(&survey.damaged);
            let dialects = dialect_terms(&survey.dialects);
            let mut ignored = survey.ignored;
            ignored.extend(survey.superseded);
            let left = (ignored, survey.unknown);
            let growth = survey.growth;
            let written: Vec<(String, Vec<Option<i64>>)> = growth.written.into_iter().collect();
            let growth = (written, growth.pre_keys, growth.sessions);
            (
                tally.has_creds,
                keys,
                damaged,
                left,
                bytes,
                dialects,
                growth,
            )
                .encode(env)
        }
        None => env.error_tuple(atoms::finished()),
    }
}

pub type Flags = (bool, bool, bool, bool, bool);

/// The options for `flags` and `json` as in [`migration_begin`].
pub fn options_of(flags: Flags, json: (Atom, bool)) -> NifResult<Options> {
    let (overwrite, skip_corrupt, without_credentials, ignore_changes, include_unknown) = flags;
    let (sender_keys, old_device_names) = json;
    Ok(Options {
        overwrite,
        skip_corrupt,
        without_credentials,
        ignore_changes,
        include_unknown,
        sender_keys: form_of(sender_keys)?,
        old_device_names,
    })
}

pub fn form_of(atom: Atom) -> NifResult<Option<SenderKeyForm>> {
    if atom == atom::nil() {
        Ok(None)
    } else if atom == atoms::array() {
        Ok(Some(SenderKeyForm::List))
    } else if atom == atoms::buffer() {
        Ok(Some(SenderKeyForm::Buffer))
    } else {
        Err(rustler::Error::BadArg)
    }
}

pub fn form_term(form: Option<SenderKeyForm>) -> Atom {
    match form {
        None => atom::nil(),
        Some(form) if form.is_list() => atoms::array(),
        Some(_) => atoms::buffer(),
    }
}

fn dialect_terms(dialects: &BTreeMap<Dialect, u64>) -> Vec<(Atom, u64)> {
    dialects
        .iter()
        .map(|(dialect, count)| {
            let name = match dialect {
                Dialect::Baileys => atoms::baileys(),
                Dialect::Explicit => atoms::explicit(),
                Dialect::Legacy => atoms::legacy(),
            };
            (name, *count)
        })
        .collect()
}

/// `{has_creds, [{family, count}], skipped, ignored, bytes_read, bytes_written, notes}`; the notes
/// are `{[{file, dropped}], nil | :array | :buffer, [{file, renamed}], superseded, unknown,
/// changed}`
pub fn summary_term<'a>(env: Env<'a>, summary: Summary) -> Term<'a> {
    let keys: Vec<(String, u64)> = summary.tally.keys.into_iter().collect();
    (
        summary.tally.has_creds,
        keys,
        damage_terms(&summary.skipped),
        summary.ignored,
        summary.bytes_read,
        summary.bytes_written,
        (
            summary.dropped,
            form_term(summary.sender_keys),
            summary.renamed,
            summary.superseded,
            summary.unknown,
            summary.changed,
        ),
    )
        .encode(env)
}

/// `[{path, member, problem, kind}]`
pub fn damage_terms(damaged: &[Damage]) -> Vec<(String, String, String, Atom)> {
    damaged
        .iter()
        .map(|damage| {
            (
                damage.path.to_string_lossy().into_owned(),
                damage.member.clone(),
                damage.problem.clone(),
                error::flaw_atom(damage.flaw),
            )
        })
        .collect()
}

/// `[{family, id, member, problem}]`
pub fn row_damage_terms(rows: &[RowDamage]) -> Vec<(String, Option<String>, String, String)> {
    rows.iter()
        .cloned()
        .map(|row| (row.family, row.id, row.member, row.problem))
        .collect()
}

pub fn failure<'a>(env: Env<'a>, failure: &MigrationError) -> Term<'a> {
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let reason = match failure {
        MigrationError::Source(error) => (atoms::source(), error::reason(env, error)).encode(env),
        MigrationError::Target(error) => (atoms::target(), error::reason(env, error)).encode(env),
        MigrationError::NotAnAuthDirectory(path) => {
            (atoms::not_an_auth_directory(), text(path)).encode(env)
        }
        MigrationError::NoCredentials(path) => (atoms::no_credentials(), text(path)).encode(env),
        MigrationError::SourceChanged { path, names } => {
            (atoms::source_changed(), text(path), names).encode(env)
        }
        MigrationError::TargetHoldsAuthState(path) => {
            (atoms::target_holds_auth_state(), text(path)).encode(env)
        }
        MigrationError::TargetNotEmpty(path) => (atoms::target_not_empty(), text(path)).encode(env),
        MigrationError::InvalidTarget { path, source } => {
            (atoms::invalid_target(), text(path), error::posix(source)).encode(env)
        }
        MigrationError::Overlap(path) => (atoms::overlap(), text(path)).encode(env),
        MigrationError::DamagedRows(rows) => {
            (atoms::damaged_rows(), row_damage_terms(rows)).encode(env)
        }
        MigrationError::Damaged(damaged) => (atoms::damaged(), damage_terms(damaged)).encode(env),
    };
    env.error_tuple(reason)
}
