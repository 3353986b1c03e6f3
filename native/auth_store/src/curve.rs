//! Curve25519 as Signal uses it: X25519 key agreement, and XEdDSA signatures with the same keys.
//!
//! Private keys are 32 bytes. Public keys are the 32 bytes of a Montgomery u-coordinate, with or
//! without the type byte 0x05 that Signal puts in front.
//!
//! Sources: RFC 7748 (X25519); "The XEdDSA and VXEdDSA Signature Schemes", Signal, revision 1. In
//! one respect this follows libsignal and not that text: the private scalar is not negated to make
//! the Edwards sign bit zero. Instead the sign travels in the top bit of the signature, which is
//! free.

use curve25519_dalek::{EdwardsPoint, MontgomeryPoint, Scalar, scalar::clamp_integer};
use sha2::{Digest, Sha512};
use thiserror::Error;
use zeroize::Zeroizing;

pub const KEY_LEN: usize = 32;
pub const SIGNATURE_LEN: usize = 64;

/// The type byte in front of a public key: "DJB", the only type there is.
const KEY_TYPE: u8 = 5;

/// `hash1` of XEdDSA: 2^256 - 2 in little-endian order, which encodes no scalar and no point.
const NONCE_PREFIX: [u8; 32] = {
    let mut prefix = [0xff; 32];
    prefix[0] = 0xfe;
    prefix
};

const SIGN_BIT: u8 = 0x80;

pub type PrivateKey = Zeroizing<[u8; KEY_LEN]>;
pub type PublicKey = [u8; KEY_LEN];
pub type Signature = [u8; SIGNATURE_LEN];

#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum CurveError {
    /// Not 32 bytes.
    #[error("invalid private key")]
    InvalidPrivateKey,
    /// Neither 32 bytes nor 33 with the type byte, or of low order: an agreement with such a key is
    /// no secret.
    #[error("invalid public key")]
    InvalidPublicKey,
    /// The operating system gave no random bytes.
    #[error("no random bytes available")]
    NoRandomness,
}

/// Generates a key pair. The private key is clamped, as other implementations store it.
pub fn generate_key_pair() -> Result<(PrivateKey, PublicKey), CurveError> {
    let private = Zeroizing::new(clamp_integer(*random()?));
    let public = MontgomeryPoint::mul_base_clamped(*private).to_bytes();
    Ok((private, public))
}

/// The public key that belongs to a private key.
pub fn public_key(private: &[u8]) -> Result<PublicKey, CurveError> {
    let private = parse_private(private)?;
    Ok(MontgomeryPoint::mul_base_clamped(*private).to_bytes())
}

/// The shared secret of an X25519 agreement.
pub fn shared_secret(private: &[u8], public: &[u8]) -> Result<PrivateKey, CurveError> {
    let private = parse_private(private)?;
    let public = parse_public(public)?;
    let shared = Zeroizing::new(MontgomeryPoint(public).mul_clamped(*private).to_bytes());

    // RFC 7748, section 6.1: all zeros mean that the peer's point was of low order.
    if *shared == [0; KEY_LEN] {
        return Err(CurveError::InvalidPublicKey);
    }
    Ok(shared)
}

/// Signs a message with XEdDSA.
pub fn sign(private: &[u8], message: &[u8]) -> Result<Signature, CurveError> {
    sign_with(private, message, &*random()?)
}

/// As [`sign`], with given randomness of 64 bytes.
///
/// The nonce is a hash of the private key, the message and the randomness. So bad or repeated
/// randomness does not reveal the key, as it would with plain (EC)DSA.
fn sign_with(private: &[u8], message: &[u8], random: &[u8; 64]) -> Result<Signature, CurveError> {
    let scalar_bytes = Zeroizing::new(clamp_integer(*parse_private(private)?));
    let scalar = Zeroizing::new(Scalar::from_bytes_mod_order(*scalar_bytes));
    let public = EdwardsPoint::mul_base(&scalar).compress().to_bytes();

    let nonce = Zeroizing::new(hash_to_scalar(&[
        &NONCE_PREFIX,
        scalar_bytes.as_slice(),
        message,
        random,
    ]));
    let commitment = EdwardsPoint::mul_base(&nonce).compress().to_bytes();
    let challenge = hash_to_scalar(&[&commitment, &public, message]);
    let response = (challenge * *scalar + *nonce).to_bytes();

    let mut signature = [0; SIGNATURE_LEN];
    signature[..KEY_LEN].copy_from_slice(&commitment);
    signature[KEY_LEN..].copy_from_slice(&response);
    signature[SIGNATURE_LEN - 1] |= public[KEY_LEN - 1] & SIGN_BIT;
    Ok(signature)
}

/// Whether the signature belongs to this message and this key. `false` for malformed input.
pub fn verify(public: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let Ok(public) = parse_public(public) else {
        return false;
    };
    let Ok(signature) = Signature::try_from(signature) else {
        return false;
    };
    let Some(valid) = verify_parsed(public, message, &signature) else {
        return false;
    };
    valid
}

/// `None` if the key or the signature encodes nothing: a point off the curve, or a scalar out of
/// range.
fn verify_parsed(public: PublicKey, message: &[u8], signature: &Signature) -> Option<bool> {
    let (commitment, response) = signature.split_first_chunk::<KEY_LEN>()?;
    let mut response = PublicKey::try_from(response).ok()?;
    let sign = response[KEY_LEN - 1] >> 7;
    response[KEY_LEN - 1] &= !SIGN_BIT;

    let response = Option::<Scalar>::from(Scalar::from_canonical_bytes(response))?;
    let point = MontgomeryPoint(public).to_edwards(sign)?;
    // With a point of low order, one signature would be valid for many messages.
    if point.is_small_order() {
        return None;
    }

    let challenge = hash_to_scalar(&[commitment, point.compress().as_bytes(), message]);
    let expected =
        EdwardsPoint::vartime_double_scalar_mul_basepoint(&challenge, &-point, &response);
    Some(expected.compress().as_bytes() == commitment)
}

fn hash_to_scalar(parts: &[&[u8]]) -> Scalar {
    let mut hash = Sha512::new();
    for part in parts {
        hash.update(part);
    }
    let digest: Zeroizing<[u8; 64]> = Zeroizing::new(hash.finalize().into());
    Scalar::from_bytes_mod_order_wide(&digest)
}

fn random<const N: usize>() -> Result<Zeroizing<[u8; N]>, CurveError> {
    let mut bytes = Zeroizing::new([0; N]);
    getrandom::fill(bytes.as_mut_slice()).map_err(|_| CurveError::NoRandomness)?;
    Ok(bytes)
}

fn parse_private(bytes: &[u8]) -> Result<PrivateKey, CurveError> {
    <[u8; KEY_LEN]>::try_from(bytes)
        .map(Zeroizing::new)
        .map_err(|_| CurveError::InvalidPrivateKey)
}

fn parse_public(bytes: &[u8]) -> Result<PublicKey, CurveError> {
    let raw = match bytes {
        [KEY_TYPE, raw @ ..] if raw.len() == KEY_LEN => raw,
        raw => raw,
    };
    PublicKey::try_from(raw).map_err(|_| CurveError::InvalidPublicKey)
}

#[cfg(test)]
#[path = "curve_tests.rs"]
mod tests;
