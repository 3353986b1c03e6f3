use std::collections::HashSet;

use base64::{Engine, engine::general_purpose::STANDARD};
use proptest::prelude::*;
use serde_json::Value as Json;

use super::*;

/// Made with npm `libsignal` 6.0.0 by `test/fixtures/curve/make.mjs`.
fn vectors(section: &str) -> Vec<Json> {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../test/fixtures/curve/libsignal.json"
    );
    let text = std::fs::read_to_string(path).unwrap();
    let all: Json = serde_json::from_str(&text).unwrap();
    let section = all[section].as_array().unwrap().clone();
    assert!(section.len() >= 20);
    section
}

fn bytes(vector: &Json, member: &str) -> Vec<u8> {
    STANDARD.decode(vector[member].as_str().unwrap()).unwrap()
}

fn prefixed(public: &[u8]) -> Vec<u8> {
    [&[5], public].concat()
}

/// The u-coordinates of the points of order 1, 2, 4 and 8 (RFC 7748, section 7;
/// cr.yp.to/ecdh.html).
fn low_order_points() -> Vec<PublicKey> {
    [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ]
    .map(|hex| std::array::from_fn(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap()))
    .to_vec()
}

#[test]
fn agreement_and_public_key_equal_those_of_libsignal() {
    for vector in vectors("agreements") {
        let private = bytes(&vector, "private");
        let peer = bytes(&vector, "peer");
        let shared = bytes(&vector, "shared");

        assert_eq!(public_key(&private).unwrap()[..], bytes(&vector, "public"));
        assert_eq!(shared_secret(&private, &peer).unwrap()[..], shared);
        assert_eq!(
            shared_secret(&private, &prefixed(&peer)).unwrap()[..],
            shared
        );
    }
}

#[test]
fn signatures_of_libsignal_verify() {
    for vector in vectors("signatures") {
        let public = bytes(&vector, "public");
        let message = bytes(&vector, "message");
        let signature = bytes(&vector, "signature");

        assert!(verify(&public, &message, &signature));
        assert!(verify(&public[1..], &message, &signature));
    }
}

#[test]
fn what_libsignal_rejects_is_rejected() {
    for vector in vectors("rejected") {
        assert!(!verify(
            &bytes(&vector, "public"),
            &bytes(&vector, "message"),
            &bytes(&vector, "signature")
        ));
    }
}

#[test]
fn a_signature_equals_that_of_curve25519_js_with_the_same_randomness() {
    for vector in vectors("randomized") {
        let random = bytes(&vector, "random").try_into().unwrap();
        let message = bytes(&vector, "message");
        let signature = sign_with(&bytes(&vector, "private"), &message, &random).unwrap();

        assert_eq!(signature[..], bytes(&vector, "signature"));
        assert!(verify(&bytes(&vector, "public"), &message, &signature));
    }
}

/// With constant randomness, as from a broken generator, no nonce repeats, neither for two messages
/// of one key nor for two keys.
#[test]
fn bad_randomness_repeats_no_nonce() {
    let mut commitments = HashSet::new();
    for key in 1..=8u8 {
        for message in 0..8u8 {
            let signature = sign_with(&[key; 32], &[message], &[0; 64]).unwrap();
            assert!(commitments.insert(signature[..32].to_vec()));
        }
    }
}

#[test]
fn two_signatures_of_one_message_differ() {
    let (private, public) = generate_key_pair().unwrap();
    let (one, two) = (
        sign(&*private, b"message").unwrap(),
        sign(&*private, b"message").unwrap(),
    );
    assert_ne!(one, two);
    assert!(verify(&public, b"message", &one));
    assert!(verify(&public, b"message", &two));
}

#[test]
fn generated_keys_are_clamped_and_distinct() {
    let mut seen = HashSet::new();
    for _ in 0..64 {
        let (private, public) = generate_key_pair().unwrap();
        assert_eq!(clamp_integer(*private), *private);
        assert_eq!(public_key(&*private).unwrap(), public);
        assert!(seen.insert(*private));
    }
}

#[test]
fn points_of_low_order_are_refused() {
    for public in low_order_points() {
        assert_eq!(
            shared_secret(&[0x40; 32], &public).err(),
            Some(CurveError::InvalidPublicKey)
        );
        // R = the neutral element and s = 0 satisfy the equation for a neutral public key.
        for sign in [0, SIGN_BIT] {
            let mut forged = [0; SIGNATURE_LEN];
            forged[0] = 1;
            forged[SIGNATURE_LEN - 1] |= sign;
            for message in 0..16u8 {
                assert!(!verify(&public, &[message], &forged));
            }
        }
    }
}

/// The order of the base point, little-endian.
const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

#[test]
fn a_response_beyond_the_order_is_refused() {
    let (private, public) = generate_key_pair().unwrap();
    let mut signature = sign(&*private, b"message").unwrap();
    let sign = signature[63] & SIGN_BIT;
    signature[63] &= !SIGN_BIT;

    let mut carry = 0;
    for (byte, order) in signature[32..].iter_mut().zip(ORDER) {
        let sum = u16::from(*byte) + u16::from(order) + carry;
        *byte = sum as u8;
        carry = sum >> 8;
    }
    signature[63] |= sign;
    assert!(!verify(&public, b"message", &signature));
}

proptest! {
    #[test]
    fn what_is_signed_verifies_and_nothing_else(
        private in any::<[u8; 32]>(),
        message in proptest::collection::vec(any::<u8>(), 0..300),
        random in proptest::array::uniform32(any::<u8>()),
        flip in any::<proptest::sample::Index>(),
        bit in 0..8u32,
    ) {
        let random: [u8; 64] = std::array::from_fn(|i| random[i % 32]);
        let public = public_key(&private).unwrap();
        let signature = sign_with(&private, &message, &random).unwrap();
        prop_assert!(verify(&public, &message, &signature));

        let mut changed = signature;
        changed[flip.index(SIGNATURE_LEN)] ^= 1 << bit;
        prop_assert!(!verify(&public, &message, &changed));

        let mut longer = message.clone();
        longer.push(0);
        prop_assert!(!verify(&public, &longer, &signature));
    }

    #[test]
    fn both_sides_agree(one in any::<[u8; 32]>(), two in any::<[u8; 32]>()) {
        let there = shared_secret(&one, &public_key(&two).unwrap()).unwrap();
        let back = shared_secret(&two, &prefixed(&public_key(&one).unwrap())).unwrap();
        prop_assert_eq!(there, back);
    }

    #[test]
    fn no_input_panics_and_wrong_lengths_are_errors(
        key in proptest::collection::vec(any::<u8>(), 0..70),
        message in proptest::collection::vec(any::<u8>(), 0..70),
        signature in proptest::collection::vec(any::<u8>(), 0..70),
    ) {
        let private_fits = key.len() == 32;
        let public_fits = private_fits || (key.len() == 33 && key[0] == 5);
        prop_assert_eq!(sign(&key, &message).is_ok(), private_fits);
        prop_assert_eq!(public_key(&key).is_ok(), private_fits);
        prop_assert_eq!(shared_secret(&[7; 32], &key).is_ok(), public_fits);
        prop_assert!(!verify(&key, &message, &signature));
    }

    #[test]
    fn arbitrary_keys_and_signatures_neither_panic_nor_verify(
        public in any::<[u8; 32]>(),
        commitment in any::<[u8; 32]>(),
        response in any::<[u8; 32]>(),
    ) {
        prop_assert!(!verify(&public, b"message", &[commitment, response].concat()));
    }
}
