//! Baileys' JSON for whoever keeps it elsewhere than in a directory.

use auth_store::codec::{Problem, json};
use rustler::types::atom::{self, Atom};
use rustler::{Binary, Encoder, Env, NifResult, Term};

use crate::json::now_ms;
use crate::migration::form_of;
use crate::term;

mod atoms {
    rustler::atoms! { not_found }
}

/// `{:ok, term} | {:error, :not_found | {member, problem}}`. `identity` is the account's, for sessions.
#[rustler::nif(schedule = "DirtyCpu")]
fn codec_decode<'a>(
    env: Env<'a>,
    family: &str,
    text: Binary<'a>,
    identity: Option<Binary<'a>>,
) -> NifResult<Term<'a>> {
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
#[rustler::nif(schedule = "DirtyCpu")]
fn codec_encode<'a>(
    env: Env<'a>,
    family: &str,
    data: Term<'a>,
    identity: Option<Binary<'a>>,
    sender_keys: Atom,
) -> NifResult<Term<'a>> {
    let context = json::EncodeContext {
        local_identity: identity.as_ref().map(Binary::as_slice),
        now_ms: now_ms(),
        sender_keys: form_of(sender_keys)?.unwrap_or_default(),
    };
    let encoded = term::to_value(data)
        .map_err(|problem| term::within(family, problem))
        .and_then(|value| json::encode(family, &value, &context));
    Ok(match encoded {
        Ok(bytes) => (atom::ok(), term::binary_term(env, &bytes)).encode(env),
        Err(problem) => failure(env, problem),
    })
}

fn failure(env: Env<'_>, problem: Problem) -> Term<'_> {
    env.error_tuple((problem.member, problem.problem))
}
