//! Input that is meant to do harm: nothing aborts, overflows the stack, allocates what a length
//! claims, or takes more than linear time.

use std::time::Instant;

use auth_store::codec::etf;

use crate::support::*;

const MILLION: usize = 1_000_000;

fn refused(bytes: &[u8]) -> String {
    let scanned = etf::scan(bytes, &mut |_| true).expect_err("hostile");
    assert_eq!(etf::decode(bytes).expect_err("hostile"), scanned);
    scanned.problem
}

#[test]
fn claimed_lengths_are_not_believed() {
    let huge = [0xff; 4];
    for (tag, filler) in [(105, 106), (108, 106), (109, 0), (111, 0), (116, 106)] {
        let mut bytes = vec![131, tag];
        bytes.extend_from_slice(&huge);
        for more in [0, 1, 1000] {
            bytes.resize(6 + more, filler);
            assert_eq!(refused(&bytes), "is cut off: the term ends too early");
        }
    }
    // Half as many elements as there are bytes: the pairs of a map do not fit.
    let mut bytes = vec![131, 116];
    bytes.extend_from_slice(&6u32.to_be_bytes());
    bytes.extend_from_slice(&[106; 11]);
    assert_eq!(refused(&bytes), "is cut off: the term ends too early");
}

#[test]
fn a_million_nested_terms_are_refused_without_recursion() {
    for head in [
        &[104, 1][..],
        &[108, 0, 0, 0, 1],
        &[116, 0, 0, 0, 1],
        &[105, 0, 0, 0, 1],
    ] {
        let mut bytes = vec![131];
        bytes.extend(head.iter().copied().cycle().take(head.len() * MILLION));
        assert!(refused(&bytes).starts_with("is nested deeper than"));
    }
    // Nested in the tail of a list, and in the key of a map.
    let mut bytes = vec![131];
    for _ in 0..MILLION {
        bytes.extend_from_slice(&[108, 0, 0, 0, 1, 106]);
    }
    assert!(refused(&bytes).starts_with("is nested deeper than"));
}

#[test]
fn a_compressed_term_is_not_opened() {
    // The header claims 1 GiB of zeros.
    let mut bytes = vec![131, 80, 0x40, 0, 0, 0, 0x78, 0x9c];
    bytes.resize(4096, 0);
    assert_eq!(refused(&bytes), "is a compressed term");
}

#[test]
fn a_hundred_thousand_atoms_stop_at_the_first_refusal() {
    let count = 100_000u32;
    let mut bytes = vec![131, 108];
    bytes.extend_from_slice(&count.to_be_bytes());
    for i in 0..count {
        let name = format!("atom_{i}");
        bytes.push(119);
        bytes.push(u8::try_from(name.len()).expect("short"));
        bytes.extend_from_slice(name.as_bytes());
    }
    bytes.push(106);
    let mut asked = 0;
    let scanned = etf::scan(&bytes, &mut |_| {
        asked += 1;
        asked <= 1000
    });
    assert_eq!(
        scanned.expect_err("refused").problem,
        "holds an atom that is refused"
    );
    assert_eq!(asked, 1001);
    assert_eq!(etf::scan(&bytes, &mut |_| true), Ok(()));
}

#[test]
fn deep_json_is_refused_without_recursion() {
    let whole = file("baileys-7.0.0-rc14", "creds.json");
    for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("{\"value\":", "}")] {
        for depth in [91, 200, MILLION] {
            let deep = open.repeat(depth) + "1" + &close.repeat(depth);
            for family in ["creds", "session", "pre-key", "sender-key", "to-come"] {
                let problem = decode(family, deep.as_bytes())
                    .expect_err("too deep")
                    .problem;
                assert_eq!(problem, "is nested deeper than 90 levels");
            }
            assert!(auth_store::codec::json::local_identity(deep.as_bytes()).is_err());
            // As a member of otherwise whole credentials.
            let mut creds = format!("{{\"deep\":{deep},").into_bytes();
            creds.extend_from_slice(&whole[1..]);
            assert!(decode("creds", &creds).is_err());
        }
    }
    let deep = "[".repeat(90) + &"]".repeat(90);
    let value = decode("to-come", deep.as_bytes()).expect("deep enough");
    assert_eq!(
        encode("to-come", &value).expect("deep enough"),
        deep.as_bytes()
    );
}

#[test]
fn deep_json_inside_the_bytes_of_a_sender_key_is_refused() {
    let deep = "[".repeat(MILLION);
    let json = serde_json::json!({"type": "Buffer", "data": deep.as_bytes()}).to_string();
    assert!(decode("sender-key", json.as_bytes()).is_err());
}

/// Time grows with the length and not with its square: eight times the input takes far less than
/// the 64 times that a square would take.
#[test]
fn long_input_takes_linear_time() {
    let wide = |pairs: usize| -> Vec<(&'static str, Vec<u8>)> {
        let members =
            |member: &dyn Fn(usize) -> String| (0..pairs).map(member).collect::<Vec<_>>().join(",");
        let object = |member: &dyn Fn(usize) -> String| format!("{{{}}}", members(member));
        vec![
            ("to-come", object(&|i| format!("\"k{i}\":{i}")).into_bytes()),
            ("to-come", object(&|i| format!("\"{i}\":7")).into_bytes()),
            (
                "to-come",
                object(&|i| format!("\"k{}\":7", i / 2)).into_bytes(),
            ),
            (
                "sender-key-memory",
                object(&|i| format!("\"k{i}\":true")).into_bytes(),
            ),
            ("pre-key", object(&|i| format!("\"k{i}\":1")).into_bytes()),
            (
                "lid-mapping",
                format!("\"{}\"", "a\\n".repeat(pairs)).into_bytes(),
            ),
            (
                "sender-key",
                format!("[{}]", members(&|_| "{}".to_owned())).into_bytes(),
            ),
            (
                "to-come",
                format!(
                    "{{\"__type__\":\"map\",\"entries\":[{}]}}",
                    members(&|i| format!("[{i},{i}]"))
                )
                .into_bytes(),
            ),
            (
                "pre-key",
                format!(
                    "{{\"__atom_keys__\":[{}],{}}}",
                    members(&|i| format!("\"k{i}\"")),
                    members(&|i| format!("\"k{i}\":1"))
                )
                .into_bytes(),
            ),
        ]
    };
    let seconds = |family: &str, bytes: &[u8]| {
        let start = Instant::now();
        let _ = decode(family, bytes);
        start.elapsed().as_secs_f64()
    };
    // Others use the machine too, so the best of a few tries counts.
    for ((family, short), (_, long)) in wide(40_000).into_iter().zip(wide(320_000)) {
        let is_linear = (0..8).any(|_| seconds(family, &long) < 32.0 * seconds(family, &short));
        let kind = String::from_utf8_lossy(&short[..20]).into_owned();
        assert!(is_linear, "{family}: {kind}… takes more than linear time");
    }
}
