//! The JSON of Baileys, for stores that keep it elsewhere than in a directory.

use auth_store::codec::json::{Kept, kept};
use auth_store::codec::{Problem, json};
use auth_store::migrate::{Imported, exported, imported};
use rustler::types::atom::{self, Atom};
use rustler::{Binary, Encoder, Env, NifResult, Term};

use crate::json::now_ms;
use crate::migration::{form_of, form_term};
use crate::term;

mod atoms {
    rustler::atoms! { not_found, row, account }
}

/// `{:ok, term} | {:error, :not_found | {member, problem}}`. `identity` is that of the account, for
/// sessions.
#[rustler::nif(schedule = "DirtyCpu")]
fn codec_decode<'a>(
    env: Env<'a>,
    family: &str,
    text: Binary<'a>,
    identity: Option<Binary<'a>>,
) -> NifResult<Term<'a>> {
    let text = json::unwrapped(family, &text);
    if family != auth_store::layout::CREDS && json::is_null(&text) {
        return Ok(env.error_tuple(atoms::not_found()));
    }
    let context = json::DecodeContext {
        local_identity: identity.as_ref().map(Binary::as_slice),
    };
    match json::decode(family, &text, &context) {
        Ok(value) => Ok((atom::ok(), term::from_value(env, &value)?).encode(env)),
        Err(problem) => Ok(failure(env, problem)),
    }
}

/// `{:ok, text} | {:error, {member, problem}}`. `sender_keys` is `:array`, `:buffer` or `nil`.
/// Bytes are lists of numbers if `lists` is true, otherwise base64.
#[rustler::nif(schedule = "DirtyCpu")]
fn codec_encode<'a>(
    env: Env<'a>,
    family: &str,
    data: Term<'a>,
    identity: Option<Binary<'a>>,
    sender_keys: Atom,
    lists: bool,
) -> NifResult<Term<'a>> {
    let context = writing(identity.as_ref(), sender_keys, lists)?;
    let encoded = term::to_value(data)
        .map_err(|problem| term::within(family, problem))
        .and_then(|value| json::encode(family, &value, &context));
    Ok(match encoded {
        Ok(bytes) => (atom::ok(), term::binary_term(env, &bytes)).encode(env),
        Err(problem) => failure(env, problem),
    })
}

/// Reads lines of a dump, or documents. Each gives `{:row, name, value} | {:account, [{family, id,
/// value}]} | {:error, {member, problem}}`.
#[rustler::nif(schedule = "DirtyCpu")]
fn codec_kept<'a>(env: Env<'a>, lines: Vec<Binary<'a>>) -> Vec<Term<'a>> {
    let terms = lines.iter().map(|line| match kept(line) {
        Ok(Kept::Row { name, value }) => {
            (atoms::row(), name, term::binary_term(env, &value)).encode(env)
        }
        Ok(Kept::Account(values)) => {
            let values: Vec<_> = values
                .into_iter()
                .map(|kept| (kept.family, kept.id, term::binary_term(env, &kept.value)))
                .collect();
            (atoms::account(), values).encode(env)
        }
        Err(problem) => failure(env, problem),
    });
    terms.collect()
}

/// Converts values `{family, id, json}` to rows. Each gives `{:ok, bytes, dropped, sender_keys,
/// current_id} | {:error, :not_found | {member, problem}}`.
#[rustler::nif(schedule = "DirtyCpu")]
fn codec_import<'a>(
    env: Env<'a>,
    values: Vec<(&str, Option<&str>, Binary<'a>)>,
    identity: Option<Binary<'a>>,
) -> Vec<Term<'a>> {
    let identity = identity.as_ref().map(Binary::as_slice);
    let terms = values.iter().map(|(family, id, json)| {
        match imported(family, *id, json.as_slice(), identity) {
            Ok(Some(Imported {
                bytes,
                dropped,
                sender_keys,
                current_id,
            })) => (
                atom::ok(),
                term::binary_term(env, &bytes),
                dropped,
                form_term(sender_keys),
                current_id,
            )
                .encode(env),
            Ok(None) => env.error_tuple(atoms::not_found()),
            Err(problem) => failure(env, problem),
        }
    });
    terms.collect()
}

/// Converts rows `{family, id, bytes}` to the JSON of Baileys. Each gives `{:ok, text} | {:error,
/// {member, problem}}`.
#[rustler::nif(schedule = "DirtyCpu")]
fn codec_export<'a>(
    env: Env<'a>,
    rows: Vec<(&str, Option<&str>, Binary<'a>)>,
    identity: Option<Binary<'a>>,
    sender_keys: Atom,
    lists: bool,
) -> NifResult<Vec<Term<'a>>> {
    let context = writing(identity.as_ref(), sender_keys, lists)?;
    let terms = rows.iter().map(|(family, _id, bytes)| {
        match exported(family, bytes.as_slice(), &context) {
            Ok(text) => (atom::ok(), term::binary_term(env, &text)).encode(env),
            Err(problem) => failure(env, problem),
        }
    });
    Ok(terms.collect())
}

fn writing<'a>(
    identity: Option<&'a Binary<'_>>,
    sender_keys: Atom,
    lists: bool,
) -> NifResult<json::EncodeContext<'a>> {
    Ok(json::EncodeContext {
        local_identity: identity.map(Binary::as_slice),
        now_ms: now_ms(),
        sender_keys: form_of(sender_keys)?.unwrap_or_default(),
        bytes: if lists {
            json::BytesForm::List
        } else {
            json::BytesForm::Base64
        },
    })
}

fn failure(env: Env<'_>, problem: Problem) -> Term<'_> {
    env.error_tuple((problem.member, problem.problem))
}
