//! What fuzzing started from and found, replayed.

use std::path::Path;

#[path = "../../../fuzz/src/lib.rs"]
mod checks;

fn replay(target: &str, check: impl Fn(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
    let mut inputs = 0;
    for entry in std::fs::read_dir(corpus.join(target)).expect("a corpus") {
        let path = entry.expect("a readable entry").path();
        check(&std::fs::read(path).expect("a readable file"));
        inputs += 1;
    }
    assert!(inputs >= 3, "{target} has lost its corpus");
}

#[test]
fn inputs_kept_from_fuzzing_do_no_harm() {
    replay("json_creds", |bytes| checks::json("creds", bytes));
    replay("json_session", |bytes| checks::json("session", bytes));
    replay("json_sender_key", |bytes| checks::json("sender-key", bytes));
    replay("json_others", checks::json_others);
    replay("etf_scan", checks::etf_scan);
    replay("etf_decode", checks::etf_decode);
}
