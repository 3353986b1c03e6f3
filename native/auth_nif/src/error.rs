//! Errors of the store as the tuples that `BaileysEx.Auth.NativeError` documents.

use auth_store::Error;
use auth_store::engine::{CopyError, Owner};
use auth_store::error::Flaw;
use rustler::types::atom::Atom;
use rustler::{Encoder, Env, Term};

mod atoms {
    rustler::atoms! {
        not_found,
        corrupt,
        invalid_term,
        invalid_key,
        unexpected_backend,
        unsupported_version,
        invalid_manifest,
        unsupported_journal,
        recovery_required,
        io,
        busy,
        not_owner,
        changed,
        content,
        symbolic_link,
        not_a_file,
        access,
        journal,
        bookkeeping,
        source,
        target,
        aside,
    }
}

/// `{:error, reason}`. `BaileysEx.Auth.NativeError` turns the reason into what callers get.
pub fn to_term<'a>(env: Env<'a>, error: &Error) -> Term<'a> {
    env.error_tuple(reason(env, error))
}

/// `{:error, {:source | :target | :aside, reason}}`
pub fn copy_to_term<'a>(env: Env<'a>, error: &CopyError) -> Term<'a> {
    let (side, error) = match error {
        CopyError::Source(error) => (atoms::source(), error),
        CopyError::Target(error) => (atoms::target(), error),
        CopyError::Aside(error) => (atoms::aside(), error),
    };
    env.error_tuple((side, reason(env, error)))
}

pub fn reason<'a>(env: Env<'a>, error: &Error) -> Term<'a> {
    match error {
        Error::NotFound => atoms::not_found().encode(env),
        Error::Io { source, .. } => (atoms::io(), posix(source)).encode(env),
        Error::Corrupt {
            path,
            member,
            problem,
            flaw,
        } => (
            atoms::corrupt(),
            path.to_string_lossy().as_ref(),
            member,
            problem,
            flaw_atom(*flaw),
        )
            .encode(env),
        Error::InvalidTerm { member, problem } => {
            (atoms::invalid_term(), member, problem).encode(env)
        }
        Error::InvalidKey {
            family,
            id,
            problem,
        } => (atoms::invalid_key(), family, id, problem).encode(env),
        Error::UnexpectedBackend(name) => (atoms::unexpected_backend(), name).encode(env),
        Error::UnsupportedVersion(version) => (
            atoms::unsupported_version(),
            i64::try_from(*version).unwrap_or(i64::MAX),
        )
            .encode(env),
        Error::InvalidManifest(reason) => (atoms::invalid_manifest(), reason).encode(env),
        Error::UnsupportedJournal(version) => (atoms::unsupported_journal(), version).encode(env),
        Error::Busy { path, holder } => {
            (atoms::busy(), path.to_string_lossy().as_ref(), holder).encode(env)
        }
        Error::NotOwner { path, owner } => (
            atoms::not_owner(),
            path.to_string_lossy().as_ref(),
            owner.as_deref().map(owner_tuple),
        )
            .encode(env),
        Error::Changed { path } => (atoms::changed(), path.to_string_lossy().as_ref()).encode(env),
        Error::RecoveryRequired { path } => {
            (atoms::recovery_required(), path.to_string_lossy().as_ref()).encode(env)
        }
    }
}

/// The `:kind` of a `CorruptFileError`.
pub fn flaw_atom(flaw: Flaw) -> Atom {
    match flaw {
        Flaw::Content => atoms::content(),
        Flaw::Link => atoms::symbolic_link(),
        Flaw::NotAFile => atoms::not_a_file(),
        Flaw::Access => atoms::access(),
        Flaw::Journal => atoms::journal(),
        Flaw::Bookkeeping => atoms::bookkeeping(),
    }
}

type OwnerTuple<'a> = (&'a str, u64, &'a str, &'a str, &'a str, i64);

/// `{id, counter, node, os_process, host, since_ms}`
pub fn owner_tuple(owner: &Owner) -> OwnerTuple<'_> {
    (
        &owner.id,
        owner.counter,
        &owner.node,
        &owner.os_process,
        &owner.host,
        owner.since_ms,
    )
}

/// The name of an error in Erlang's `file` module; `eio` if it has none.
pub fn posix(error: &std::io::Error) -> &'static str {
    use std::io::ErrorKind;
    if let Some(code) = error.raw_os_error() {
        return posix_name(code);
    }
    match error.kind() {
        ErrorKind::NotFound => "enoent",
        ErrorKind::PermissionDenied => "eacces",
        ErrorKind::AlreadyExists => "eexist",
        ErrorKind::InvalidInput | ErrorKind::InvalidData => "einval",
        ErrorKind::StorageFull => "enospc",
        ErrorKind::NotADirectory => "enotdir",
        ErrorKind::DirectoryNotEmpty => "enotempty",
        ErrorKind::ReadOnlyFilesystem => "erofs",
        ErrorKind::IsADirectory => "eisdir",
        ErrorKind::FileTooLarge => "efbig",
        ErrorKind::Unsupported => "enotsup",
        _ => "eio",
    }
}

fn posix_name(code: i32) -> &'static str {
    use rustix::io::Errno;
    match Errno::from_raw_os_error(code) {
        Errno::ACCESS => "eacces",
        Errno::AGAIN => "eagain",
        Errno::BADF => "ebadf",
        Errno::BUSY => "ebusy",
        Errno::DQUOT => "edquot",
        Errno::EXIST => "eexist",
        Errno::FBIG => "efbig",
        Errno::INTR => "eintr",
        Errno::INVAL => "einval",
        Errno::ISDIR => "eisdir",
        Errno::LOOP => "eloop",
        Errno::MFILE => "emfile",
        Errno::MLINK => "emlink",
        Errno::NAMETOOLONG => "enametoolong",
        Errno::NFILE => "enfile",
        Errno::NODEV => "enodev",
        Errno::NOENT => "enoent",
        Errno::NOMEM => "enomem",
        Errno::NOSPC => "enospc",
        Errno::NOSYS => "enosys",
        Errno::NOTDIR => "enotdir",
        Errno::NOTEMPTY => "enotempty",
        Errno::NOTSUP => "enotsup",
        Errno::NXIO => "enxio",
        Errno::PERM => "eperm",
        Errno::PIPE => "epipe",
        Errno::ROFS => "erofs",
        Errno::SPIPE => "espipe",
        Errno::STALE => "estale",
        Errno::TXTBSY => "etxtbsy",
        Errno::XDEV => "exdev",
        _ => "eio",
    }
}
