//! Keys of a JSON directory.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use auth_store::codec::json;
use auth_store::engine::{By, RealDisk};
use auth_store::format::Format;
use auth_store::store::{KeyChange, Store};
use auth_store::{Error, Result};
use rustler::types::atom::{self, Atom};
use rustler::{Binary, Encoder, Env, NifResult, Term};

use crate::answer::done;
use crate::stores::{by_of, key, store};
use crate::{error, term};

mod atoms {
    rustler::atoms! { closed }
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
    load_term(env, &store, family, id.as_ref())
}

pub fn load_term<'a>(
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

/// `changes` is `[{family, id | nil, {:put, term} | :delete}]`; `by` is as in `by_of`.
#[rustler::nif(schedule = "DirtyIo")]
fn json_commit<'a>(
    env: Env<'a>,
    path: &str,
    by: Term<'a>,
    changes: Vec<(String, Option<Binary<'a>>, Term<'a>)>,
) -> NifResult<Term<'a>> {
    let store = store(path, Format::Json);
    Ok(done(
        env,
        &store,
        commit_json_values(&store, by_of(by)?, &changes),
    ))
}

fn commit_json_values(
    store: &Store<RealDisk>,
    by: By,
    changes: &[(String, Option<Binary<'_>>, Term<'_>)],
) -> Result<()> {
    store.open()?;
    let saved = changes.iter().filter(|(_, _, change)| !change.is_atom());
    let local_identity = local_identity(store, saved.map(|(family, _, _)| family.as_str()))?;
    let context = json::EncodeContext {
        local_identity: local_identity.as_deref(),
        now_ms: now_ms(),
        ..Default::default()
    };
    let encoded = changes
        .iter()
        .map(|(family, id, change)| {
            let sender_keys = if family == "sender-key" && !change.is_atom() {
                sender_key_form(store, id.as_ref())?
            } else {
                json::SenderKeyForm::default()
            };
            let context = json::EncodeContext {
                sender_keys,
                ..context
            };
            encode_json(family, *change, &context)
        })
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
    store.commit_by(by, &changes)
}

/// The form of the key's file, or of the directory: other versions of Baileys can read no other
/// form.
fn sender_key_form(
    store: &Store<RealDisk>,
    id: Option<&Binary<'_>>,
) -> Result<json::SenderKeyForm> {
    match id.and_then(|id| std::str::from_utf8(id.as_slice()).ok()) {
        Some(id) => store.sender_key_form(id),
        // Such an id is refused with a reason when its file is named.
        None => Ok(json::SenderKeyForm::default()),
    }
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

/// The account's identity, which only sessions need.
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
