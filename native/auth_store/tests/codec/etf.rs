//! The external term format: the same bytes as those of the BEAM, and nothing but plain data
//! accepted.

use auth_store::Value;
use auth_store::codec::etf;
use auth_store::value::MAX_DEPTH;

use crate::support::*;

fn ints(ints: &[i128]) -> Value {
    Value::List(ints.iter().copied().map(Value::Int).collect())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(hex: &str) -> Vec<u8> {
    (0..hex.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&hex[i..i + 2], 16).expect("hex"))
        .collect()
}

/// From `:erlang.term_to_binary(term, minor_version: 2)`, the default of OTP 26 and later.
fn edge_terms() -> Vec<(Value, &'static str)> {
    vec![
        (Value::List(vec![]), "836a"),
        (ints(&[-1]), "836c0000000162ffffffff6a"),
        (ints(&[0, 255]), "836b000200ff"),
        (ints(&[0, 256]), "836c00000002610062000001006a"),
        (ints(&[255, -1]), "836c0000000261ff62ffffffff6a"),
        (Value::List(vec![Value::Nil]), "836c0000000177036e696c6a"),
        (Value::List(vec![Value::List(vec![])]), "836c000000016a6a"),
        (
            Value::List(vec![ints(&[1]), Value::Int(2)]),
            "836c000000026b00010161026a",
        ),
        (Value::Int(0), "836100"),
        (Value::Int(255), "8361ff"),
        (Value::Int(256), "836200000100"),
        (Value::Int(-1), "8362ffffffff"),
        (Value::Int(2_147_483_647), "83627fffffff"),
        (Value::Int(2_147_483_648), "836e040000000080"),
        (Value::Int(-2_147_483_648), "836280000000"),
        (Value::Int(-2_147_483_649), "836e040101000080"),
        (
            Value::Int(9_223_372_036_854_775_807),
            "836e0800ffffffffffffff7f",
        ),
        (
            Value::Int(9_223_372_036_854_775_808),
            "836e08000000000000000080",
        ),
        (
            Value::Int(-9_223_372_036_854_775_808),
            "836e08010000000000000080",
        ),
        (
            Value::Int(-9_223_372_036_854_775_809),
            "836e08010100000000000080",
        ),
        (
            Value::Int(18_446_744_073_709_551_615),
            "836e0800ffffffffffffffff",
        ),
        (
            Value::Int(18_446_744_073_709_551_616),
            "836e0900000000000000000001",
        ),
        (
            Value::Int(i128::MAX),
            "836e1000ffffffffffffffffffffffffffffff7f",
        ),
        (
            Value::Int(i128::MIN),
            "836e100100000000000000000000000000000080",
        ),
        (Value::Float(1.5), "83463ff8000000000000"),
        (Value::Float(-0.0), "83468000000000000000"),
        (Value::Float(f64::MAX), "83467fefffffffffffff"),
        (Value::Nil, "8377036e696c"),
        (Value::Bool(true), "83770474727565"),
        (Value::Bool(false), "83770566616c7365"),
        (atom("Elixir.Date"), "83770b456c697869722e44617465"),
        (atom("Zoë"), "8377045a6fc3ab"),
        (atom(""), "837700"),
        (Value::Binary(vec![]), "836d00000000"),
        (text("é"), "836d00000002c3a9"),
        (Value::Tuple(vec![]), "836800"),
        (
            Value::Tuple(vec![Value::Int(1), text("x")]),
            "83680261016d0000000178",
        ),
        (map([]), "837400000000"),
        (map([(atom("a"), Value::Int(1))]), "8374000000017701616101"),
    ]
}

#[test]
fn edge_terms_are_written_as_the_beam_writes_them() {
    for (value, expected) in edge_terms() {
        let bytes = etf::encode(&value).expect("a term");
        assert_eq!(hex(&bytes), expected);
        assert_eq!(etf::scan(&bytes, &mut |_| true), Ok(()));
        assert_same(&etf::decode(&bytes).expect("a term"), &value, expected);
    }
    let long = "é".repeat(200);
    let bytes = etf::encode(&atom(&long)).expect("a long atom");
    assert_eq!(hex(&bytes[..4]), "83760190");
    assert_same(
        &etf::decode(&bytes).expect("a term"),
        &atom(&long),
        "a long atom",
    );
}

/// Up to OTP 25, atoms are Latin-1 by default.
#[test]
fn atoms_of_older_releases_are_read() {
    for (bytes, name) in [
        ("836400036e696c", "nil"),
        ("8364000474727565", "true"),
        ("836400035a6feb", "Zoë"),
        ("837303e4f6fc", "äöü"),
        ("83640000", ""),
    ] {
        let bytes = unhex(bytes);
        assert_same(&etf::decode(&bytes).expect("an atom"), &atom(name), name);
        let mut seen = Vec::new();
        let scanned = etf::scan(&bytes, &mut |atom| {
            seen.push(atom.to_owned());
            true
        });
        assert_eq!(scanned, Ok(()));
        assert_eq!(seen, [name]);
    }
}

/// Only the order of a map's members may differ.
#[test]
fn fixtures_are_written_with_the_bytes_of_the_beam_but_for_the_order_of_maps() {
    for (_, name, bytes) in files("baileys_ex-native") {
        let value = etf::decode(&bytes).expect("a native fixture");
        let written = etf::encode(&value).expect("a term");
        assert_same(&etf::decode(&written).expect("a term"), &value, &name);
        let sorted = |mut bytes: Vec<u8>| {
            bytes.sort_unstable();
            bytes
        };
        assert!(sorted(written) == sorted(bytes), "{name}");
    }
}

#[test]
fn the_manifest_of_baileys_ex_is_read() {
    let bytes = file(
        "baileys_ex-native",
        ".baileys_ex_native_file_persistence.etf",
    );
    let mut manifest = etf::decode(&bytes).expect("a manifest");
    assert!(*member(&mut manifest, &["version"]) == Value::Int(1));
    let Value::List(ids) = member(&mut manifest, &["key_index", "pre-key"]) else {
        panic!("no list of pre-keys");
    };
    assert_eq!(ids.len(), 39);
}

#[test]
fn every_atom_is_asked_for_and_one_refusal_is_enough() {
    let bytes = file("baileys_ex-native", "creds.etf");
    let mut count = 0;
    etf::scan(&bytes, &mut |_| {
        count += 1;
        true
    })
    .expect("creds");
    assert!(count > 50);
    for refused in 1..=count {
        let mut seen = 0;
        let scanned = etf::scan(&bytes, &mut |_| {
            seen += 1;
            seen != refused
        });
        assert_eq!(
            scanned.expect_err("refused").problem,
            "holds an atom that is refused"
        );
        assert_eq!(seen, refused);
    }
}

/// Asking the BEAM about an atom costs more than the rest of a scan.
#[test]
fn the_atoms_of_a_record_are_asked_for_once_however_often_they_come() {
    for (_, name, bytes) in files("baileys_ex-native") {
        let record = etf::decode(&bytes).expect("a native fixture");
        let many = etf::encode(&Value::List(vec![record; 40])).expect("a term");
        let mut asked = Vec::new();
        etf::scan(&many, &mut |atom| {
            asked.push(atom.to_owned());
            true
        })
        .expect("a list of records");
        let count = asked.len();
        asked.sort_unstable();
        asked.dedup();
        assert_eq!(count, asked.len(), "{name}");
    }
}

/// The bytes of a name in UTF-8 are those of another name in Latin-1.
#[test]
fn an_atom_is_not_taken_for_one_of_the_same_bytes() {
    // {'Zoë', 'ZoÃ«', 'Zoë'}: UTF-8, Latin-1, UTF-8.
    let bytes = unhex("83680377045a6fc3ab73045a6fc3ab77045a6fc3ab");
    let mut asked = Vec::new();
    let scanned = etf::scan(&bytes, &mut |atom| {
        asked.push(atom.to_owned());
        true
    });
    assert_eq!(scanned, Ok(()));
    assert_eq!(asked, ["Zoë", "ZoÃ«", "Zoë"]);
}

#[test]
fn a_term_that_is_cut_off_or_goes_on_is_refused() {
    let bytes = file("baileys_ex-native", "creds.etf");
    for end in 0..bytes.len() {
        assert!(etf::scan(&bytes[..end], &mut |_| true).is_err());
    }
    assert_eq!(etf::decode(&[]).expect_err("empty").problem, "is empty");
    let mut longer = bytes;
    longer.push(106);
    assert_eq!(
        etf::scan(&longer, &mut |_| true).expect_err("more").problem,
        "has bytes after the term"
    );
}

#[test]
fn only_plain_data_is_let_in() {
    let refused = [
        // A fun, an external fun, and pids, ports and references in all their versions.
        ("70", "new fun"),
        ("75", "fun"),
        ("71770165770166610", "export"),
        ("67770161000000000000000000", "pid"),
        ("58770161000000000000000000000000", "new pid"),
        ("66770161000000000000", "port"),
        ("59770161000000000000000000", "new port"),
        ("7877016100000000000000000000000000", "V4 port"),
        ("6577016100000000000", "reference"),
        ("720001770161000000000", "new reference"),
        ("5a000177016100000000000000000", "newer reference"),
        ("4d0000000103e0", "bit string"),
        ("4d0000000108ff", "whole bit string"),
        ("5200", "atom cache reference"),
        ("79", "local term"),
        ("6331", "float as text"),
        ("00", "nothing"),
        ("ff", "nothing"),
    ];
    for (body, what) in refused {
        let body = &body[..body.len() / 2 * 2];
        for (before, after) in [("83", ""), ("836801", ""), ("836c00000001", "6a")] {
            let bytes = unhex(&format!("{before}{body}{after}"));
            let problem = etf::scan(&bytes, &mut |_| true).expect_err(what).problem;
            assert_eq!(problem, "holds a term that is not plain data", "{what}");
            assert!(etf::decode(&bytes).is_err());
        }
    }
    for (bytes, problem) in [
        ("82", "is not in the external term format, version 131"),
        ("836164", ""),
        ("83466ff0000000000000", ""),
        ("83467ff0000000000000", "holds a float that is not finite"),
        ("83467ff8000000000000", "holds a float that is not finite"),
        ("837702c328", "holds an atom that is not UTF-8"),
        ("836e010200", "holds an integer without a sign"),
        ("8350000003e8789c", "is a compressed term"),
    ] {
        let scanned = etf::scan(&unhex(bytes), &mut |_| true);
        let found = scanned.err().map(|problem| problem.problem);
        assert_eq!(found.unwrap_or_default(), problem, "{bytes}");
    }
    let long_atom = |tag: u8, character: &str, count: usize| {
        let name = character.repeat(count);
        let mut bytes = vec![131, tag];
        bytes.extend_from_slice(&u16::try_from(name.len()).expect("short").to_be_bytes());
        bytes.extend_from_slice(name.as_bytes());
        etf::scan(&bytes, &mut |_| true)
    };
    assert_eq!(long_atom(118, "é", 255), Ok(()));
    assert!(long_atom(118, "é", 256).is_err());
    assert_eq!(long_atom(100, "a", 255), Ok(()));
    assert!(long_atom(100, "a", 256).is_err());
}

/// The BEAM could read these, but a value cannot hold them.
#[test]
fn the_limits_of_a_value_are_refused_with_their_reason() {
    let big = |sign: u8, magnitude: &[u8]| {
        let length = u8::try_from(magnitude.len()).expect("short");
        [&[131, 110, length, sign], magnitude].concat()
    };
    let mut above = [0; 17];
    above[16] = 1;
    // One less than the smallest integer of 128 bits.
    let mut below = [0; 16];
    (below[0], below[15]) = (1, 128);
    for (bytes, problem) in [
        (unhex("836c0000000161016102"), "holds an improper list"),
        (big(0, &above), "holds an integer of more than 128 bits"),
        (big(1, &below), "holds an integer of more than 128 bits"),
        (
            unhex("83740000000277016161017701616102"),
            "two members of a map have the same key",
        ),
        (
            unhex("83740000000168006101"),
            "a map key that is a float, list, tuple or map",
        ),
    ] {
        assert_eq!(etf::scan(&bytes, &mut |_| true), Ok(()), "{problem}");
        assert_eq!(etf::decode(&bytes).expect_err(problem).problem, problem);
    }
    // The same atom in two encodings is the same key.
    let twice = unhex("8374000000026400016161017701616102");
    assert_eq!(etf::scan(&twice, &mut |_| true), Ok(()));
    assert!(etf::decode(&twice).is_err());
    // Leading zeros do not make an integer large, and a list may continue in its tail.
    let mut padded = [0; 40];
    padded[0] = 5;
    assert!(etf::decode(&big(1, &padded)).expect("five") == Value::Int(-5));
    let tail = unhex("836c0000000161016c0000000161026b00020304");
    assert_same(
        &etf::decode(&tail).expect("a list"),
        &ints(&[1, 2, 3, 4]),
        "a list in two parts",
    );
}

#[test]
fn depth_is_bounded_alike_in_all_directions() {
    let nest = |depth: usize, wrap: &dyn Fn(Value) -> Value| {
        (0..depth).fold(Value::Int(7), |inner, _| wrap(inner))
    };
    let list = |inner| Value::List(vec![inner]);
    let tuple = |inner| Value::Tuple(vec![inner]);
    let in_map = |inner| map([(atom("a"), inner)]);
    let wraps: [&dyn Fn(Value) -> Value; 3] = [&list, &tuple, &in_map];
    for wrap in wraps {
        let deepest = etf::encode(&nest(MAX_DEPTH, wrap)).expect("deep enough");
        assert_eq!(etf::scan(&deepest, &mut |_| true), Ok(()));
        assert!(etf::decode(&deepest).is_ok());
        assert!(etf::encode(&nest(MAX_DEPTH + 1, wrap)).is_err());
    }
    let in_key = map([(nest(MAX_DEPTH, &tuple), Value::Nil)]);
    assert!(etf::encode(&in_key).is_err());
    // A list of bytes counts as a level, although its bytes are no terms of their own.
    let nest_bytes = |depth| {
        let mut bytes = vec![131];
        bytes.extend([104, 1].repeat(depth));
        bytes.extend([107, 0, 1, 7]);
        bytes
    };
    assert!(etf::decode(&nest_bytes(MAX_DEPTH - 1)).is_ok());
    assert!(etf::scan(&nest_bytes(MAX_DEPTH), &mut |_| true).is_err());
    // One more level around the bytes.
    let deepest = etf::encode(&nest(MAX_DEPTH, &tuple)).expect("deep enough");
    let mut deeper = vec![131, 104, 1];
    deeper.extend_from_slice(&deepest[1..]);
    let problem = etf::scan(&deeper, &mut |_| true)
        .expect_err("too deep")
        .problem;
    assert_eq!(problem, format!("is nested deeper than {MAX_DEPTH} levels"));
}

#[test]
fn what_the_format_cannot_hold_is_refused_with_its_place() {
    let value = map([(
        atom("a"),
        Value::List(vec![Value::Nil, Value::Float(f64::INFINITY)]),
    )]);
    assert_eq!(
        etf::encode(&value).expect_err("infinite").to_string(),
        "term.a[]: is a float that is not finite"
    );
    assert!(etf::encode(&atom(&"ä".repeat(255))).is_ok());
    assert!(etf::encode(&atom(&"a".repeat(256))).is_err());
}
