//! Curve25519 for `BaileysEx.Signal.Curve`. Each call takes some tens of microseconds and runs on a
//! normal scheduler, except those that hash a message, which may be of any length.

use auth_store::curve::{self, CurveError};
use rustler::{Atom, Binary, Env, NewBinary};

mod atoms {
    rustler::atoms! { invalid_private_key, invalid_public_key, no_randomness }
}

fn reason(error: CurveError) -> Atom {
    match error {
        CurveError::InvalidPrivateKey => atoms::invalid_private_key(),
        CurveError::InvalidPublicKey => atoms::invalid_public_key(),
        CurveError::NoRandomness => atoms::no_randomness(),
    }
}

fn binary<'a>(env: Env<'a>, bytes: &[u8]) -> Binary<'a> {
    NewBinary::from_slice(env, bytes).into()
}

/// `{:ok, {private, public}} | {:error, reason}`
#[rustler::nif]
fn curve_generate_key_pair(env: Env<'_>) -> Result<(Binary<'_>, Binary<'_>), Atom> {
    let (private, public) = curve::generate_key_pair().map_err(reason)?;
    Ok((binary(env, private.as_slice()), binary(env, &public)))
}

/// `{:ok, public} | {:error, reason}`
#[rustler::nif]
fn curve_public_key<'a>(env: Env<'a>, private: Binary<'a>) -> Result<Binary<'a>, Atom> {
    let public = curve::public_key(&private).map_err(reason)?;
    Ok(binary(env, &public))
}

/// `{:ok, secret} | {:error, reason}`
#[rustler::nif]
fn curve_shared_secret<'a>(
    env: Env<'a>,
    private: Binary<'a>,
    public: Binary<'a>,
) -> Result<Binary<'a>, Atom> {
    let shared = curve::shared_secret(&private, &public).map_err(reason)?;
    Ok(binary(env, shared.as_slice()))
}

/// `{:ok, signature} | {:error, reason}`
#[rustler::nif(schedule = "DirtyCpu")]
fn curve_sign<'a>(
    env: Env<'a>,
    private: Binary<'a>,
    message: Binary<'a>,
) -> Result<Binary<'a>, Atom> {
    let signature = curve::sign(&private, &message).map_err(reason)?;
    Ok(binary(env, &signature))
}

#[rustler::nif(schedule = "DirtyCpu")]
fn curve_verify(public: Binary, message: Binary, signature: Binary) -> bool {
    curve::verify(&public, &message, &signature)
}
