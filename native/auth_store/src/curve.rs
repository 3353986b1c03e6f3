//! Curve25519 as Signal uses it.
